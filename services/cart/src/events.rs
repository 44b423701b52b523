//! What the catalog tells: product and inventory events keep the catalog copy fresh. There is no inbox, because writing the
//! same facts twice changes nothing, and facts older than the known ones are dropped by their time.

use shop_core::Fault;
use shop_messaging::{Handler, Incoming};
use shop_proto::events::{InventoryChanged, ProductCreated, ProductDeleted, ProductStatusChanged, ProductUpdated};
use uuid::Uuid;

use crate::store::{Details, Facts, Reach, Store};

/// The status of a product that can be bought.
const ACTIVE: &str = "active";

/// Handles product and inventory events.
pub struct CatalogEvents {
    /// Where the copy is.
    pub store: Store,
}

impl Handler for CatalogEvents {
    async fn handle(&self, event: &Incoming) -> Result<(), Fault> {
        let Some((product, facts)) = news(event)? else { return Ok(()) };
        let product = Uuid::parse_str(&product)
            .map_err(|error| Fault::invalid(format!("{product:?} is no product id")).caused_by(error))?;
        Ok(self.store.learn(&[(product, facts)], event.occurred_at, Reach::Known).await?)
    }
}

/// What an event says about which product.
fn news(event: &Incoming) -> Result<Option<(String, Facts)>, Fault> {
    let news = if event.is::<ProductCreated>() {
        let ProductCreated { product_id, name, price_minor, image_url, status, seller_id: _, currency: _ } =
            event.payload()?;
        (product_id, described(name, price_minor, image_url, &status))
    } else if event.is::<ProductUpdated>() {
        let ProductUpdated { product_id, name, price_minor, image_url, status, seller_id: _, currency: _ } =
            event.payload()?;
        (product_id, described(name, price_minor, image_url, &status))
    } else if event.is::<ProductStatusChanged>() {
        let ProductStatusChanged { product_id, status } = event.payload()?;
        (product_id, Facts { active: Some(status == ACTIVE), ..Facts::default() })
    } else if event.is::<ProductDeleted>() {
        let ProductDeleted { product_id } = event.payload()?;
        (product_id, Facts { active: Some(false), ..Facts::default() })
    } else if event.is::<InventoryChanged>() {
        let InventoryChanged { product_id, available, stock: _, reserved: _ } = event.payload()?;
        (product_id, Facts { available: Some(available), ..Facts::default() })
    } else {
        return Ok(None);
    };
    Ok(Some(news))
}

fn described(name: String, price_minor: i64, image_url: String, status: &str) -> Facts {
    let details = Details { name, price_minor, image_url };
    Facts { details: Some(details), active: Some(status == ACTIVE), available: None }
}
