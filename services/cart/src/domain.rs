//! What a cart is and costs. No IO.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use shop_core::{Fault, FieldError, Kind, Money, RequestKey};
use uuid::Uuid;

/// Most units of one product.
pub const MAX_QUANTITY: u32 = 999;
/// Most products in one cart: what the catalog answers in one call.
pub const MAX_LINES: usize = 100;
/// A cart nobody looks at goes after this time, and so does the catalog copy.
pub const LIFE: Duration = Duration::from_hours(7 * 24);

/// A product and how many of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The product.
    pub product: Uuid,
    /// Within 1..=[`MAX_QUANTITY`].
    pub quantity: u32,
}

/// A product as the catalog knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Product {
    /// What it is called.
    pub name: String,
    /// What one costs.
    pub price: Money,
    /// What it looks like.
    pub image_url: String,
    /// Whether it can be bought.
    pub active: bool,
    /// Units that can be reserved.
    pub available: i64,
}

/// What is known of a product, and whether the catalog said so just now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The facts.
    pub product: Product,
    /// The last known facts, not confirmed now.
    pub stale: bool,
}

impl Known {
    /// Facts of the moment.
    #[must_use]
    pub fn fresh(product: Product) -> Self {
        Self { product, stale: false }
    }

    /// The last known facts, for when the catalog does not answer.
    #[must_use]
    pub fn last(product: Product) -> Self {
        Self { product, stale: true }
    }

    /// The last known facts of a product the catalog no longer has.
    #[must_use]
    pub fn withdrawn(product: Product) -> Self {
        Self::last(Product { active: false, available: 0, ..product })
    }
}

/// What is known, by product id.
pub type Knowledge = HashMap<Uuid, Known>;

/// A line with its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Product and quantity.
    pub line: Line,
    /// What is known of the product.
    pub known: Known,
}

impl Item {
    /// How many are left, when that is fewer than the cart holds.
    #[must_use]
    pub fn shortage(&self) -> Option<i64> {
        let product = &self.known.product;
        let left = if product.active { product.available.max(0) } else { 0 };
        (left < i64::from(self.line.quantity)).then_some(left)
    }
}

/// A cart with prices.
#[derive(Clone, Debug)]
pub struct Cart {
    /// Whose.
    pub user: Uuid,
    /// In the order they were put in.
    pub items: Vec<Item>,
    /// Sum of price times quantity.
    pub total: Money,
    /// When it goes unless somebody looks at it.
    pub expires_at: Timestamp,
}

impl Cart {
    /// `user`'s `lines` at the prices of `knowledge`. A product nothing is known of shows as one that cannot be bought.
    #[must_use]
    pub fn priced(user: Uuid, lines: Vec<Line>, mut knowledge: Knowledge, now: Timestamp) -> Self {
        let price = |line: Line| {
            let known = knowledge.remove(&line.product).unwrap_or_else(|| Known::withdrawn(Product::default()));
            Item { line, known }
        };
        let items: Vec<Item> = lines.into_iter().map(price).collect();
        // A hundred lines of 999 units at the highest price are far below 2^63.
        let total = items.iter().map(|item| item.known.product.price.0.saturating_mul(i64::from(item.line.quantity)));
        let total = Money(total.fold(0, i64::saturating_add));
        Self { user, items, total, expires_at: now + LIFE }
    }
}

/// One try to turn a cart into an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The id of the order it makes, however often it is sent.
    pub order: Uuid,
    /// The cart when the attempt began.
    pub lines: Vec<Line>,
}

impl Attempt {
    /// The same refusal with each field that stands for a line, by its index or its product's id, named
    /// `items.<product id>`: what the buyer's client knows the line by.
    #[must_use]
    pub fn naming_products(&self, fault: Fault) -> Fault {
        let fields: Vec<FieldError> = fault.fields().iter().map(|field| self.named(field)).collect();
        let kind = fault.kind();
        let renamed = match kind {
            Kind::Conflict => Fault::conflict(fault.code().to_owned(), fault.public()),
            _ => Fault::new(kind, fault.public()),
        };
        renamed.with_fields(fields).caused_by(fault)
    }

    fn named(&self, error: &FieldError) -> FieldError {
        let field = match self.line_of(&error.field) {
            Some(line) => format!("items.{}", line.product),
            None => error.field.clone(),
        };
        FieldError { field, ..error.clone() }
    }

    fn line_of(&self, field: &str) -> Option<&Line> {
        let by_index = || {
            let (_, rest) = field.split_once('[')?;
            let (index, _) = rest.split_once(']')?;
            self.lines.get(index.parse::<usize>().ok()?)
        };
        self.lines.iter().find(|line| field.contains(&line.product.to_string())).or_else(by_index)
    }
}

