//! A Shop on one screen.

use anstyle::Style;
use jiff::Timestamp;
use serde_json::Value;
use shopkeeper_operator::crd::{CanaryPhase, Phase};

use super::summary::{Service, Summary};
use crate::output::{BAD, GOOD, NEW, PLAIN, TITLE, Table, View, age, duration, styled};

/// Conditions whose truth is neither good nor bad.
const NEUTRAL: [&str; 5] = ["Progressing", "DevelopmentOnly", "Paused", "Hibernated", "CanaryPromoted"];
/// Conditions that are there while something is wrong.
const TROUBLES: [&str; 2] = ["Stalled", "RolledBack"];
/// Events are sent within moments, unless the broker is away.
const LONG_LAG: f64 = 60.0;

impl View for Summary {
    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn text(&self, now: Timestamp) -> String {
        let tables = [
            conditions(self, now),
            services(self),
            canaries(self, now),
            stores(self),
            certificates(self, now),
            events(self, now),
        ];
        let tables = tables.iter().filter(|table| !table.is_empty()).map(Table::text);
        let notes: Vec<String> = self.notes.iter().map(|note| format!("{} {note}\n", styled("note:", NEW))).collect();
        let parts = [head(self, now)].into_iter().chain(tables).chain([notes.concat()]);
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn exit_code(&self) -> u8 {
        u8::from(!self.ready)
    }
}

fn head(shop: &Summary, now: Timestamp) -> String {
    let style = match shop.phase {
        Some(Phase::Ready) if shop.ready => GOOD,
        Some(Phase::Blocked) => BAD,
        _ => NEW,
    };
    let phase = shop.phase.map_or_else(|| "unknown".to_owned(), |phase| format!("{phase:?}"));
    let mut facts = Vec::new();
    facts.extend(shop.version.as_ref().map(|version| format!("version {version}")));
    facts.extend(shop.created.map(|created| format!("{} old", age(created, now))));
    facts.extend(shop.url.clone());
    let mut text = format!(
        "{} {}\n  {}\n",
        styled(&format!("{}/{}", shop.namespace, shop.name), TITLE),
        styled(&phase, style),
        facts.join(", ")
    );
    if shop.observed_generation < shop.generation && shop.phase.is_some() {
        text += &styled("  the operator has not looked at the last change yet\n", NEW);
    }
    text
}

fn conditions(shop: &Summary, now: Timestamp) -> Table {
    let mut table = Table::new(&["CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE"]);
    for condition in &shop.conditions {
        let type_ = condition.type_.as_str();
        let well = (condition.status == "True") != TROUBLES.contains(&type_);
        let style = if NEUTRAL.contains(&type_) {
            PLAIN
        } else if well {
            GOOD
        } else {
            BAD
        };
        table.row([
            (condition.type_.clone(), TITLE),
            (condition.status.clone(), style),
            (age(condition.last_transition_time.0, now), PLAIN),
            (condition.reason.clone(), PLAIN),
            (condition.message.clone(), PLAIN),
        ]);
    }
    table
}

fn services(shop: &Summary) -> Table {
    let mut table =
        Table::new(&["SERVICE", "READY", "VERSION", "RESTARTS", "CPU", "MEMORY", "OUTBOX LAG", "DEAD", "IMAGE"]);
    for service in &shop.services {
        let all = service.ready >= service.desired;
        let lag = service.gauges.outbox_lag_seconds;
        let dead = service.gauges.dead_letters;
        table.row([
            (service.name.clone(), TITLE),
            (format!("{}/{}", service.ready, service.desired), if all { GOOD } else { BAD }),
            (dash(service.version.clone()), PLAIN),
            restarts(service.restarts),
            (dash(service.cpu.clone()), PLAIN),
            (dash(service.memory.clone()), PLAIN),
            (dash(lag.map(|lag| format!("{lag:.0}s"))), style_of(lag.is_some_and(|lag| lag > LONG_LAG))),
            (dash(dead.map(|dead| dead.to_string())), style_of(dead.is_some_and(|dead| dead > 0.0))),
            (own_image(service, shop.version.as_deref()).unwrap_or_default(), NEW),
        ]);
    }
    table
}

fn canaries(shop: &Summary, now: Timestamp) -> Table {
    let titles = ["CANARY", "PHASE", "SINCE", "SHARE", "REQUESTS", "SUCCESS", "P99", "VERSION", "MESSAGE"];
    let mut table = Table::new(&titles);
    for service in &shop.services {
        let Some(canary) = &service.canary else { continue };
        let style = match canary.phase {
            CanaryPhase::Promoted => GOOD,
            CanaryPhase::RolledBack => BAD,
            CanaryPhase::Starting | CanaryPhase::Progressing => NEW,
        };
        table.row([
            (service.name.clone(), TITLE),
            (format!("{:?}", canary.phase), style),
            (age(canary.since.0, now), PLAIN),
            (format!("{}%", canary.weight), PLAIN),
            (dash(canary.requests.map(|requests| requests.to_string())), PLAIN),
            (dash(canary.success_rate.map(|rate| format!("{rate:.2}%"))), PLAIN),
            (dash(canary.latency_p99.clone()), PLAIN),
            (canary.version.clone(), PLAIN),
            (canary.message.clone(), PLAIN),
        ]);
    }
    table
}

/// The image of a service that runs another one than its Shop's version.
fn own_image(service: &Service, version: Option<&str>) -> Option<String> {
    let usual = format!("/{}:{}", service.name, version?);
    service.image.clone().filter(|image| !image.ends_with(&usual))
}

fn stores(shop: &Summary) -> Table {
    let mut table = Table::new(&["STORE", "READY", "MODE", "VOLUME", "RESTARTS", "IMAGE"]);
    for store in &shop.stores {
        table.row([
            (store.name.clone(), TITLE),
            (if store.ready { "yes" } else { "no" }.to_owned(), if store.ready { GOOD } else { BAD }),
            (store.mode.clone(), PLAIN),
            (dash(store.volume.clone()), PLAIN),
            restarts(store.restarts),
            (dash(store.image.clone()), PLAIN),
        ]);
    }
    table
}

fn certificates(shop: &Summary, now: Timestamp) -> Table {
    let mut table = Table::new(&["CERTIFICATE", "EXPIRES"]);
    for leaf in &shop.certificates {
        let left = leaf.expires.duration_since(now);
        let expires = if left.is_positive() {
            format!("in {}", duration(left))
        } else {
            format!("{} ago", age(leaf.expires, now))
        };
        table.row([(leaf.secret.clone(), TITLE), (expires, if left.is_positive() { GOOD } else { BAD })]);
    }
    table
}

fn events(shop: &Summary, now: Timestamp) -> Table {
    let mut table = Table::new(&["EVENT", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    for event in &shop.events {
        let style = style_of(event.kind == "Warning");
        table.row([
            (dash(event.at.map(|at| age(at, now))), PLAIN),
            (event.kind.clone(), style),
            (event.reason.clone(), style),
            (event.object.clone(), PLAIN),
            (event.message.lines().next().unwrap_or_default().to_owned(), PLAIN),
        ]);
    }
    table
}

fn restarts(restarts: i32) -> (String, Style) {
    (restarts.to_string(), if restarts > 0 { NEW } else { PLAIN })
}

fn style_of(bad: bool) -> Style {
    if bad { BAD } else { PLAIN }
}

fn dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::super::summary::{Gauges, Happened, Leaf, Store};
    use super::*;

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn summary() -> Summary {
        let condition = json!([{
            "type": "Ready", "status": "False", "reason": "Starting", "message": "order starts",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]);
        let canary = json!({
            "attempt": "a1", "phase": "Progressing", "since": "2026-01-01T00:05:00Z", "image": "shopkeeper/order:2",
            "version": "2", "weight": 10, "requests": 200, "successRate": 99.5, "latencyP99": "0.1s",
            "message": "another 5m",
        });
        let gauges = Gauges { outbox_lag_seconds: Some(90.0), dead_letters: Some(2.0) };
        let order = Service {
            name: "order".to_owned(),
            desired: 2,
            image: Some("shopkeeper/order:1".to_owned()),
            gauges,
            canary: serde_json::from_value(canary).unwrap(),
            ..Service::default()
        };
        Summary {
            name: "acorn".to_owned(),
            namespace: "oak".to_owned(),
            ready: false,
            created: Some(at("2026-01-01T00:00:00Z")),
            generation: Some(2),
            phase: Some(Phase::RollingOut),
            observed_generation: Some(1),
            version: Some("1".to_owned()),
            url: Some("https://acorn.test".to_owned()),
            conditions: serde_json::from_value(condition).unwrap(),
            services: vec![order],
            stores: vec![Store {
                name: "redis".to_owned(),
                mode: "Embedded".to_owned(),
                ready: true,
                volume: Some("1Gi".to_owned()),
                image: None,
                restarts: 1,
            }],
            certificates: vec![Leaf { secret: "acorn-order-mesh".to_owned(), expires: at("2026-01-01T00:30:00Z") }],
            events: vec![Happened {
                at: Some(at("2026-01-01T00:09:00Z")),
                kind: "Warning".to_owned(),
                reason: "BackOff".to_owned(),
                object: "Pod acorn-order-1".to_owned(),
                message: "it starts\nagain and again".to_owned(),
            }],
            notes: vec!["volumes: you may not list them".to_owned()],
        }
    }

    #[test]
    fn a_shop_is_one_screen() {
        let text = summary().text(at("2026-01-01T00:10:00Z"));
        let plain = anstream::adapter::strip_str(&text).to_string();
        let expected = "\
oak/acorn RollingOut
  version 1, 10m old, https://acorn.test
  the operator has not looked at the last change yet

CONDITION   STATUS   SINCE   REASON     MESSAGE
Ready       False    10m     Starting   order starts

SERVICE   READY   VERSION   RESTARTS   CPU   MEMORY   OUTBOX LAG   DEAD   IMAGE
order     0/2     -         0          -     -        90s          2

CANARY   PHASE         SINCE   SHARE   REQUESTS   SUCCESS   P99    VERSION   MESSAGE
order    Progressing   5m      10%     200        99.50%    0.1s   2         another 5m

STORE   READY   MODE       VOLUME   RESTARTS   IMAGE
redis   yes     Embedded   1Gi      1          -

CERTIFICATE        EXPIRES
acorn-order-mesh   in 20m

EVENT   TYPE      REASON    OBJECT              MESSAGE
60s     Warning   BackOff   Pod acorn-order-1   it starts

note: volumes: you may not list them
";
        assert_eq!(plain, expected);
    }

    #[test]
    fn what_is_wrong_is_red_and_what_is_well_is_green() {
        let text = summary().text(at("2026-01-01T00:10:00Z"));
        for wrong in ["False", "0/2", "90s", "BackOff"] {
            assert!(text.contains(&styled(wrong, BAD)), "{wrong} in {text}");
        }
        for well in ["yes", "in 20m"] {
            assert!(text.contains(&styled(well, GOOD)), "{well} in {text}");
        }
    }

    #[test]
    fn a_condition_that_is_there_only_in_trouble_is_red() {
        let mut shop = summary();
        for type_ in ["Stalled", "RolledBack"] {
            shop.conditions[0].type_ = type_.to_owned();
            shop.conditions[0].status = "True".to_owned();
            let text = shop.text(at("2026-01-01T00:10:00Z"));
            assert!(text.contains(&styled("True", BAD)), "{text}");
        }
    }

    #[test]
    fn programs_find_the_same_names_every_time() {
        let value = summary().value().unwrap();
        let names = |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
        let expected = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let all = [
            "name",
            "namespace",
            "ready",
            "created",
            "generation",
            "phase",
            "observedGeneration",
            "version",
            "url",
            "conditions",
            "services",
            "stores",
            "certificates",
            "events",
            "notes",
        ];
        assert_eq!(names(&value), expected(&all));
        let service = [
            "name",
            "ready",
            "desired",
            "version",
            "image",
            "restarts",
            "cpu",
            "memory",
            "outboxLagSeconds",
            "deadLetters",
            "canary",
        ];
        assert_eq!(names(&value["services"][0]), expected(&service));
        assert_eq!(names(&value["stores"][0]), expected(&["name", "mode", "ready", "volume", "image", "restarts"]));
        assert_eq!(names(&value["certificates"][0]), expected(&["secret", "expires"]));
        assert_eq!(names(&value["events"][0]), expected(&["at", "kind", "reason", "object", "message"]));
        assert_eq!(value["phase"], "RollingOut");
    }
}
