//! The invariants, one function each, over books that were read before.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use shop_proto::events::ROUTES;
use uuid::Uuid;

use crate::books::{Books, Charge, Delivery, Order, Parcel, Payment, Reservation};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule it breaks.
    pub rule: &'static str,
    /// What is wrong, with ids.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rule, self.what)
    }
}

/// What a buyer saw.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The buyer.
    pub user_id: Uuid,
    /// Orders whose checkout was answered with success.
    pub acknowledged: Vec<Uuid>,
    /// Checkouts of which the buyer never learned whether they made an order.
    pub uncertain: usize,
}

/// What somebody knows who was there; an auditor who comes later has none of it.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    /// Every buyer.
    pub accounts: Vec<Account>,
    /// Units of each product before anything was sold.
    pub stock: HashMap<Uuid, i64>,
}

/// Judges `books`, with what a witness knows.
#[must_use]
pub fn audit(books: &Books, witness: &Witness) -> Vec<Violation> {
    let view = View::of(books);
    let mut found = Findings::default();
    orders_exist_once(&view, witness, &mut found);
    money_is_taken_once(&view, &mut found);
    stock_adds_up(&view, witness, &mut found);
    everything_has_ended(&view, &mut found);
    histories_are_paths(&view, &mut found);
    no_event_is_lost(&view, &mut found);
    totals_are_sums(&view, &mut found);
    found.0
}

#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn must(&mut self, holds: bool, rule: &'static str, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Violation { rule, what: what() });
        }
    }
}

/// The books by order.
struct View<'b> {
    books: &'b Books,
    orders: HashMap<Uuid, &'b Order>,
    payments: HashMap<Uuid, &'b Payment>,
    charges: HashMap<Uuid, &'b Charge>,
    deliveries: HashMap<Uuid, &'b Delivery>,
    parcels: HashMap<Uuid, &'b Parcel>,
    reservations: HashMap<Uuid, &'b Reservation>,
}

impl<'b> View<'b> {
    fn of(books: &'b Books) -> Self {
        Self {
            books,
            orders: books.orders.iter().map(|order| (order.id, order)).collect(),
            payments: books.payments.iter().map(|payment| (payment.order_id, payment)).collect(),
            charges: books.charges.iter().map(|charge| (charge.key, charge)).collect(),
            deliveries: books.deliveries.iter().map(|delivery| (delivery.order_id, delivery)).collect(),
            parcels: books.parcels.iter().map(|parcel| (parcel.key, parcel)).collect(),
            reservations: books.reservations.iter().map(|reservation| (reservation.order_id, reservation)).collect(),
        }
    }

    fn charge(&self, order: Uuid) -> Option<&'b Charge> {
        self.charges.get(&self.payments.get(&order)?.id).copied()
    }

    fn parcel(&self, order: Uuid) -> Option<&'b Parcel> {
        self.parcels.get(&self.deliveries.get(&order)?.id).copied()
    }
}

fn is_paid(status: &str) -> bool {
    matches!(status, "PAID" | "SHIPPED" | "DELIVERED")
}

fn orders_exist_once(view: &View<'_>, witness: &Witness, found: &mut Findings) {
    let mut bought: HashMap<Uuid, usize> = HashMap::new();
    for order in &view.books.orders {
        *bought.entry(order.user_id).or_default() += 1;
    }
    let mut acknowledged = HashSet::new();
    for Account { user_id, acknowledged: orders, uncertain } in &witness.accounts {
        for id in orders {
            found.must(acknowledged.insert(*id), "I1", || format!("order {id}: two checkouts were answered with it"));
            let theirs = view.orders.get(id).is_some_and(|order| order.user_id == *user_id);
            found.must(theirs, "I1", || format!("order {id}: acknowledged to {user_id}, who has no such order"));
        }
        let (least, most) = (orders.len(), orders.len() + uncertain);
        let has = bought.get(user_id).copied().unwrap_or_default();
        found.must(has >= least && has <= most, "I1", || {
            format!("buyer {user_id}: {has} orders of {least} acknowledged and {uncertain} uncertain checkouts")
        });
    }
    for payment in view.books.payments.iter().filter(|payment| !view.orders.contains_key(&payment.order_id)) {
        found.must(payment.state == "canceled", "I1", || {
            format!("order {}: does not exist and has a payment that is {}", payment.order_id, payment.state)
        });
    }
    for delivery in view.books.deliveries.iter().filter(|delivery| !view.orders.contains_key(&delivery.order_id)) {
        found.must(delivery.state == "canceled", "I1", || {
            format!("order {}: does not exist and has a delivery that is {}", delivery.order_id, delivery.state)
        });
    }
    for attempt in &view.books.attempts {
        let theirs = view.orders.get(&attempt.order_id).map(|order| order.user_id == attempt.user_id);
        found.must(theirs.unwrap_or(!attempt.done), "I1", || {
            format!("order {}: the cart of {} remembers it, and it is not theirs", attempt.order_id, attempt.user_id)
        });
    }
}

