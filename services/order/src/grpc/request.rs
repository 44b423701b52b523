//! Requests, parsed into what the use cases take. Every broken rule is named, not only the first.

use std::collections::HashSet;

use shop_auth::Caller;
use shop_core::{Fault, FieldError, Money, RequestKey, Rules, money::MAX_MINOR, rules};
use shop_proto::orders::{Address as AddressMessage, CreateOrderRequest, IdempotencyKey, OrderItem};
use uuid::Uuid;

use crate::domain::{Address, Draft, RequestedLine};

const MAX_LINES: usize = 100;
const MAX_QUANTITY: i64 = 999;

/// The order a caller asks for. Names, sellers, prices and totals in the request are not even looked at.
pub fn draft(request: CreateOrderRequest, caller: &Caller) -> Result<Draft, Fault> {
    let CreateOrderRequest {
        user_id,
        items,
        shipping_address,
        total_amount: _,
        order_id,
        expected_total_minor,
        idempotency_key,
    } = request;
    let mut rules = Rules::default();
    let user = rules.uuid("user_id", &user_id);
    let lines = lines(&mut rules, &items);
    let address = address(&mut rules, shipping_address.unwrap_or_default());
    let order_id = if order_id.is_empty() { None } else { rules.uuid("order_id", &order_id) };
    let key = idempotency_key.and_then(|message| request_key(&mut rules, &message));
    if let Some(minor) = expected_total_minor {
        rules.range("expected_total_minor", minor, &(0..=MAX_MINOR));
    }
    rules.kept()?;
    if user != Some(caller.id) {
        return Err(Fault::forbidden("You may order for yourself only: user_id must be your own id"));
    }
    Ok(Draft { order_id, lines, address, expected_total: expected_total_minor.map(Money), key })
}

/// The order a caller asks about.
pub fn order_id(text: &str) -> Result<Uuid, Fault> {
    let mut rules = Rules::default();
    let id = rules.uuid("order_id", text);
    rules.kept()?;
    Ok(id.unwrap_or_default())
}

/// The key a caller asks about.
pub fn key(message: &IdempotencyKey) -> Result<RequestKey, Fault> {
    let mut rules = Rules::default();
    let key = request_key(&mut rules, message);
    rules.kept()?;
    key.ok_or_else(|| Fault::internal("a key that keeps every rule is a key"))
}

fn request_key(rules: &mut Rules, message: &IdempotencyKey) -> Option<RequestKey> {
    let Ok(fingerprint) = message.fingerprint.as_slice().try_into() else {
        rules.broken("idempotency_key.fingerprint", "length", "must be 32 bytes long");
        return None;
    };
    match RequestKey::new(&message.key, fingerprint) {
        Ok(key) => Some(key),
        Err(fault) => {
            for FieldError { field, rule, message } in fault.fields() {
                rules.broken(field, rule, message);
            }
            None
        }
    }
}

fn lines(rules: &mut Rules, items: &[OrderItem]) -> Vec<RequestedLine> {
    if !rules.count("items", items.len(), &(1..=MAX_LINES)) {
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let lines = items.iter().enumerate().filter_map(|(index, item)| {
        rules.range(&format!("items[{index}].quantity"), item.quantity.into(), &(1..=MAX_QUANTITY));
        let field = format!("items[{index}].product_id");
        let product_id = rules.uuid(&field, &item.product_id)?;
        if !seen.insert(product_id) {
            rules.broken(&field, "distinct", "must not be in two lines: add up the quantities");
        }
        Some(RequestedLine { product_id, quantity: item.quantity })
    });
    lines.collect()
}

fn address(rules: &mut Rules, message: AddressMessage) -> Address {
    let AddressMessage { full_name, phone, city, street } = message;
    rules.keeps("shipping_address.full_name", rules::line(&full_name, 200));
    rules.keeps("shipping_address.phone", rules::phone(&phone));
    rules.keeps("shipping_address.city", rules::line(&city, 200));
    rules.keeps("shipping_address.street", rules::line(&street, 300));
    let trimmed = |text: String| text.trim().to_owned();
    Address { full_name: trimmed(full_name), phone: trimmed(phone), city: trimmed(city), street: trimmed(street) }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn caller() -> Caller {
        Caller { id: Uuid::from_u128(1), roles: Vec::new(), token: SecretString::from("") }
    }

    fn item(product: u128, quantity: i32) -> OrderItem {
        OrderItem {
            product_id: Uuid::from_u128(product).to_string(),
            quantity,
            unit_price: 0.01,
            ..OrderItem::default()
        }
    }

    fn request(items: Vec<OrderItem>) -> CreateOrderRequest {
        let text = |text: &str| text.to_owned();
        CreateOrderRequest {
            user_id: caller().id.to_string(),
            items,
            shipping_address: Some(AddressMessage {
                full_name: text(" Ada Lovelace "),
                phone: text("+44 20 7946 0000"),
                city: text("London"),
                street: text("12 St James's Square"),
            }),
            ..CreateOrderRequest::default()
        }
    }

    fn broken(request: CreateOrderRequest) -> Vec<String> {
        let fault = draft(request, &caller()).err().unwrap();
        fault.fields().iter().map(|error| format!("{} {}", error.field, error.rule)).collect()
    }

    #[test]
    fn a_good_request_becomes_a_draft_with_trimmed_texts() {
        let draft = draft(request(vec![item(7, 1), item(8, 999)]), &caller()).unwrap();
        assert_eq!(draft.address.full_name, "Ada Lovelace");
        assert_eq!((draft.order_id, draft.expected_total, draft.lines.len()), (None, None, 2));
    }

    #[test]
    fn every_broken_rule_is_named_with_its_field() {
        let mut bad = request(vec![item(7, 0), item(7, 1000), OrderItem { product_id: "x".into(), ..item(8, 1) }]);
        bad.user_id = String::new();
        bad.order_id = "mine".to_owned();
        bad.expected_total_minor = Some(-1);
        bad.shipping_address = Some(AddressMessage { city: "a\0b".to_owned(), ..AddressMessage::default() });
        assert_eq!(
            broken(bad),
            [
                "user_id uuid",
                "items[0].quantity range",
                "items[1].quantity range",
                "items[1].product_id distinct",
                "items[2].product_id uuid",
                "shipping_address.full_name required",
                "shipping_address.phone required",
                "shipping_address.city characters",
                "shipping_address.street required",
                "order_id uuid",
                "expected_total_minor range",
            ]
        );
    }

    #[test]
    fn an_order_has_one_to_a_hundred_lines() {
        assert_eq!(broken(request(Vec::new())), ["items length"]);
        assert_eq!(broken(request((0..101).map(|id| item(id, 1)).collect())), ["items length"]);
        assert!(draft(request((0..100).map(|id| item(id, 1)).collect()), &caller()).is_ok());
    }

    #[test]
    fn nobody_orders_for_somebody_else() {
        let other = CreateOrderRequest { user_id: Uuid::from_u128(2).to_string(), ..request(vec![item(7, 1)]) };
        assert_eq!(draft(other, &caller()).err().unwrap().kind(), shop_core::Kind::Forbidden);
    }
}
