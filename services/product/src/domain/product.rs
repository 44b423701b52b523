//! Products, and who may see and change them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shop_auth::{Caller, Role};
use shop_core::Money;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{domain::picture::Encoded, error::Error};

/// Free properties of a product, for instance `{"color": "red"}`.
pub type Attributes = BTreeMap<String, Value>;

/// Where a product is on its way to the buyer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Status {
    /// Not offered yet.
    #[default]
    Draft,
    /// For sale.
    Active,
    /// No longer offered.
    Inactive,
}

impl Status {
    /// Its name in JSON, events and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }
}

/// A product that was not deleted.
#[derive(Clone, Debug)]
pub struct Product {
    /// UUID version 7: products sort by it from oldest to newest.
    pub id: Uuid,
    /// Who sells it.
    pub seller_id: Uuid,
    /// What it is called.
    pub name: String,
    /// What it is.
    pub description: String,
    /// For one.
    pub price: Money,
    /// Whether it can be seen and bought.
    pub status: Status,
    /// An address elsewhere, or the path of an uploaded picture.
    pub image_url: Option<String>,
    /// Free properties.
    pub attributes: Attributes,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Product {
    /// Whether `caller` may know of it: everybody of an active product, else its seller and admins.
    #[must_use]
    pub fn visible_to(&self, caller: Option<&Caller>) -> bool {
        self.status == Status::Active || caller.is_some_and(|caller| caller.may_edit(self.seller_id))
    }

    /// Refuses a caller who may not change it; one who may not even see it does not learn that it exists.
    pub fn require_editor(&self, caller: &Caller) -> Result<(), Error> {
        if !self.visible_to(Some(caller)) {
            return Err(Error::NoProduct);
        }
        if caller.may_edit(self.seller_id) { Ok(()) } else { Err(Error::NotYours) }
    }

    /// Takes over what `change` says and leaves the rest; the picture is not its own until it is kept.
    pub fn apply(&mut self, change: &Change) {
        let Change { name, description, price, status, image: _, attributes, category_ids: _ } = change;
        replace(&mut self.name, name.as_ref());
        replace(&mut self.description, description.as_ref());
        replace(&mut self.price, price.as_ref());
        replace(&mut self.status, status.as_ref());
        replace(&mut self.attributes, attributes.as_ref());
    }
}

fn replace<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

/// A product to be.
#[derive(Debug)]
pub struct NewProduct {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub description: String,
    /// For one.
    pub price: Money,
    /// Whether it can be seen and bought.
    pub status: Status,
    /// Its picture.
    pub image: Image,
    /// Free properties.
    pub attributes: Attributes,
    /// Where it is found.
    pub category_ids: Vec<Uuid>,
}

/// What of a product is to change.
#[derive(Debug, Default)]
pub struct Change {
    /// What it is called.
    pub name: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// For one.
    pub price: Option<Money>,
    /// Whether it can be seen and bought.
    pub status: Option<Status>,
    /// Its picture.
    pub image: Option<Image>,
    /// Free properties.
    pub attributes: Option<Attributes>,
    /// Where it is found.
    pub category_ids: Option<Vec<Uuid>>,
}

impl Change {
    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let Self { name, description, price, status, image, attributes, category_ids } = self;
        name.is_none()
            && description.is_none()
            && price.is_none()
            && status.is_none()
            && image.is_none()
            && attributes.is_none()
            && category_ids.is_none()
    }
}

/// The picture of a product.
#[derive(Debug, Default)]
pub enum Image {
    /// None.
    #[default]
    None,
    /// Somewhere else.
    Elsewhere(String),
    /// Uploaded, and already encoded by us.
    Uploaded(Encoded),
}

/// Whose products a list may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// What is for sale.
    Anyone,
    /// That, and the seller's own.
    Seller(Uuid),
    /// Everything.
    Admin,
}

impl From<Option<&Caller>> for Viewer {
    fn from(caller: Option<&Caller>) -> Self {
        match caller {
            None => Self::Anyone,
            Some(caller) if caller.is(Role::Admin) => Self::Admin,
            Some(caller) => Self::Seller(caller.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(id: u128, role: Role) -> Caller {
        Caller { id: Uuid::from_u128(id), roles: vec![role], token: "t".to_owned().into() }
    }

    fn product(status: Status) -> Product {
        Product {
            id: Uuid::nil(),
            seller_id: Uuid::from_u128(1),
            name: "lamp".into(),
            description: String::new(),
            price: Money(100),
            status,
            image_url: Some("https://example.com/lamp.png".into()),
            attributes: Attributes::new(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_draft_is_only_there_for_its_seller_and_admins() {
        let draft = product(Status::Draft);
        assert!(!draft.visible_to(None));
        assert!(matches!(draft.require_editor(&caller(2, Role::Seller)), Err(Error::NoProduct)));
        assert!(draft.require_editor(&caller(1, Role::Seller)).is_ok());
        assert!(draft.require_editor(&caller(3, Role::Admin)).is_ok());
    }

    #[test]
    fn an_active_product_is_there_for_all_and_changed_by_its_own() {
        let active = product(Status::Active);
        assert!(active.visible_to(None));
        assert!(matches!(active.require_editor(&caller(2, Role::Seller)), Err(Error::NotYours)));
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let mut lamp = product(Status::Active);
        lamp.apply(&Change { price: Some(Money(250)), ..Change::default() });
        assert_eq!((lamp.price, lamp.name.as_str(), lamp.image_url.is_some()), (Money(250), "lamp", true));
    }
}
