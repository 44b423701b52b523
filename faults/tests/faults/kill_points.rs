//! SIGKILL between every two steps. A step is what a service says to a store or to a neighbour; before it, and after it with
//! its answer lost, are all the points at which it can matter where a process dies. One order of each kind shows which steps
//! there are; then each is a kill point. `--deep` takes all of them, the normal run a seeded choice and the well-known ones.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use rand::seq::{IndexedRandom as _, SliceRandom as _};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::harness::{
    buyer::{Person, Product},
    chaos::{deep, random},
    link::{Moment, Trap},
    member::Settings,
    shop::Shop,
};

/// How many in the normal run, beside [`KNOWN`].
const CHOICE: usize = 6;
/// The same step of one order that is told apart: an order hears of five events in its life.
const REPEATS: usize = 5;
/// How long an order may take to come to a point, if it does not end before.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an order is watched whose worker died before the next begins: it waits for its lease in the background. And how
/// long what shows in no store is waited for.
const WATCH: Duration = Duration::from_millis(1500);

/// Where outboxes, relays and captures are lost in other shops.
const KNOWN: [(&str, &str, &str, Moment); 11] = [
    ("order", "postgres", "WITH attempt AS ( INSERT INTO order_attempts", Moment::AnswerLost),
    ("order", "rabbitmq", "publish order.created", Moment::Before),
    ("order", "rabbitmq", "publish order.created", Moment::AnswerLost),
    ("payment", "postgres", "INSERT INTO mock_charges", Moment::Before),
    ("payment", "postgres", "INSERT INTO mock_charges", Moment::AnswerLost),
    ("payment", "rabbitmq", "ack", Moment::Before),
    ("delivery", "postgres", "INSERT INTO mock_parcels", Moment::Before),
    ("delivery", "postgres", "INSERT INTO mock_parcels", Moment::AnswerLost),
    ("product", "rabbitmq", "ack", Moment::AnswerLost),
    ("cart", "orders", "call", Moment::AnswerLost),
    ("order", "catalog", "call", Moment::AnswerLost),
];

/// The ways an order can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Delivered,
    Declined,
    Lost,
    Canceled,
}

/// An order that was placed, and by whom.
type Placed = (Kind, Person, Uuid);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    kind: Kind,
    service: &'static str,
    to: &'static str,
    step: String,
    nth: usize,
    before: bool,
}

struct Stage {
    shop: Shop,
    cheap: Product,
    dear: Product,
    placed: Vec<Placed>,
}

impl Stage {
    async fn set() -> Self {
        let settings = Settings {
            payment_outcomes: Settings::DECLINED_ABOVE_40,
            delivery_outcomes: Settings::LOST_IN_ATLANTIS,
            ..Settings::default()
        };
        let shop = Shop::open(settings).await;
        let (cheap, dear) = (shop.product("Lamp", 500, 100_000).await, shop.product("Desk", 4200, 100_000).await);
        Self { shop, cheap, dear, placed: Vec::new() }
    }

    async fn place(&self, kind: Kind) -> (Person, Uuid) {
        let product = if kind == Kind::Declined { self.dear } else { self.cheap };
        let (buyer, order) = self.shop.order(product, if kind == Kind::Lost { "Atlantis" } else { "London" }).await;
        if kind == Kind::Canceled {
            self.shop.cancel(&buyer, order).await;
        }
        (buyer, order)
    }

    /// Every point of an order of this kind.
    async fn points(&mut self, kind: Kind) -> BTreeSet<Point> {
        self.shop.links(None).for_each(|link| _ = link.take_seen());
        let (buyer, order) = self.place(kind).await;
        if kind != Kind::Canceled {
            self.shop.becomes(&buyer, order, kind.end()).await;
        }
        self.placed.push((kind, buyer, order));
        self.shop.settles().await;
        // The end has events of its own, and no store tells of their acknowledgements.
        sleep(WATCH).await;
        let mut points = BTreeSet::new();
        for member in &self.shop.members {
            for link in &member.links {
                for (step, seen) in link.take_seen() {
                    for nth in 1..=seen.min(REPEATS) {
                        for before in [true, false] {
                            let (service, to, step) = (member.service, link.to, step.clone());
                            points.insert(Point { kind, service, to, step, nth, before });
                        }
                    }
                }
            }
        }
        points
    }

