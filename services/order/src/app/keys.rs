//! Checkouts that come again under one idempotency key.

use serde::{Deserialize, Serialize};
use shop_auth::Caller;
use shop_core::{Fault, RequestKey};
use shop_db::idempotency::Request;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Orders;
use crate::{
    domain::{Order, Status},
    error::Error,
    store,
};

/// Whose keys these are: the buyer's, through the cart.
const CHECKOUT: &str = "POST /cart/checkout";

/// What a checkout was answered; the rest of an order never changes.
#[derive(Serialize, Deserialize)]
struct Answer {
    order: Uuid,
    status: Status,
}

impl Orders {
    /// The order that the caller's checkout under `key` made, as it was answered then.
    pub async fn order_by_key(&self, caller: &Caller, key: &RequestKey) -> Result<Order, Error> {
        self.made_under(caller, Some(key)).await?.ok_or(Error::NotFound)
    }

    /// The same, for a checkout that may have no key.
    pub(super) async fn made_under(&self, caller: &Caller, key: Option<&RequestKey>) -> Result<Option<Order>, Error> {
        let Some(key) = key else { return Ok(None) };
        let mut connection = self.pool.acquire().await?;
        match request(caller.id, key).answered(&mut connection).await? {
            Some(answer) => recall(&mut connection, caller.id, &answer).await.map(Some),
            None => Ok(None),
        }
    }

    /// Has `key` stand for `order` once that is committed, and gives back `None`; or the order that it stands for already.
    pub(super) async fn keep(
        &self,
        tx: &mut PgConnection,
        key: Option<&RequestKey>,
        order: &Order,
    ) -> Result<Option<Order>, Error> {
        let Some(key) = key else { return Ok(None) };
        let answer = Answer { order: order.id, status: order.status };
        let answer = serde_json::to_string(&answer).map_err(Fault::internal)?;
        match request(order.user_id, key).take(tx, &answer).await? {
            Some(before) => recall(tx, order.user_id, &before).await.map(Some),
            None => Ok(None),
        }
    }
}

fn request(user: Uuid, key: &RequestKey) -> Request<'_> {
    Request { user, route: CHECKOUT, key }
}

async fn recall(connection: &mut PgConnection, user: Uuid, answer: &str) -> Result<Order, Error> {
    let Answer { order, status } = serde_json::from_str(answer).map_err(Fault::internal)?;
    let order = store::order_of(connection, order, user).await?.ok_or(Error::NotFound)?;
    Ok(Order { status, ..order })
}
