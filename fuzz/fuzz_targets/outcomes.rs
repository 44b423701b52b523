//! The rules of the mock providers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shop_mock::Outcomes;

fuzz_target!(|text: String| {
    if let Err(error) = Outcomes::try_from(text) {
        assert!(error.to_string().contains("write for instance"));
    }
});
