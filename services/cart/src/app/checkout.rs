//! Exactly one order a checkout.
//!
//! An *attempt* is an order id and the lines the cart held when it was minted, stored in one step (`scripts/begin.lua`).
//! Every call until its outcome is known carries that id and those lines, and order answers one id with one order. The
//! address and the expected total are each call's own: while there is no order, the buyer's latest word counts, and no
//! address has to lie in Redis.
//!
//! Where a crash, a lost reply or a cut connection leaves things:
//!
//! | after | next checkout |
//! |---|---|
//! | nothing | starts an attempt |
//! | attempt stored | joins it: same id, same lines |
//! | order committed, its reply lost | joins it: order answers with the order it has, the cart is cleared then |
//! | reply here, cart not cleared | the same |
//! | cart cleared, our reply lost | within [`REPEAT_WINDOW`](crate::store::REPEAT_WINDOW) the same answer, if the cart has not changed; then there is nothing to order |
//! | refused, attempt not ended | joins it, is refused again, ends it |
//!
//! *Two calls at once* carry one id. The first to return takes the lines out and ends the attempt in one step, the second
//! finds nothing to take. A refusal ends the attempt only when no other call of it can still succeed: each call is
//! registered with the time until which it may ([`CALL_LIFE`]), so a new id never runs beside an old one.
//!
//! *Outcome unknown, and then the buyer takes something out*: sending the old lines would order what was taken out, and a new
//! id could be a second order. So order closes the old id: either there is an order of it, or there never will be, whatever
//! calls of it are still on their way. The same is done with an attempt whose call was answered with another order, the one that
//! its key had made; a second tab that was part of it has to check out again.
//!
//! *With an `Idempotency-Key`* order is asked for it first: it keeps a key in the transaction of its order, so the same
//! answer comes again for 24 hours, whatever became of the attempt, of Redis or of the cart since. Another key on the same
//! attempt, a second tab's, comes to stand for the same order.
//!
//! What this rests on: Redis keeps what it confirmed. With `appendfsync everysec` a Redis that loses power may forget an
//! attempt of its last second; then the order of a reply lost in that second can be made again.

use std::time::Duration;

use shop_auth::Caller;
use shop_core::{Fault, RequestKey};
use tracing::Instrument as _;
use uuid::Uuid;

use super::Carts;
use crate::{
    domain::{Attempt, Checkout, Placed, is_refusal},
    error::Error,
    store::Begun,
};

/// The client side of a call gives up after 10 s at the latest, tries included, and tells the server side so (`shop-mesh`, and the
/// Shop's rule for `mesh.edges`); the rest is for a process that is held up between Redis and that call, and for jumps of
/// Redis's clock, by which it is counted.
const CALL_LIFE: Duration = Duration::from_secs(20);

impl Carts {
    /// Turns the cart into an order, or joins the checkout that is doing so.
    #[tracing::instrument(name = "checkout", skip_all)]
    pub async fn checkout(&self, caller: &Caller, checkout: Checkout) -> Result<Placed, Error> {
        if let Some(placed) = self.placed_before(caller, checkout.key.as_ref()).await? {
            return Ok(placed);
        }
        match self.begin(caller).await? {
            (Begun::Open(attempt), call) => self.place_whatever_happens(caller, attempt, call, checkout).await,
            (Begun::Outgrown(attempt), call) => self.settle(caller, attempt, call, checkout).await,
            (begun, _) => self.without_an_attempt(caller, begun, checkout.key.as_ref()).await,
        }
    }

    /// The order this key made before; the cart it was made of is cleared now if it was not then.
    async fn placed_before(&self, caller: &Caller, key: Option<&RequestKey>) -> Result<Option<Placed>, Error> {
        let Some(key) = key else { return Ok(None) };
        let placed = self.orders.find_by_key(caller, key).await?;
        if let Some(placed) = &placed {
            self.complete(caller, placed).await;
        }
        Ok(placed)
    }

