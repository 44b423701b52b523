//! Stock, and the life of a reservation: reserved, then committed or released; a committed one may still be released, which
//! puts its goods back on the shelf.

use jiff::Timestamp;
use shop_core::Money;
use uuid::Uuid;

use super::product::Status;

/// The most units of one product a seller may have.
pub const MAX_STOCK: i64 = 1_000_000_000;

/// The stock of one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Whose.
    pub product_id: Uuid,
    /// On hand and not sold.
    pub stock: i64,
    /// Of it, set aside for orders that are not paid.
    pub reserved: i64,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Inventory {
    /// What can be reserved now.
    #[must_use]
    pub const fn available(&self) -> i64 {
        self.stock - self.reserved
    }
}

/// One line of an order to reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which product.
    pub product_id: Uuid,
    /// How many.
    pub quantity: i64,
}

/// A product as it can be had now.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Which product.
    pub product_id: Uuid,
    /// Who sells it.
    pub seller_id: Uuid,
    /// What it is called.
    pub name: String,
    /// For one.
    pub price: Money,
    /// Its picture.
    pub image_url: Option<String>,
    /// Whether it can be bought.
    pub status: Status,
    /// How many can be reserved.
    pub available: i64,
}

/// One line of a reservation, with what the order was promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which product.
    pub product_id: Uuid,
    /// Who sells it.
    pub seller_id: Uuid,
    /// What it was called.
    pub name: String,
    /// For one.
    pub price: Money,
    /// How many.
    pub quantity: i64,
    /// Its picture.
    pub image_url: Option<String>,
}

/// Why one line cannot be reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Unknown, deleted, or not active.
    NotForSale {
        /// Which product.
        product_id: Uuid,
    },
    /// Fewer than wanted.
    OutOfStock {
        /// Which product.
        product_id: Uuid,
        /// How many were asked for.
        wanted: i64,
        /// How many there are.
        left: i64,
    },
}

/// The lines of a reservation, in the order they were wanted; or what stands against it, for every line at once.
pub fn price(wanted: &[Wanted], offers: &[Offer]) -> Result<Vec<Line>, Vec<Shortage>> {
    let (mut lines, mut shortages) = (Vec::with_capacity(wanted.len()), Vec::new());
    for line in wanted {
        match price_line(*line, offers) {
            Ok(line) => lines.push(line),
            Err(shortage) => shortages.push(shortage),
        }
    }
    if shortages.is_empty() { Ok(lines) } else { Err(shortages) }
}

fn price_line(Wanted { product_id, quantity }: Wanted, offers: &[Offer]) -> Result<Line, Shortage> {
    let offer = offers
        .iter()
        .find(|offer| offer.product_id == product_id && offer.status == Status::Active)
        .ok_or(Shortage::NotForSale { product_id })?;
    if offer.available < quantity {
        return Err(Shortage::OutOfStock { product_id, wanted: quantity, left: offer.available });
    }
    let Offer { seller_id, name, price, image_url, .. } = offer.clone();
    Ok(Line { product_id, seller_id, name, price, quantity, image_url })
}

/// Where a reservation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum State {
    /// Set aside for an order that is not paid.
    Reserved,
    /// Sold.
    Committed,
    /// Over: given back, or never made.
    Released,
}

/// How units move between shelf, reservation and buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// Set aside.
    Hold,
    /// Sold.
    Commit,
    /// No longer set aside.
    Release,
    /// Sold before, and back again.
    Restock,
}

impl Movement {
    /// What `quantity` units add to stock and to reserved.
    #[must_use]
    pub const fn deltas(self, quantity: i64) -> (i64, i64) {
        match self {
            Self::Hold => (0, quantity),
            Self::Commit => (-quantity, -quantity),
            Self::Release => (0, -quantity),
            Self::Restock => (quantity, 0),
        }
    }
}

/// What an event of the order does to its reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It moves on, and its units with it.
    Move(State, Movement),
    /// It is where the event wants it.
    Stay,
    /// The order was paid, and its goods are no longer there for it.
    Reject,
}

impl State {
    /// The order was paid.
    #[must_use]
    pub const fn paid(self) -> Step {
        match self {
            Self::Reserved => Step::Move(Self::Committed, Movement::Commit),
            Self::Committed => Step::Stay,
            Self::Released => Step::Reject,
        }
    }

    /// The order was canceled, before or after it was paid.
    #[must_use]
    pub const fn canceled(self) -> Step {
        match self {
            Self::Reserved => Step::Move(Self::Released, Movement::Release),
            Self::Committed => Step::Move(Self::Released, Movement::Restock),
            Self::Released => Step::Stay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(id: u128, status: Status, available: i64) -> Offer {
        Offer {
            product_id: Uuid::from_u128(id),
            seller_id: Uuid::nil(),
            name: format!("product {id}"),
            price: Money(100),
            image_url: None,
            status,
            available,
        }
    }

    fn wanted(id: u128, quantity: i64) -> Wanted {
        Wanted { product_id: Uuid::from_u128(id), quantity }
    }

    #[test]
    fn one_line_that_cannot_be_had_spoils_the_reservation_and_every_such_line_is_named() {
        let offers = [offer(1, Status::Active, 5), offer(2, Status::Active, 1), offer(3, Status::Inactive, 9)];
        let refused = price(&[wanted(1, 5), wanted(2, 3), wanted(3, 1), wanted(4, 1)], &offers).unwrap_err();
        assert_eq!(
            refused,
            [
                Shortage::OutOfStock { product_id: Uuid::from_u128(2), wanted: 3, left: 1 },
                Shortage::NotForSale { product_id: Uuid::from_u128(3) },
                Shortage::NotForSale { product_id: Uuid::from_u128(4) },
            ]
        );
    }

    #[test]
    fn lines_come_back_in_the_order_they_were_wanted() {
        let offers = [offer(1, Status::Active, 5), offer(2, Status::Active, 5)];
        let lines = price(&[wanted(2, 1), wanted(1, 5)], &offers).unwrap();
        assert_eq!(lines.iter().map(|line| line.quantity).collect::<Vec<_>>(), [1, 5]);
    }

    #[test]
    fn whatever_happens_to_an_order_its_units_are_counted_once() {
        type Event = fn(State) -> Step;
        let (paid, canceled): (Event, Event) = (State::paid, State::canceled);
        for events in [vec![paid], vec![canceled], vec![paid, canceled], vec![canceled, paid]] {
            let (mut state, mut stock, mut reserved) = (State::Reserved, 10, 3);
            // Every event comes twice.
            for event in events.iter().flat_map(|event| [event, event]) {
                if let Step::Move(next, movement) = event(state) {
                    let (stock_delta, reserved_delta) = movement.deltas(3);
                    (state, stock, reserved) = (next, stock + stock_delta, reserved + reserved_delta);
                }
            }
            let sold = if state == State::Committed { 3 } else { 0 };
            assert_eq!((stock, reserved), (10 - sold, 0));
        }
    }

    #[test]
    fn a_payment_that_finds_its_reservation_gone_is_rejected() {
        assert_eq!(State::Released.paid(), Step::Reject);
    }
}