fn money_is_taken_once(view: &View<'_>, found: &mut Findings) {
    let known: HashSet<Uuid> = view.books.payments.iter().map(|payment| payment.id).collect();
    for charge in view.books.charges.iter().filter(|charge| !known.contains(&charge.key)) {
        found
            .must(charge.entry == "closed", "I2", || format!("charge {}: {} for no payment", charge.key, charge.entry));
    }
    found.must(view.payments.len() == view.books.payments.len(), "I2", || "an order has two payments".to_owned());
    for order in &view.books.orders {
        let (id, status, charge) = (order.id, &order.status, view.charge(order.id));
        let entry = charge.map_or("nothing", |charge| charge.entry.as_str());
        let amount = charge.map_or(0, |charge| charge.amount_minor);
        if is_paid(status) {
            found.must(entry == "captured", "I2", || format!("order {id}: {status}, and the provider has {entry}"));
        }
        if matches!(entry, "captured" | "refunded") {
            found.must(amount == order.total_minor, "I2", || {
                format!("order {id}: {amount} {entry} of a total of {}", order.total_minor)
            });
        }
        if status == "CANCELED" {
            found.must(entry != "captured", "I2", || format!("order {id}: canceled, and {amount} stay captured"));
            let told = order.payment_status.as_str();
            let agree =
                if entry == "refunded" { told == "refunded" } else { matches!(told, "none" | "pending" | "failed") };
            found.must(agree, "I2", || format!("order {id}: payment is `{told}`, and the provider has {entry}"));
        }
    }
}

fn stock_adds_up(view: &View<'_>, witness: &Witness, found: &mut Findings) {
    let (mut sold, mut reserved): (HashMap<Uuid, i64>, HashMap<Uuid, i64>) = (HashMap::new(), HashMap::new());
    for line in &view.books.reserved {
        match view.reservations.get(&line.order_id).map(|reservation| reservation.state.as_str()) {
            Some("committed") => *sold.entry(line.product_id).or_default() += line.quantity,
            Some("reserved") => *reserved.entry(line.product_id).or_default() += line.quantity,
            _ => {}
        }
    }
    for inventory in &view.books.inventory {
        let id = inventory.product_id;
        let sold = sold.get(&id).copied().unwrap_or_default();
        let held = reserved.get(&id).copied().unwrap_or_default();
        let possible = inventory.reserved >= 0 && inventory.stock >= inventory.reserved;
        found.must(possible, "I3", || {
            format!("product {id}: stock {} with {} reserved", inventory.stock, inventory.reserved)
        });
        found.must(inventory.reserved == held, "I3", || {
            format!("product {id}: {} reserved, and reservations hold {held}", inventory.reserved)
        });
        if let Some(initial) = witness.stock.get(&id) {
            found.must(inventory.stock + sold == *initial, "I3", || {
                format!("product {id}: {initial} at first, {sold} sold, {} on hand", inventory.stock)
            });
        }
    }
    for order in &view.books.orders {
        let state = view.reservations.get(&order.id).map_or("nothing", |reservation| reservation.state.as_str());
        let agree = match order.status.as_str() {
            "CREATED" | "PENDING" => state == "reserved",
            "CANCELED" => state == "released",
            _ => state == "committed",
        };
        found.must(agree, "I3", || format!("order {}: {}, and its stock is {state}", order.id, order.status));
    }
}

