//! Metrics in OpenMetrics text, scraped from `/metrics` of the admin port.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::{encoding::text::encode, metrics::histogram::Histogram, registry::Registry};

/// The process's registry; a clone is the same registry.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    /// Registers metrics; whoever owns them keeps the handles it made.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        // A panic while registering leaves a registry that is merely incomplete.
        register(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Everything registered, as OpenMetrics text.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }
}

/// A histogram for durations in seconds, from one millisecond to ten seconds.
#[must_use]
pub fn seconds() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}
