//! The services as the images run them: release programs, each a process of its own.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use reqwest::Client;
use shop_testing::TestTokens;
use tokio::time::sleep;

use super::{
    Options,
    report::Memory,
    stores::{self, DATABASES, Stores},
};
use crate::process::{self, ALLOCATOR, free_address};

const PATIENCE: Duration = Duration::from_mins(1);
/// A migration reads settings that it does not use.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
const NO_LIMIT: &str = "100000000";

/// A running service.
pub struct Service {
    child: Child,
    http: SocketAddr,
    admin: SocketAddr,
    grpc: SocketAddr,
    ready_after: Duration,
    idle_mib: f64,
}

/// Where traces go.
#[derive(Clone)]
pub struct Traces {
    /// An OTLP endpoint.
    pub endpoint: String,
    /// Which share of them.
    pub share: f64,
}

/// All of them, and how they are started.
pub struct Services {
    programs: PathBuf,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    /// A folder with a folder for each service.
    identities: Option<PathBuf>,
    traces: Option<Traces>,
    running: BTreeMap<&'static str, Service>,
}

impl Services {
    /// None runs yet.
    pub fn new(options: &Options, stores: &Stores, tokens: &TestTokens) -> anyhow::Result<Self> {
        let (programs, folder) = (options.programs.clone(), options.output.clone());
        let signing = folder.join("signing");
        fs::create_dir_all(&signing)?;
        fs::write(signing.join("0001.pem"), &tokens.signing_key)?;
        let auth = tokens.config();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let environment = [
            ("SHOP_LOG", "warn".to_owned()),
            ("SHOP_AUTH__JWKS_FILE", text(&auth.jwks_file)),
            ("SHOP_AUTH__ISSUER", auth.issuer),
            ("SHOP_AUTH__AUDIENCE", auth.audience),
            ("SHOP_SIGNING__FOLDER", text(&signing)),
            ("SHOP_AMQP__URL", stores.amqp().to_owned()),
            ("SHOP_REDIS__URL", stores::redis_url()),
            ("SHOP_MONGODB__URL", stores.mongodb().to_owned()),
            ("SHOP_POSTGRES__ADMIN_URL", stores.postgres_admin().to_owned()),
            ("SHOP_CURRENCY", "USD".to_owned()),
            ("SHOP_RESERVATION", "30m".to_owned()),
            ("SHOP_UNPAID_EXPIRY", "20m".to_owned()),
            ("SHOP_PUBLIC_URL", "http://localhost".to_owned()),
            ("SHOP_MAIL__KIND", "log".to_owned()),
            ("SHOP_PROVIDER__LATENCY", "0s".to_owned()),
            ("SHOP_RATE_LIMITS__LOGINS_PER_ACCOUNT", NO_LIMIT.to_owned()),
            ("SHOP_RATE_LIMITS__LOGINS_PER_ADDRESS", NO_LIMIT.to_owned()),
            ("SHOP_RATE_LIMITS__REGISTRATIONS_PER_ADDRESS", NO_LIMIT.to_owned()),
        ];
        let allocator = ALLOCATOR.map(|(name, value)| (name, value.to_owned()));
        let environment = environment.into_iter().chain(allocator).map(|(name, value)| (name.to_owned(), value));
        let traces = options.traces.clone().map(|endpoint| Traces { endpoint, share: 1.0 });
        let environment = environment.collect();
        Ok(Self { programs, folder, environment, identities: None, traces, running: BTreeMap::new() })
    }

    /// What services that are started from now on prove to each other, and where they send traces; gives back where they
    /// did so far.
    pub fn set_mesh(&mut self, identities: Option<PathBuf>, traces: Option<Traces>) -> Option<Traces> {
        self.identities = identities;
        std::mem::replace(&mut self.traces, traces)
    }

