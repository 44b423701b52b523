//! The category tree.

use serde::Serialize;
use shop_auth::Caller;
use shop_core::RequestKey;
use uuid::Uuid;

use super::{Catalog, written};
use crate::{
    domain::category::{Category, Node, forest},
    error::Error,
    store,
};

/// Whose idempotency keys these are.
const CREATE: &str = "POST /categories";

impl Catalog {
    /// Creates a category below `parent_id`, or a root; gives back its `answer`, or the one that `key` was given before.
    pub async fn create_category<A: Serialize>(
        &self,
        admin: &Caller,
        name: String,
        parent_id: Option<Uuid>,
        key: Option<&RequestKey>,
        answer: impl FnOnce(Category) -> A,
    ) -> Result<String, Error> {
        let category = Category { id: self.world.id(), name, parent_id, created_at: self.now() };
        let answer = written(&answer(category.clone()))?;
        let mut tx = self.pool.begin().await?;
        if let Some(before) = self.take(&mut tx, admin.id, CREATE, key, &answer).await? {
            return Ok(before);
        }
        store::categories::insert(&mut tx, &category).await?;
        tx.commit().await?;
        Ok(answer)
    }

    /// All categories as trees.
    pub async fn categories(&self) -> Result<Vec<Node>, Error> {
        Ok(forest(store::categories::all(&self.pool).await?))
    }
}
