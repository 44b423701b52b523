//! A checkout before it is an order: what is wanted, and what the catalog says it costs.

use std::collections::HashMap;

use shop_core::{Currency, Money, RequestKey};
use uuid::Uuid;

use super::{Address, Line, Refusal};

/// One product that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedLine {
    /// The product.
    pub product_id: Uuid,
    /// How many.
    pub quantity: i32,
}

/// What a caller asks for; every rule of its fields is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The caller's id for it, the same on every retry.
    pub order_id: Option<Uuid>,
    /// What is wanted; no product twice.
    pub lines: Vec<RequestedLine>,
    /// Where it goes.
    pub address: Address,
    /// What the buyer was shown.
    pub expected_total: Option<Money>,
    /// The checkout's idempotency key.
    pub key: Option<RequestKey>,
}

/// What the catalog set aside, at its prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The lines.
    pub lines: Vec<Line>,
    /// The currency of their prices.
    pub currency: Currency,
}

impl Draft {
    /// Whether `lines` are what was asked for. A reservation is kept by order id, so the same id with another cart would
    /// get the first cart's.
    #[must_use]
    pub fn asks_for(&self, lines: &[Line]) -> bool {
        let wanted: HashMap<Uuid, i32> = self.lines.iter().map(|line| (line.product_id, line.quantity)).collect();
        lines.len() == wanted.len() && lines.iter().all(|line| wanted.get(&line.product_id) == Some(&line.quantity))
    }

    /// What `lines` cost, when it is what the buyer was shown.
    pub fn total(&self, lines: &[Line]) -> Result<Money, Refusal> {
        let total = lines.iter().try_fold(Money(0), |sum, line| {
            let quantity = u32::try_from(line.quantity).ok()?;
            sum.plus(Money(line.unit_price_minor).times(quantity)?)
        });
        let total = total.ok_or(Refusal::TotalTooLarge)?;
        match self.expected_total {
            Some(expected) if expected != total => Err(Refusal::PriceChanged),
            Some(_) | None => Ok(total),
        }
    }
}

#[cfg(test)]
mod tests {
    use shop_core::money::MAX_MINOR;

    use super::*;

    fn draft(quantities: &[i32], expected_total: Option<Money>) -> Draft {
        let lines = (1..)
            .zip(quantities)
            .map(|(id, quantity)| RequestedLine { product_id: Uuid::from_u128(id), quantity: *quantity });
        let text = || "x".to_owned();
        let address = Address { full_name: text(), phone: text(), city: text(), street: text() };
        Draft { order_id: None, lines: lines.collect(), address, expected_total, key: None }
    }

    fn line(product: u128, unit_price_minor: i64, quantity: i32) -> Line {
        Line {
            product_id: Uuid::from_u128(product),
            seller_id: Uuid::from_u128(99),
            product_name: "Kettle".to_owned(),
            image_url: String::new(),
            unit_price_minor,
            quantity,
        }
    }

    #[test]
    fn the_total_is_the_sum_of_price_times_quantity() {
        let lines = [line(1, 1999, 3), line(2, 1, 999)];
        assert_eq!(draft(&[3, 999], None).total(&lines), Ok(Money(6996)));
        assert_eq!(draft(&[3, 999], Some(Money(6996))).total(&lines), Ok(Money(6996)));
    }

    #[test]
    fn a_total_that_is_not_the_one_shown_is_refused() {
        assert_eq!(draft(&[1], Some(Money(1998))).total(&[line(1, 1999, 1)]), Err(Refusal::PriceChanged));
    }

    #[test]
    fn a_total_beyond_every_amount_is_refused_not_wrapped() {
        assert_eq!(draft(&[999], None).total(&[line(1, MAX_MINOR, 999)]), Err(Refusal::TotalTooLarge));
        let two = [line(1, MAX_MINOR, 1), line(2, MAX_MINOR, 1)];
        assert_eq!(draft(&[1, 1], None).total(&two), Err(Refusal::TotalTooLarge));
    }

    #[test]
    fn lines_in_another_order_are_the_same_lines_and_other_quantities_are_not() {
        let draft = draft(&[1, 2], None);
        assert!(draft.asks_for(&[line(2, 5, 2), line(1, 5, 1)]));
        assert!(!draft.asks_for(&[line(1, 5, 1)]));
        assert!(!draft.asks_for(&[line(1, 5, 2), line(2, 5, 2)]));
        assert!(!draft.asks_for(&[line(1, 5, 1), line(3, 5, 2)]));
    }
}
