//! How busy a pool is. A service whose connections are all in use makes its requests wait in line.

use std::fmt::Error;

use crate::pool::{Counts, Pool};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::gauge::ConstGauge,
};
use shop_telemetry::metrics::Metrics;

/// Counts the pool's connections whenever somebody reads the metrics. Names follow OpenTelemetry's semantic conventions for
/// connection pools (`db.client.connection.count`, `.max`).
pub fn count_connections(pool: &Pool, metrics: &Metrics) {
    let connections = Connections(pool.clone());
    metrics.register(|registry| registry.register_collector(Box::new(connections)));
}

#[derive(Debug)]
struct Connections(Pool);

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let Self(pool) = self;
        let Counts { used, idle, most } = pool.counts();
        let [used, idle, most] = [used, idle, most].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        let most = ConstGauge::new(most);
        let help = "Connections to PostgreSQL, by what they do";
        let mut counts =
            encoder.encode_descriptor("db_client_connection_count", help, None, ConstGauge::new(used).metric_type())?;
        for (state, count) in [("used", used), ("idle", idle)] {
            ConstGauge::new(count).encode(counts.encode_family(&[("state", state)])?)?;
        }
        let help = "Connections to PostgreSQL there can be at once";
        most.encode(encoder.encode_descriptor("db_client_connection_max", help, None, most.metric_type())?)
    }
}
