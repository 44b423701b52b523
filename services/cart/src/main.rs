//! The cart service's process.

fn main() -> std::process::ExitCode {
    shop_server::main::<shop_cart::App>()
}
