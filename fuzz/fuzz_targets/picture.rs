//! Uploads: a picture within bounds, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shop_product::domain::picture::{MAX_BYTES, reencode};

fuzz_target!(|upload: &[u8]| {
    if let Ok(picture) = reencode(upload.to_vec()) {
        assert!(picture.bytes.len() <= MAX_BYTES);
        assert!(reencode(picture.bytes.into()).is_ok(), "what we serve is a picture");
    }
});
