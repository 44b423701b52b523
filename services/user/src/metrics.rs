//! What happens to passwords and mails, in numbers.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use shop_telemetry::metrics::Metrics;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MailLabels {
    outcome: &'static str,
}

/// Counters; a clone counts into the same.
#[derive(Clone, Default)]
pub(crate) struct UserMetrics {
    mails: Family<MailLabels, Counter>,
    hashes: Counter,
    swept: Counter,
}

impl UserMetrics {
    /// Counters that `/metrics` shows.
    pub fn register(metrics: &Metrics) -> Self {
        let new = Self::default();
        metrics.register(|registry| {
            let help = "Attempts to send a mail: sent, put off, given up, or nobody to mail";
            registry.register("mails", help, new.mails.clone());
            registry.register("password_hashes", "Passwords that were hashed or checked", new.hashes.clone());
            registry.register("swept_documents", "Expired documents that were removed", new.swept.clone());
        });
        new
    }

    /// What became of an attempt to send a mail.
    pub fn mail(&self, outcome: &'static str) {
        self.mails.get_or_create(&MailLabels { outcome }).inc();
    }

    /// One password is hashed.
    pub fn hash(&self) {
        self.hashes.inc();
    }

    /// Expired documents were removed.
    pub fn swept(&self, removed: u64) {
        self.swept.inc_by(removed);
    }
}
