//! Use cases. Prices are the catalog's at the moment of every answer; a cart stores none.

mod checkout;

use std::sync::Arc;

use shop_auth::Caller;
use shop_core::{Fault, Kind, RequestKey, World};
use uuid::Uuid;

use crate::{
    domain::{Cart, Knowledge, Known, Line},
    error::Error,
    grpc::{Catalog, Orders},
    store::{Facts, Reach, Store},
};

/// Everybody's carts; a clone is the same ones.
#[derive(Clone)]
pub struct Carts {
    /// Redis.
    pub store: Store,
    /// The product service.
    pub catalog: Catalog,
    /// The order service.
    pub orders: Orders,
    /// Time and ids.
    pub world: Arc<dyn World>,
}

impl Carts {
    /// The caller's cart.
    pub async fn show(&self, caller: &Caller) -> Result<Cart, Error> {
        let lines = self.store.lines(caller.id).await?;
        self.priced(caller, lines, Knowledge::new()).await
    }

    /// Adds to the cart what the catalog sells. With a key that was used before it adds nothing, and answers with what the
    /// cart held then.
    pub async fn add(&self, caller: &Caller, line: Line, key: Option<&RequestKey>) -> Result<Cart, Error> {
        let known = self.known(caller, &[line.product]).await?;
        if let Err(refusal) = known.get(&line.product).ok_or(Error::UnknownProduct).and_then(sellable) {
            // What was for sale when the key was first used may be gone now.
            let before = self.store.added_before(caller.id, key).await?.ok_or(refusal)?;
            return self.priced(caller, before, known).await;
        }
        let lines = self.store.add(caller.id, line, key).await?;
        self.priced(caller, lines, known).await
    }

    /// Changes the quantity of a product in the cart.
    pub async fn set(&self, caller: &Caller, line: Line) -> Result<Cart, Error> {
        let lines = self.store.set(caller.id, line).await?;
        self.priced(caller, lines, Knowledge::new()).await
    }

    /// Takes a product out; one that is not there already is out.
    pub async fn remove(&self, caller: &Caller, product: Uuid) -> Result<Cart, Error> {
        let lines = self.store.remove(caller.id, product).await?;
        self.priced(caller, lines, Knowledge::new()).await
    }

    /// Empties the cart.
    pub async fn clear(&self, caller: &Caller) -> Result<(), Error> {
        self.store.clear(caller.id).await
    }

    /// A cart at today's prices; `known` needs no second question.
    async fn priced(&self, caller: &Caller, lines: Vec<Line>, mut known: Knowledge) -> Result<Cart, Error> {
        let others = lines.iter().map(|line| line.product).filter(|product| !known.contains_key(product));
        let others: Vec<Uuid> = others.collect();
        known.extend(self.known(caller, &others).await?);
        Ok(Cart::priced(caller.id, lines, known, self.world.now()))
    }

    /// What is known of `products` now: the catalog's answer, or the last known facts while it does not answer.
    async fn known(&self, caller: &Caller, products: &[Uuid]) -> Result<Knowledge, Error> {
        if products.is_empty() {
            return Ok(Knowledge::new());
        }
        let asked_at = self.world.now();
        let answer = match self.catalog.products(caller, products).await {
            Ok(answer) => answer,
            Err(fault) if is_silence(fault.kind()) => return self.last_known(products, fault).await,
            Err(fault) => return Err(fault.into()),
        };
        let news: Vec<_> = answer.iter().map(|(id, product)| (*id, Facts::from(product))).collect();
        self.store.learn(&news, asked_at, Reach::All).await?;

        let gone: Vec<Uuid> = products.iter().copied().filter(|product| !answer.contains_key(product)).collect();
        let mut known: Knowledge = answer.into_iter().map(|(id, product)| (id, Known::fresh(product))).collect();
        let withdrawn = self.store.recall(&gone).await?;
        known.extend(withdrawn.into_iter().map(|(id, product)| (id, Known::withdrawn(product))));
        Ok(known)
    }

    /// All or nothing: a line without a price would make a total that is wrong.
    async fn last_known(&self, products: &[Uuid], silence: Fault) -> Result<Knowledge, Error> {
        let copies = self.store.recall(products).await?;
        if products.iter().any(|product| !copies.contains_key(product)) {
            return Err(silence.into());
        }
        tracing::warn!(error.cause = silence.cause(), "the catalog does not answer; showing the last known prices");
        Ok(copies.into_iter().map(|(id, product)| (id, Known::last(product))).collect())
    }
}

fn sellable(known: &Known) -> Result<(), Error> {
    if known.product.active { Ok(()) } else { Err(Error::NotForSale) }
}

/// Whether a failed call says nothing about the products.
const fn is_silence(kind: Kind) -> bool {
    matches!(kind, Kind::Unavailable { .. } | Kind::TooMany { .. } | Kind::Internal)
}
