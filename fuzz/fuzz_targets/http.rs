//! Requests: bodies, queries, forms with pictures, cursors, tokens, `X-Forwarded-For`, `Idempotency-Key`.
#![no_main]

use http::StatusCode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some(status) = shop_fuzz::http(input) {
        // No store answers, so the best request there is gets a 503.
        assert!(!status.is_server_error() || status == StatusCode::SERVICE_UNAVAILABLE, "{status}");
    }
});
