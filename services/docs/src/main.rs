//! The docs service's process.

fn main() -> std::process::ExitCode {
    shop_server::main::<shop_docs::App>()
}