fn everything_has_ended(view: &View<'_>, found: &mut Findings) {
    for order in &view.books.orders {
        let (id, status) = (order.id, order.status.as_str());
        found.must(matches!(status, "DELIVERED" | "CANCELED"), "I4", || format!("order {id}: still {status}"));
        if status == "CANCELED" {
            let parcel = view.parcel(id).map_or("missing", |parcel| parcel.entry.as_str());
            found.must(!matches!(parcel, "shipped" | "delivered"), "I4", || {
                format!("order {id}: canceled, its parcel {parcel}")
            });
        }
        if status == "DELIVERED" {
            let delivery = view.deliveries.get(&id).map_or("missing", |delivery| delivery.state.as_str());
            let parcel = view.parcel(id).map_or("missing", |parcel| parcel.entry.as_str());
            found.must((delivery, parcel) == ("delivered", "delivered"), "I4", || {
                format!("order {id}: delivered, its delivery is {delivery}, its parcel {parcel}")
            });
        }
    }
    for payment in &view.books.payments {
        found.must(matches!(payment.state.as_str(), "succeeded" | "failed" | "canceled" | "refunded"), "I4", || {
            format!("order {}: its payment is still {}", payment.order_id, payment.state)
        });
    }
    for delivery in &view.books.deliveries {
        found.must(matches!(delivery.state.as_str(), "delivered" | "failed" | "canceled" | "recalled"), "I4", || {
            format!("order {}: its delivery is still {}", delivery.order_id, delivery.state)
        });
    }
    for reservation in view.books.reservations.iter().filter(|reservation| reservation.state == "reserved") {
        found.must(false, "I4", || format!("order {}: its stock is still reserved", reservation.order_id));
    }
}

fn histories_are_paths(view: &View<'_>, found: &mut Findings) {
    let mut histories: HashMap<Uuid, Vec<&str>> = HashMap::new();
    for step in &view.books.moves {
        histories.entry(step.order_id).or_default().push(&step.status);
    }
    for order in &view.books.orders {
        let history = histories.remove(&order.id).unwrap_or_default();
        let begins = history.first() == Some(&"CREATED");
        let ends = history.last() == Some(&order.status.as_str());
        let moves = history.windows(2).all(|pair| is_move(pair[0], pair[1]));
        found.must(begins && ends && moves, "I5", || {
            format!("order {}: {} by way of {}", order.id, order.status, history.join(" "))
        });
    }
    for id in histories.keys() {
        found.must(false, "I5", || format!("order {id}: has a history and does not exist"));
    }
}

fn is_move(from: &str, to: &str) -> bool {
    match from {
        "CREATED" => matches!(to, "PENDING" | "PAID" | "CANCELED"),
        "PENDING" => matches!(to, "PAID" | "CANCELED"),
        "PAID" => matches!(to, "SHIPPED" | "CANCELED"),
        // A parcel may be lost on its way.
        "SHIPPED" => matches!(to, "DELIVERED" | "CANCELED"),
        // Paid or shipped too late: a refund or a recall is written as another line.
        "CANCELED" => to == "CANCELED",
        _ => false,
    }
}

fn no_event_is_lost(view: &View<'_>, found: &mut Findings) {
    for event in &view.books.events {
        let (id, key, service) = (event.id, &event.key, event.service);
        found.must(event.sent, "I6", || format!("event {id}: {key} is still in the outbox of {service}"));
        let consumers = ROUTES.iter().find(|route| route.key == key).map_or(&[][..], |route| route.consumers);
        for consumer in consumers {
            // The cart has no database to remember events in.
            let handled = view.books.handled.get(consumer).is_none_or(|handled| handled.contains(&id));
            found.must(!event.sent || handled, "I6", || format!("event {id}: {consumer} has not handled {key}"));
        }
    }
    for queue in &view.books.queues {
        found.must(false, "I6", || format!("queue {}: holds {} messages", queue.name, queue.messages));
    }
}

fn totals_are_sums(view: &View<'_>, found: &mut Findings) {
    let by_order = |lines: &[crate::Line]| {
        let mut grouped: BTreeMap<Uuid, Vec<crate::Line>> = BTreeMap::new();
        for line in lines {
            grouped.entry(line.order_id).or_default().push(line.clone());
        }
        for lines in grouped.values_mut() {
            lines.sort();
        }
        grouped
    };
    let (ordered, reserved) = (by_order(&view.books.lines), by_order(&view.books.reserved));
    for order in &view.books.orders {
        let (id, total) = (order.id, order.total_minor);
        let lines = ordered.get(&id).map_or(&[][..], Vec::as_slice);
        let sum: i64 = lines.iter().map(|line| line.unit_price_minor * line.quantity).sum();
        found.must(!lines.is_empty() && sum == total, "I7", || {
            format!("order {id}: a total of {total}, lines of {sum}")
        });
        found.must(reserved.get(&id).map(Vec::as_slice) == Some(lines), "I7", || {
            format!("order {id}: its lines are not the ones the catalog set aside")
        });
        // An order that was canceled before payment heard of it has a payment of nothing.
        let asked = view.payments.get(&id).filter(|payment| payment.state != "canceled" || payment.amount_minor != 0);
        let asked = asked.map_or(total, |payment| payment.amount_minor);
        found.must(asked == total, "I7", || format!("order {id}: a total of {total}, a payment of {asked}"));
    }
}

#[cfg(test)]
mod tests;