    /// Makes what a service stores, in `database` where it is PostgreSQL.
    pub fn migrate(&self, service: &str, database: &str, stores: &Stores) -> anyhow::Result<()> {
        let mut migrate = self.command(service, database, stores);
        let output = migrate.arg("migrate").output().context("the program cannot be run")?;
        ensure!(output.status.success(), "{service} migrate: {}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    }

    /// Starts a service and waits until it is ready.
    pub async fn start(&mut self, service: &'static str, stores: &Stores) -> anyhow::Result<()> {
        let [http, admin, grpc] = [free_address()?, free_address()?, free_address()?];
        let mut command = self.command(service, service, stores);
        for (name, address) in [("HTTP", http), ("ADMIN", admin), ("GRPC", grpc)] {
            command.env(format!("SHOP_LISTEN_{name}"), address.to_string());
        }
        let started = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(File::create(self.log(service))?).spawn();
        let mut child = child.with_context(|| format!("{service} cannot be started"))?;
        let url = format!("http://{admin}/readyz");
        let client = Client::new();
        while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            if started.elapsed() > PATIENCE || child.try_wait()?.is_some() {
                let _ = child.kill();
                bail!("{service} is not ready: read {}", self.log(service).display());
            }
            sleep(Duration::from_millis(1)).await;
        }
        let ready_after = started.elapsed();
        sleep(Duration::from_secs(1)).await;
        let (idle_mib, _) = process::memory(child.id())?;
        self.running.insert(service, Service { child, http, admin, grpc, ready_after, idle_mib });
        Ok(())
    }

    /// Ends a service as Kubernetes does, and waits for it.
    pub fn stop(&mut self, service: &str) -> anyhow::Result<()> {
        let Some(mut service) = self.running.remove(service) else { return Ok(()) };
        Command::new("kill").arg(service.child.id().to_string()).status()?;
        service.child.wait()?;
        Ok(())
    }

    /// Where a service's public API is.
    pub fn url(&self, service: &str) -> String {
        self.running.get(service).map_or_else(String::new, |service| format!("http://{}", service.http))
    }

    /// Where a service's gRPC is.
    pub fn grpc(&self, service: &str) -> String {
        self.running.get(service).map_or_else(String::new, |service| format!("http://{}", service.grpc))
    }

    /// What a service has written so far; the user service's mails are in it.
    pub fn written(&self, service: &str) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.log(service))?)
    }

    /// The processor time of every running service.
    pub fn cpu(&self) -> anyhow::Result<Vec<(String, Duration)>> {
        let used = |(name, service): (&&str, &Service)| Ok(((*name).to_owned(), process::cpu(service.child.id())?));
        self.running.iter().map(used).collect()
    }

    /// Resident memory of every running service.
    pub fn memory(&self) -> anyhow::Result<BTreeMap<String, Memory>> {
        let memory = |(name, service): (&&str, &Service)| {
            let (after, peak) = process::memory(service.child.id())?;
            let ready_after_ms = service.ready_after.as_secs_f64() * 1_000.0;
            Ok(((*name).to_owned(), Memory { before: service.idle_mib, peak, after, ready_after_ms }))
        };
        self.running.iter().map(memory).collect()
    }

    fn log(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}.log"))
    }

    fn command(&self, service: &str, database: &str, stores: &Stores) -> Command {
        let mut command = Command::new(self.programs.join(format!("shop-{service}")));
        // Settings of the caller's environment are not the services'.
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        if DATABASES.iter().any(|(name, _)| *name == database) {
            command.env("SHOP_POSTGRES__URL", stores.postgres(database));
        }
        if let Some(identities) = &self.identities {
            command.env("SHOP_MESH_IDENTITY", identities.join(service));
        }
        if let Some(Traces { endpoint, share }) = &self.traces {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
            command.env("OTEL_TRACES_SAMPLER_ARG", share.to_string());
        }
        for (name, neighbour) in [("CATALOG", "product"), ("ORDERS", "order")] {
            let address = self.running.get(neighbour).map_or(NOBODY, |neighbour| neighbour.grpc);
            command.env(format!("SHOP_{name}__URL"), format!("http://{address}"));
        }
        let upstream = |(name, service): (&&str, &Service)| format!("{name}=http://{}", service.admin);
        command.env("SHOP_UPSTREAMS", self.running.iter().map(upstream).collect::<Vec<_>>().join(","));
        command
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
