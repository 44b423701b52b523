//! Creating, changing, deleting, reading and finding products.

use serde::Serialize;
use shop_auth::Caller;
use shop_core::RequestKey;
use shop_db::idempotency::Request;
use shop_proto::events::{ProductCreated, ProductDeleted, ProductStatusChanged, ProductUpdated};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Catalog, written};
use crate::{
    domain::{
        category::Category,
        product::{Change, NewProduct, Product},
        stock::{Inventory, Offer},
        words,
    },
    error::Error,
    store::{
        self,
        search::{Filter, Hit, Page},
    },
};

/// A product with everything around it.
pub struct Details {
    /// The product.
    pub product: Product,
    /// Where it is filed.
    pub categories: Vec<Category>,
    /// Its stock.
    pub inventory: Inventory,
}

/// Whose idempotency keys these are.
const CREATE: &str = "POST /products";

impl Catalog {
    /// What creating a product under `key` was answered before: asked before a picture is decoded for nothing.
    pub async fn created_before(&self, seller: &Caller, key: Option<&RequestKey>) -> Result<Option<String>, Error> {
        let Some(key) = key else { return Ok(None) };
        let mut connection = self.pool.acquire().await?;
        let request = Request { user: seller.id, route: CREATE, key };
        Ok(request.answered(&mut connection).await?)
    }

    /// Creates a product of `seller`, with nothing in stock; gives back its `answer`, or the one that `key` was given
    /// before.
    pub async fn create_product<A: Serialize>(
        &self,
        seller: &Caller,
        new: NewProduct,
        key: Option<&RequestKey>,
        answer: impl FnOnce(Product) -> A,
    ) -> Result<String, Error> {
        let NewProduct { name, description, price, status, image, attributes, category_ids } = new;
        let now = self.now();
        let image_url = self.upload(&image).await?;
        let mut tx = self.pool.begin().await?;
        self.keep(&mut tx, &image).await?;
        let id = self.world.id();
        let product = Product {
            id,
            seller_id: seller.id,
            name,
            description,
            price,
            status,
            image_url,
            attributes,
            created_at: now,
            updated_at: now,
        };
        let answer = written(&answer(product.clone()))?;
        if let Some(before) = self.take(&mut tx, seller.id, CREATE, key, &answer).await? {
            return Ok(before);
        }
        store::products::insert(&mut tx, &product).await?;
        store::products::categorize(&mut tx, id, &category_ids).await?;
        store::inventory::open(&mut tx, id).await?;
        store::search::learn(&mut tx, &product).await?;
        self.push(&mut tx, &self.created(&product)).await?;
        tx.commit().await?;
        self.outbox.wake();
        Ok(answer)
    }

    /// Changes what `change` names.
    pub async fn update_product(&self, caller: &Caller, id: Uuid, change: Change) -> Result<(), Error> {
        let image_url = match &change.image {
            Some(image) => Some(self.upload(image).await?),
            None => None,
        };
        let mut tx = self.pool.begin().await?;
        let mut product = self.lock_for(&mut tx, caller, id).await?;
        if change.is_empty() {
            return Ok(());
        }
        let status_before = product.status;
        product.apply(&change);
        if let (Some(image), Some(image_url)) = (&change.image, image_url) {
            self.keep(&mut tx, image).await?;
            product.image_url = image_url;
        }
        product.updated_at = self.world.now();
        store::products::update(&mut tx, &product).await?;
        if let Some(categories) = &change.category_ids {
            store::products::categorize(&mut tx, id, categories).await?;
        }
        store::search::learn(&mut tx, &product).await?;
        self.push(&mut tx, &self.updated(&product)).await?;
        if product.status != status_before {
            let event = ProductStatusChanged { product_id: id.to_string(), status: product.status.as_str().to_owned() };
            self.push(&mut tx, &event).await?;
        }
        tx.commit().await?;
        self.outbox.wake();
        Ok(())
    }

    /// Takes a product out of sight.
    pub async fn delete_product(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        self.lock_for(&mut tx, caller, id).await?;
        store::products::delete(&mut tx, id, self.world.now()).await?;
        self.push(&mut tx, &ProductDeleted { product_id: id.to_string() }).await?;
        tx.commit().await?;
        self.outbox.wake();
        Ok(())
    }

    /// A product and everything around it.
    pub async fn product(&self, caller: Option<&Caller>, id: Uuid) -> Result<Details, Error> {
        let found = store::products::find(&self.pool, id).await?.filter(|found| found.product.visible_to(caller));
        let store::products::Stocked { product, inventory } = found.ok_or(Error::NoProduct)?;
        let categories = store::categories::of_product(&self.pool, id).await?;
        Ok(Details { product, categories, inventory })
    }

    /// One page of what `filter` and the words of `text` find in `category` or below it, and how many there are in all.
    pub async fn find_products(
        &self,
        text: Option<&str>,
        category: Option<Uuid>,
        mut filter: Filter,
        page: Page,
    ) -> Result<(Vec<Hit>, u64), Error> {
        if let Some(text) = text {
            filter.terms = words::terms(store::search::words(&self.pool, text).await?);
            if filter.terms.is_none() {
                return Ok((Vec::new(), 0));
            }
        }
        if let Some(category) = category {
            filter.category_ids = Some(store::categories::below(&self.pool, category).await?);
        }
        let (hits, known) = if filter.is_unordered() {
            store::search::find(&self.pool, &filter, &page).await?
        } else {
            (store::search::list(&self.pool, &filter, &page).await?, None)
        };
        let found = u64::try_from(hits.len()).unwrap_or_default();
        let total = match (known, page.after, page.offset) {
            (Some(total), _, _) => total,
            // A first page that is not full has them all.
            (None, None, 0) if found < u64::try_from(page.limit).unwrap_or_default() => found,
            _ => store::search::count(&self.pool, &filter).await?,
        };
        Ok((hits, total))
    }

    /// Products as they can be had now; unknown and deleted ones are left out.
    pub async fn offers(&self, ids: &[Uuid]) -> Result<Vec<Offer>, Error> {
        Ok(store::products::offers(&self.pool, ids).await?)
    }

    /// A product that `caller` may change, locked.
    pub(super) async fn lock_for(&self, tx: &mut PgConnection, caller: &Caller, id: Uuid) -> Result<Product, Error> {
        let product = store::products::lock(tx, id).await?.ok_or(Error::NoProduct)?;
        product.require_editor(caller)?;
        Ok(product)
    }

    fn created(&self, product: &Product) -> ProductCreated {
        let ProductUpdated { product_id, seller_id, name, price_minor, currency, status, image_url } =
            self.updated(product);
        ProductCreated { product_id, seller_id, name, price_minor, currency, status, image_url }
    }

    fn updated(&self, product: &Product) -> ProductUpdated {
        ProductUpdated {
            product_id: product.id.to_string(),
            seller_id: product.seller_id.to_string(),
            name: product.name.clone(),
            price_minor: product.price.0,
            currency: self.currency.code().to_owned(),
            status: product.status.as_str().to_owned(),
            image_url: product.image_url.clone().unwrap_or_default(),
        }
    }
}
