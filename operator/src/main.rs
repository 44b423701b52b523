//! The operator's command line: `run` (the default), `check <url>`, `crd`, `render <shop.yaml>`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use http::Uri;
use kube::client::ClientBuilder;
use kube::{Client, Config};
use shopkeeper_operator::controller::{self, Context, Watch};
use shopkeeper_operator::leader::Election;
use shopkeeper_operator::settings::{Settings, WATCH_NAMESPACES};
use shopkeeper_operator::{check, health, render};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns one Shop into a running e-commerce back end on Kubernetes.
#[derive(Parser)]
#[command(name = "shopkeeper-operator", version)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Command>,
    /// Namespaces whose Shops are looked after, separated by commas. Default: all.
    #[arg(long, env = WATCH_NAMESPACES, value_delimiter = ',')]
    watch_namespaces: Vec<String>,
    /// The Lease, in this process's namespace, by which operators of the same Shops know which of them works.
    #[arg(long, env = "SHOPKEEPER_LEASE", default_value = "shopkeeper-operator")]
    lease: String,
    /// A name that no other pod has, for the Lease.
    #[arg(long, env = "HOSTNAME", default_value = "shopkeeper-operator")]
    identity: String,
    /// Where probes and metrics are served.
    #[arg(long, env = "SHOPKEEPER_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
}

#[derive(Subcommand)]
enum Command {
    /// Look after Shops.
    Run,
    /// Ask whether a deployed operator is ready, and whether the API server knows Shops.
    Check {
        /// Where the operator's probes are served.
        operator: Uri,
    },
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
    // With a second provider anywhere in the graph rustls would refuse to choose.
    rustls::crypto::ring::default_provider().install_default().ok();
    let cli = Cli::parse();
    match cli.command {
        None | Some(Command::Run) => run(cli).await,
        Some(Command::Check { operator }) => {
            check::check(operator, Client::try_default().await?, &named(&cli.watch_namespaces)).await
        }
        Some(Command::Crd) => {
            print!("{}", render::crd()?);
            Ok(())
        }
        Some(Command::Render { shop }) => print_objects(&shop, &cli.settings),
    }
}

/// The namespaces to look after; none means all. A chart without any passes an empty text.
fn named(given: &[String]) -> Vec<&str> {
    given.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect()
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let telemetry = shop_telemetry::init("operator")?;
    let config = Config::infer().await.context("finding the API server")?;
    // Two processes on one development machine have one host name.
    let identity = format!("{}-{}", cli.identity, std::process::id());
    let candidate = Client::try_from(config.clone())?;
    let election = Election::new(candidate, &config.default_namespace, &cli.lease, identity);
    let client = ClientBuilder::try_from(config)?.with_layer(&election.fence()).build();
    let namespaces = named(&cli.watch_namespaces);
    let watches: Vec<Watch> = if namespaces.is_empty() {
        vec![Watch::new(&client, None)]
    } else {
        namespaces.iter().map(|namespace| Watch::new(&client, Some(namespace))).collect()
    };
    let mut context = Context::new(client, cli.settings);
    context.shops = watches.iter().map(|watch| watch.shops.clone()).collect();
    let context = Arc::new(context);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespaces = namespaces.join(","), "starting");
    let work = controller::run(watches, context.clone(), election.won(), asked_to_stop()?);
    let probes = health::serve(cli.listen, context, election.standing());
    let outcome = tokio::select! {
        // A new process starts clean; one that lost the Lease may have reconciles under way that know nothing of it.
        outcome = election.lead(work) => outcome.map_err(anyhow::Error::from),
        outcome = probes => outcome.context("serving probes and metrics"),
    };
    telemetry.shutdown();
    outcome
}

/// Comes when Kubernetes asks this process to end, or a person at its terminal.
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn print_objects(path: &PathBuf, settings: &Settings) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    for object in render::render(&render::parse(&text)?, settings)? {
        print!("---\n{}", object.yaml);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_command_line_has_no_contradictions() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_version_of_the_program_and_that_of_shops_are_asked_for_by_two_names() {
        let asked = Cli::try_parse_from(["shopkeeper-operator", "--version"]).map(drop).expect_err("no command");
        assert_eq!(asked.kind(), ErrorKind::DisplayVersion);
        assert!(asked.to_string().contains(env!("CARGO_PKG_VERSION")), "{asked}");
        let given = Cli::try_parse_from(["shopkeeper-operator", "--shop-version", "9.9.9"]).expect("a command line");
        assert_eq!(given.settings.version, "9.9.9");
    }

    #[test]
    fn every_setting_that_the_chart_gives_is_one_that_the_program_reads() {
        let chart = include_str!("../../charts/shopkeeper/templates/deployment.yaml");
        let command = Cli::command();
        let read: Vec<&OsStr> = command.get_arguments().filter_map(|argument| argument.get_env()).collect();
        let given: Vec<&str> = chart.lines().filter_map(|line| line.trim().strip_prefix("- name: ")).collect();
        let given: Vec<&str> = given.into_iter().filter(|name| name.starts_with("SHOPKEEPER_")).collect();
        assert!(given.contains(&"SHOPKEEPER_LEASE"), "{given:?}");
        let unknown: Vec<&str> = given.into_iter().filter(|name| !read.contains(&OsStr::new(name))).collect();
        assert_eq!(unknown, Vec::<&str>::new());
    }
}
