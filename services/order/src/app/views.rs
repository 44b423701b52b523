//! Reading orders.

use std::collections::HashMap;

use shop_auth::{Caller, Role};
use uuid::Uuid;

use super::Orders;
use crate::{
    domain::{Cursor, Line, Order, Page},
    error::Error,
    store::{self, HistoryRow, SoldLine},
};

/// An order with what was bought and how it came to where it is.
#[derive(Clone, Debug)]
pub struct OrderView {
    /// The order.
    pub order: Order,
    /// What was bought.
    pub lines: Vec<Line>,
    /// Its moves, oldest first.
    pub history: Vec<HistoryRow>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// How many there are on all pages.
    pub total: i64,
    /// Where the next page begins; `None` on the last.
    pub next: Option<String>,
}

impl Orders {
    /// One of the caller's orders, alone.
    pub async fn order(&self, caller: &Caller, id: Uuid) -> Result<Order, Error> {
        store::order_of(&self.pool, id, caller.id).await?.ok_or(Error::NotFound)
    }

    /// One of the caller's orders, with everything.
    pub async fn view(&self, caller: &Caller, id: Uuid) -> Result<OrderView, Error> {
        let mut connection = self.pool.acquire().await?;
        let order = store::order_of(&mut *connection, id, caller.id).await?.ok_or(Error::NotFound)?;
        let lines = store::lines(&mut connection, &[id]).await?.into_iter().map(|row| row.line).collect();
        let history = store::history(&mut connection, id).await?;
        Ok(OrderView { order, lines, history })
    }

    /// The caller's orders, newest first.
    pub async fn mine(&self, caller: &Caller, page: &Page) -> Result<Listed<(Order, Vec<Line>)>, Error> {
        let mut connection = self.pool.acquire().await?;
        let mut orders = store::orders_of(&mut connection, caller.id, page).await?;
        let next = page.cut(&mut orders, |order| Cursor { at: order.created_at, order: order.id, line: 0 });
        let total = store::count_orders(&mut connection, caller.id).await?;
        let ids: Vec<Uuid> = orders.iter().map(|order| order.id).collect();
        let mut lines: HashMap<Uuid, Vec<Line>> = HashMap::new();
        for row in store::lines(&mut connection, &ids).await? {
            lines.entry(row.order_id).or_default().push(row.line);
        }
        let rows = orders.into_iter().map(|order| {
            let lines = lines.remove(&order.id).unwrap_or_default();
            (order, lines)
        });
        Ok(Listed { rows: rows.collect(), total, next })
    }

    /// What the caller sold, newest first.
    pub async fn sold(&self, caller: &Caller, page: &Page) -> Result<Listed<SoldLine>, Error> {
        caller.require(Role::Seller)?;
        let mut connection = self.pool.acquire().await?;
        let mut rows = store::sold_by(&mut connection, caller.id, page).await?;
        let next = page.cut(&mut rows, |row| Cursor { at: row.created_at, order: row.order_id, line: row.number });
        let total = store::count_sold(&mut connection, caller.id).await?;
        Ok(Listed { rows, total, next })
    }
}
