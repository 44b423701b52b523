//! A process has one subscriber, so this is a process of its own.

use tracing::dispatcher::get_default;

#[test]
fn a_span_has_its_trace_whatever_a_library_asked_about_log_levels_before() {
    let telemetry = shop_telemetry::init("test").expect("the first subscriber of this process");
    for _ in 0..3 {
        // As `log::log_enabled!` does by way of the bridge from log to tracing.
        let statement =
            tracing::trace_span!(target: "sqlx::query", "statement").metadata().expect("known when disabled");
        let _ = get_default(|subscriber| subscriber.enabled(statement));
        let span = tracing::info_span!(target: "shop_test", "work");
        assert!(span.in_scope(shop_telemetry::trace_id).is_some());
    }
    telemetry.shutdown();
}