/// Where an order goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Who receives it.
    pub full_name: String,
    /// Whom to call.
    pub phone: String,
    /// Town.
    pub city: String,
    /// Street and number.
    pub street: String,
}

/// What a buyer says at checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// Where to.
    pub address: Address,
    /// What the buyer was shown, if the client says so.
    pub expected_total: Option<Money>,
    /// The request's idempotency key, if the client sent one.
    pub key: Option<RequestKey>,
}

/// An order that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its id.
    pub order: Uuid,
    /// Its status.
    pub status: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
}

/// Whether a failed `CreateOrder` is a refusal: order looked whether it had made this order, had not, and decided against it.
/// Whoever may not ask, or asks in a way that cannot be read, is sent away before that, and so is a key that came with another
/// body or is at work: after these, as after any other failure, nobody knows whether there is an order.
#[must_use]
pub fn is_refusal(fault: &Fault) -> bool {
    fault.kind() == Kind::Conflict && ![RequestKey::REUSED, RequestKey::IN_PROGRESS].contains(&fault.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESK: Uuid = Uuid::from_u128(1);
    const LAMP: Uuid = Uuid::from_u128(2);

    fn product(price: i64, available: i64) -> Product {
        Product { name: "x".to_owned(), price: Money(price), active: true, available, ..Product::default() }
    }

    fn cart(lines: &[(Uuid, u32)], knowledge: Vec<(Uuid, Known)>) -> Cart {
        let lines = lines.iter().map(|(product, quantity)| Line { product: *product, quantity: *quantity }).collect();
        Cart::priced(Uuid::nil(), lines, knowledge.into_iter().collect(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_attempt_ends_by_a_decision_and_not_because_nobody_looked_at_it() {
        for code in ["out_of_stock", "not_for_sale", "price_changed", "idempotency_key_used", "checkout_expired"] {
            assert!(is_refusal(&Fault::conflict(code, "No")), "{code}");
        }
        let unseen =
            [RequestKey::reused(), RequestKey::in_progress(), Fault::invalid("x"), Fault::unauthenticated("x")];
        assert!(!unseen.iter().any(is_refusal));
        assert!(!is_refusal(&Fault::forbidden("x")) && !is_refusal(&Fault::unavailable("x")));
    }

    #[test]
    fn a_total_is_the_sum_of_price_times_quantity() {
        let knowledge = vec![(DESK, Known::fresh(product(1999, 9))), (LAMP, Known::last(product(5, 9)))];
        assert_eq!(cart(&[(DESK, 3), (LAMP, 2)], knowledge).total, Money(6007));
    }

    #[test]
    fn the_dearest_possible_cart_has_a_total() {
        let lines: Vec<_> = (0..100).map(|n| (Uuid::from_u128(n), MAX_QUANTITY)).collect();
        let dear = lines.iter().map(|(id, _)| (*id, Known::fresh(product(shop_core::money::MAX_MINOR, 999)))).collect();
        assert_eq!(cart(&lines, dear).total, Money(shop_core::money::MAX_MINOR * 999 * 100));
    }

    #[test]
    fn a_line_tells_how_many_are_left_only_when_they_are_too_few() {
        let withdrawn = Known::withdrawn(product(1, 50));
        let knowledge = vec![(DESK, Known::fresh(product(1, 3))), (LAMP, withdrawn)];
        let cart = cart(&[(DESK, 3), (LAMP, 1), (Uuid::from_u128(3), 1)], knowledge);
        let shortages: Vec<_> = cart.items.iter().map(Item::shortage).collect();
        assert_eq!(shortages, [None, Some(0), Some(0)]);
        assert!(cart.items[1].known.stale);
    }

    #[test]
    fn a_refused_line_is_named_by_its_product_whether_order_counts_lines_or_names_them() {
        let lines = vec![Line { product: DESK, quantity: 1 }, Line { product: LAMP, quantity: 1 }];
        let attempt = Attempt { order: Uuid::nil(), lines };
        let field = |field: &str| FieldError { field: field.to_owned(), rule: "r".to_owned(), message: "m".to_owned() };
        let fault = Fault::conflict("out_of_stock", "No").with_fields([
            field("items[1].quantity"),
            field(&DESK.to_string()),
            field("shippingAddress.city"),
            field("items[7]"),
        ]);
        let named = attempt.naming_products(fault);
        let fields: Vec<_> = named.fields().iter().map(|field| field.field.clone()).collect();
        let (desk, lamp) = (format!("items.{DESK}"), format!("items.{LAMP}"));
        assert_eq!(fields, [lamp.as_str(), desk.as_str(), "shippingAddress.city", "items[7]"]);
        assert_eq!((named.kind(), named.code()), (Kind::Conflict, "out_of_stock"));
    }
}
