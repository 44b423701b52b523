//! What a neighbour answers: any status with any details is some fault.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shop_mesh::{from_status, to_status};
use tonic::{Code, Status};

fuzz_target!(|input: (i32, &str, &[u8])| {
    let (code, text, details) = input;
    let fault = from_status("order", Status::with_details(Code::from_i32(code), text, details.to_vec().into()));
    let kind = fault.kind();
    assert_eq!(from_status("order", to_status(fault)).kind(), kind, "the next hop takes it for something else");
});
