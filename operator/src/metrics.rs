//! What the operator counts, and where its Shops stand. Labels are words of the error type, and the Shops that there are, so their
//! number is bounded.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::crd::{Phase, Shop, ShopStatus};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// `namespace` would be taken for that of the operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Standing {
    shop_namespace: String,
    shop: String,
    phase: String,
}

/// Counters and durations of reconciles, and the phases of Shops.
pub struct Metrics {
    registry: Registry,
    reconciliations: Counter,
    errors: Family<Reason, Counter>,
    duration: Histogram,
    phases: Family<Standing, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("shopkeeper");
        let reconciliations = Counter::default();
        let errors = Family::<Reason, Counter>::default();
        let duration = Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        registry.register("reconciliations", "Reconciles of Shops, failed ones included", reconciliations.clone());
        registry.register("reconciliation_errors", "Failed reconciles by reason", errors.clone());
        registry.register("reconcile_duration_seconds", "Duration of reconciles", duration.clone());
        let phases = Family::<Standing, Gauge>::default();
        registry.register("shop_phase", "1 for the phase in which a Shop is, by its status", phases.clone());
        Self { registry, reconciliations, errors, duration, phases }
    }
}

impl Metrics {
    /// Counts one reconcile.
    pub fn reconciled(&self, duration: Duration, failure: Option<&'static str>) {
        self.reconciliations.inc();
        self.duration.observe(duration.as_secs_f64());
        if let Some(reason) = failure {
            self.errors.get_or_create(&Reason { reason }).inc();
        }
    }

    /// The metrics as Prometheus reads them, with where these Shops stand now.
    #[must_use]
    pub fn text(&self, shops: impl IntoIterator<Item = Arc<Shop>>) -> String {
        self.phases.clear();
        for shop in shops {
            let standing = Standing {
                shop_namespace: shop.namespace().unwrap_or_default(),
                shop: shop.name_any(),
                phase: phase(shop.status.as_ref()),
            };
            self.phases.get_or_create(&standing).set(1);
        }
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// The phase of a status, which is `Hibernated` from the first moment on: nobody would hear of a Shop that never falls asleep.
fn phase(status: Option<&ShopStatus>) -> String {
    let asleep = status.is_some_and(|status| status.holds("Hibernated"));
    match status.and_then(|status| status.phase) {
        Some(Phase::Hibernated) if !asleep => "Hibernating".to_owned(),
        Some(phase) => format!("{phase:?}"),
        None => "Unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::crd::ShopSpec;

    fn shop(status: Option<Value>) -> Arc<Shop> {
        let mut shop = Shop::new("acorn", ShopSpec::default());
        shop.metadata.namespace = Some("oak".to_owned());
        shop.status = status.map(|status| serde_json::from_value(status).expect("a status"));
        Arc::new(shop)
    }

    fn told(metrics: &Metrics, shop: Option<Arc<Shop>>) -> Vec<String> {
        let text = metrics.text(shop);
        text.lines().filter(|line| line.starts_with("shopkeeper_shop_phase{")).map(str::to_owned).collect()
    }

    fn line(phase: &str) -> [String; 1] {
        [format!(r#"shopkeeper_shop_phase{{shop_namespace="oak",shop="acorn",phase="{phase}"}} 1"#)]
    }

    #[test]
    fn a_shop_has_one_phase_at_a_time_and_one_that_is_gone_has_none() {
        let metrics = Metrics::default();
        let in_phase = |phase: &str| Some(shop(Some(json!({"phase": phase}))));
        assert_eq!(told(&metrics, Some(shop(None))), line("Unknown"));
        assert_eq!(told(&metrics, in_phase("Blocked")), line("Blocked"));
        assert_eq!(told(&metrics, in_phase("Ready")), line("Ready"));
        assert_eq!(told(&metrics, None), Vec::<String>::new());
    }

    #[test]
    fn a_shop_that_is_told_to_sleep_is_not_taken_for_one_that_does() {
        let metrics = Metrics::default();
        let sleeps = |status: &str| {
            let condition = json!({
                "type": "Hibernated", "status": status, "reason": "Hibernated", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            });
            Some(shop(Some(json!({"phase": "Hibernated", "conditions": [condition]}))))
        };
        assert_eq!(told(&metrics, sleeps("False")), line("Hibernating"));
        assert_eq!(told(&metrics, sleeps("True")), line("Hibernated"));
    }
}
