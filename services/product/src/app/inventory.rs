//! Stock as its seller counts it.

use shop_auth::Caller;
use uuid::Uuid;

use super::Catalog;
use crate::{domain::stock::Inventory, error::Error, store};

impl Catalog {
    /// The stock of a product.
    pub async fn inventory(&self, caller: Option<&Caller>, product: Uuid) -> Result<Inventory, Error> {
        let found = store::products::find(&self.pool, product).await?.filter(|found| found.product.visible_to(caller));
        Ok(found.ok_or(Error::NoProduct)?.inventory)
    }

    /// Sets what is on hand and not sold; what is reserved of it stays reserved.
    pub async fn set_stock(&self, caller: &Caller, product: Uuid, stock: i64) -> Result<Inventory, Error> {
        let mut tx = self.pool.begin().await?;
        self.lock_for(&mut tx, caller, product).await?;
        let Inventory { reserved, .. } = store::inventory::lock(&mut tx, product).await?;
        if stock < reserved {
            return Err(Error::BelowReserved { reserved });
        }
        let inventory = store::inventory::set(&mut tx, product, stock).await?;
        self.push_inventory(&mut tx, &inventory).await?;
        tx.commit().await?;
        self.outbox.wake();
        Ok(inventory)
    }
}
