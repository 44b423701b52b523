//! The payment service's program.

fn main() -> std::process::ExitCode {
    shop_server::main::<shop_payment::App>()
}
