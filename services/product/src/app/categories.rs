//! The category tree.

use uuid::Uuid;

use super::Catalog;
use crate::{
    domain::category::{Category, Node, forest},
    error::Error,
    store,
};

impl Catalog {
    /// Creates a category below `parent_id`, or a root.
    pub async fn create_category(&self, name: String, parent_id: Option<Uuid>) -> Result<Category, Error> {
        let category = Category { id: self.world.id(), name, parent_id, created_at: self.world.now() };
        store::categories::insert(&self.pool, &category).await
    }

    /// All categories as trees.
    pub async fn categories(&self) -> Result<Vec<Node>, Error> {
        Ok(forest(store::categories::all(&self.pool).await?))
    }
}
