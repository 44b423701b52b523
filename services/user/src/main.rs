//! The user service's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    shop_server::main::<shop_user::App>()
}
