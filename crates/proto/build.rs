//! Compiles `/proto` with protox, so that no `protoc` needs to be installed.

const FILES: [&str; 3] =
    ["ecommerce/orders/orders.proto", "shop/catalog/v1/catalog.proto", "shop/events/v1/events.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    println!("cargo:rerun-if-changed={root}");
    let descriptors = protox::compile(FILES, [root])?;
    tonic_prost_build::configure()
        .type_attribute(".shop.events.v1", "#[derive(serde::Serialize, serde::Deserialize)]")
        .type_attribute(".shop.events.v1", "#[serde(default, rename_all = \"camelCase\")]")
        .compile_fds(descriptors)?;
    Ok(())
}
