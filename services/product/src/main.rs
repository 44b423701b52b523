//! The product service.

use std::process::ExitCode;

fn main() -> ExitCode {
    shop_server::main::<shop_product::App>()
}
