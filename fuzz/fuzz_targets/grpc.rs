//! Calls: metadata and messages.
#![no_main]

use libfuzzer_sys::fuzz_target;

const UNKNOWN: &str = "2";
const INTERNAL: &str = "13";

fuzz_target!(|input: &[u8]| {
    if let Some(headers) = shop_fuzz::grpc(input) {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // gRPC calls it an internal error when a message is no protobuf; tonic says so itself.
        let no_protobuf = text("grpc-message").contains("failed%20to%20decode%20Protobuf");
        assert!(![UNKNOWN, INTERNAL].contains(&text("grpc-status")) || no_protobuf, "{headers:?}");
    }
});
