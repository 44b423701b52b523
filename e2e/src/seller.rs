//! Makes a seller at a running Shop and prints the access token, for tools that know HTTP only.

use shop_e2e::{Target, purchase::Visit};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let visit = Visit::to(Target::from_env()?, |step| eprintln!("{step}")).await?;
    println!("{}", visit.become_seller().await?);
    Ok(())
}