    async fn without_an_attempt(
        &self,
        caller: &Caller,
        begun: Begun,
        key: Option<&RequestKey>,
    ) -> Result<Placed, Error> {
        match (begun, key) {
            (Begun::Done(placed), None) => Ok(placed),
            // A new key says that this is no repetition; but its first request may have ended since order was asked.
            (Begun::Done(_) | Begun::Empty, Some(_)) => self.placed_before(caller, key).await?.ok_or(Error::Empty),
            (Begun::Empty, None) => Err(Error::Empty),
            // Settled just now, and outgrown again: the cart changes while it is checked out.
            (Begun::Open(_) | Begun::Outgrown(_), _) => Err(Error::InProgress),
        }
    }

    async fn begin(&self, caller: &Caller) -> Result<(Begun, Uuid), Error> {
        let call = self.world.id();
        Ok((self.store.begin(caller.id, self.world.id(), call, CALL_LIFE).await?, call))
    }

    /// In a task of its own: a buyer who closes the page ends the request, and would leave an order behind with a full cart.
    async fn place_whatever_happens(
        &self,
        caller: &Caller,
        attempt: Attempt,
        call: Uuid,
        checkout: Checkout,
    ) -> Result<Placed, Error> {
        let (carts, caller) = (self.clone(), caller.clone());
        let place = async move { carts.place(&caller, &attempt, call, checkout).await };
        tokio::spawn(shop_mesh::with_this_deadline(place.in_current_span())).await.map_err(Fault::internal)?
    }

    async fn place(&self, caller: &Caller, attempt: &Attempt, call: Uuid, checkout: Checkout) -> Result<Placed, Error> {
        match self.orders.create(caller, attempt, checkout).await {
            Ok(placed) => {
                self.complete(caller, &placed).await;
                if placed.order != attempt.order {
                    self.give_up(caller, attempt.order).await;
                }
                Ok(placed)
            }
            Err(fault) if is_refusal(&fault) => {
                self.end(caller, attempt.order, Some(call)).await;
                Err(attempt.naming_products(fault).into())
            }
            Err(unknown) => Err(unknown.into()),
        }
    }

    /// The cart no longer holds what an attempt of unknown outcome would order: it ends here, with an order or without.
    async fn settle(&self, caller: &Caller, attempt: Attempt, call: Uuid, checkout: Checkout) -> Result<Placed, Error> {
        if self.orders.close(caller, attempt.order).await?.is_some() {
            // There is an order: asking for it makes no other one, has the key stand for it, and ends the attempt after that.
            return self.place_whatever_happens(caller, attempt, call, checkout).await;
        }
        self.end(caller, attempt.order, None).await;
        match self.begin(caller).await? {
            (Begun::Open(attempt), call) => self.place_whatever_happens(caller, attempt, call, checkout).await,
            (begun, _) => self.without_an_attempt(caller, begun, checkout.key.as_ref()).await,
        }
    }

    /// The order exists, so the buyer is told so even when the cart cannot be cleared now: the attempt is still there, and
    /// the next checkout joins it and clears it.
    async fn complete(&self, caller: &Caller, placed: &Placed) {
        if let Err(error) = self.store.complete(caller.id, placed).await {
            let cause = Fault::from(error).cause();
            tracing::warn!(error.cause = cause, order = %placed.order, "the order is made, its cart is cleared later");
        }
    }

    /// Ends an attempt whose call was answered with the order that its key had made before. When that is not known, the
    /// attempt stays, and the next checkout joins it.
    async fn give_up(&self, caller: &Caller, order: Uuid) {
        match self.orders.close(caller, order).await {
            Ok(Some(placed)) => self.complete(caller, &placed).await,
            Ok(None) => self.end(caller, order, None).await,
            Err(fault) => tracing::warn!(error.cause = fault.cause(), order = %order, "the attempt is given up later"),
        }
    }

    /// The buyer gets the answer even when the attempt cannot be ended now: the next checkout ends it.
    async fn end(&self, caller: &Caller, order: Uuid, refused: Option<Uuid>) {
        if let Err(error) = self.store.end(caller.id, order, refused).await {
            let cause = Fault::from(error).cause();
            tracing::warn!(error.cause = cause, order = %order, "the attempt is ended later");
        }
    }
}
