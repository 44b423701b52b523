//! Who a request comes from.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use shop_core::Fault;
use uuid::Uuid;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everybody who registered.
    Buyer,
    /// May sell.
    Seller,
    /// May manage the shop.
    Admin,
}

/// An authenticated user, with the token that proves it, so that calls made for the user carry it on.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user's id.
    pub id: Uuid,
    /// The user's roles when the token was minted.
    pub roles: Vec<Role>,
    /// The access token itself.
    pub token: SecretString,
}

impl Caller {
    /// Whether the caller has `role`.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Refuses a caller without `role`.
    pub fn require(&self, role: Role) -> Result<(), Fault> {
        if self.is(role) { Ok(()) } else { Err(Fault::forbidden("You may not do this with your roles")) }
    }

    /// Whether the caller owns what `owner` owns: the owner, or an admin.
    #[must_use]
    pub fn may_edit(&self, owner: Uuid) -> bool {
        self.id == owner || self.is(Role::Admin)
    }
}