    /// An order whose service dies at `point` and comes back, and whether it came to that.
    async fn kill_at(&self, point: &Point) -> (Placed, bool) {
        let member = self.shop.member(point.service);
        let link = member.link(point.to);
        let moment = if point.before { Moment::Before } else { Moment::AnswerLost };
        let sprung = link.trap(Trap { step: point.step.clone(), nth: point.nth, moment, kills: true });
        let mut death = pin!(async {
            sprung.notified().await;
            member.start();
        });
        let mut placing = pin!(self.place(point.kind));
        let ((buyer, order), mut died) = tokio::select! {
            placed = &mut placing => (placed, false),
            () = &mut death => ((&mut placing).await, true),
        };
        let end = point.kind.end();
        if !died {
            died = tokio::select! {
                () = &mut death => true,
                _ = timeout(PATIENCE, self.shop.becomes(&buyer, order, end)) => {
                    // One that is springing at this moment kills too.
                    let springs = !link.disarm();
                    if springs {
                        (&mut death).await;
                    }
                    springs
                }
            };
        }
        if died {
            let _ = timeout(WATCH, self.shop.becomes(&buyer, order, end)).await;
        }
        member.start();
        member.ready(&self.shop.client).await;
        ((point.kind, buyer, order), died)
    }
}

impl Kind {
    /// What becomes of such an order; of one that is canceled only if that was in time.
    fn end(self) -> &'static str {
        if self == Self::Delivered { "DELIVERED" } else { "CANCELED" }
    }
}

impl Point {
    fn is_known(&self) -> bool {
        let moment = if self.before { Moment::Before } else { Moment::AnswerLost };
        self.kind == Kind::Delivered
            && self.nth == 1
            && KNOWN.iter().any(|(service, to, step, at)| {
                (*service, *to, *at) == (self.service, self.to, moment) && self.step.starts_with(step)
            })
    }
}

#[tokio::test]
async fn a_service_that_dies_between_any_two_steps_loses_nothing_and_does_nothing_twice() {
    let mut random = random("kill points");
    let mut stage = Stage::set().await;
    let mut points = BTreeSet::new();
    for kind in [Kind::Delivered, Kind::Declined, Kind::Lost, Kind::Canceled] {
        points.extend(stage.points(kind).await);
    }
    let (known, others): (Vec<_>, Vec<_>) = points.into_iter().partition(Point::is_known);
    assert!(known.len() >= KNOWN.len(), "the well-known steps have other names now: {known:#?}");
    let choice = if deep() { others.len() } else { CHOICE };
    let mut chosen: Vec<_> = known.into_iter().chain(others.sample(&mut random, choice).cloned()).collect();
    chosen.shuffle(&mut random);

    let (mut died, total) = (0, chosen.len());
    for point in &chosen {
        let (placed, reached) = stage.kill_at(point).await;
        stage.placed.push(placed);
        println!("{} {point:?}", if reached { "died at" } else { "never came to" });
        died += usize::from(reached);
    }
    stage.shop.settles().await;
    println!("{died} deaths at {total} of {} points", others.len() + KNOWN.len());
    assert!(died * 2 > total, "only {died} of {total} points were reached");
    for (kind, buyer, order) in &stage.placed {
        let status = stage.shop.status(buyer, *order).await;
        match kind {
            Kind::Delivered => assert_eq!(status, "DELIVERED", "{order}"),
            Kind::Declined | Kind::Lost => assert_eq!(status, "CANCELED", "{order}"),
            // Whoever was faster.
            Kind::Canceled => {}
        }
    }
}
