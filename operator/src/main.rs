//! The operator's command line: `run` (the default), `crd`, `render <shop.yaml>`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use kube::Client;
use shopkeeper_operator::controller::{self, Context, Watch};
use shopkeeper_operator::settings::Settings;
use shopkeeper_operator::{health, render};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns one Shop into a running e-commerce back end on Kubernetes.
#[derive(Parser)]
#[command(version, name = "shopkeeper-operator")]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Command>,
    /// Namespaces whose Shops are looked after, separated by commas. Default: all.
    #[arg(long, env = "SHOPKEEPER_WATCH_NAMESPACES", value_delimiter = ',')]
    watch_namespaces: Vec<String>,
    /// Where probes and metrics are served.
    #[arg(long, env = "SHOPKEEPER_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
}

#[derive(Subcommand)]
enum Command {
    /// Look after Shops.
    Run,
    /// Print the definition of the Shop resource.
    Crd,
    /// Print everything that would be made for a Shop, with dummy credentials.
    Render {
        /// The file with the Shop.
        shop: PathBuf,
    },
}

// Reconciles wait for the API server nearly all the time: one thread does, and one thread's stacks are enough.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        None | Some(Command::Run) => run(cli).await,
        Some(Command::Crd) => {
            print!("{}", render::crd()?);
            Ok(())
        }
        Some(Command::Render { shop }) => print_objects(&shop, &cli.settings),
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let telemetry = shop_telemetry::init("operator")?;
    // With a second provider anywhere in the graph rustls would refuse to choose.
    rustls::crypto::ring::default_provider().install_default().ok();

    let client = Client::try_default().await.context("connecting to the API server")?;
    let namespaces: Vec<&str> = cli.watch_namespaces.iter().map(|n| n.trim()).filter(|n| !n.is_empty()).collect();
    let watches: Vec<Watch> = if namespaces.is_empty() {
        vec![Watch::new(&client, None)]
    } else {
        namespaces.iter().map(|namespace| Watch::new(&client, Some(namespace))).collect()
    };
    let mut context = Context::new(client, cli.settings);
    context.shops = watches.iter().map(|watch| watch.shops.clone()).collect();
    let context = Arc::new(context);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespaces = namespaces.join(","), "looking after Shops");
    let outcome = tokio::select! {
        () = controller::run(watches, context.clone()) => Ok(()),
        outcome = health::serve(cli.listen, context) => outcome.context("serving probes and metrics"),
    };
    telemetry.shutdown();
    outcome
}

fn print_objects(path: &PathBuf, settings: &Settings) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    for object in render::render(&render::parse(&text)?, settings)? {
        print!("---\n{}", object.yaml);
    }
    Ok(())
}
