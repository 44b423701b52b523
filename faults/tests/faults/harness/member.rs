//! One process of the shop: its settings, its address, and its doors.

use std::{collections::HashMap, net::Ipv4Addr, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use reqwest::Client;
use secrecy::ExposeSecret as _;
use shop_config::{Auth, Database};
use shop_testing::TestWorld;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    link::Link,
    process::{Process, Program, binary},
    shop::PATIENCE,
    wire::Protocol,
};

const HTTP: u16 = 7080;
const ADMIN: u16 = 7081;
const GRPC: u16 = 7090;
/// In the order they are started.
pub const SERVICES: [&str; 6] = ["product", "order", "payment", "delivery", "cart", "user"];
/// Where the key that signs tokens is, in the shop's folder.
pub const SIGNING: &str = "signing";

/// What differs between shops.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Processes of each service.
    pub replicas: usize,
    /// Tries of one call of the order service.
    pub attempts: &'static str,
    pub unpaid_expiry: &'static str,
    pub reservation: &'static str,
    pub payment_latency: &'static str,
    pub payment_outcomes: &'static str,
    pub delivery_latency: &'static str,
    pub delivery_outcomes: &'static str,
    /// Whether there is a user service too; else tokens come out of nowhere.
    pub accounts: bool,
    /// Whether each service has a clock that the test moves; it then runs inside the test.
    pub own_clocks: bool,
}

impl Settings {
    pub const DECLINED_ABOVE_40: &'static str = r#"[{"when": {"amountAbove": 4000}, "then": "Decline"}]"#;
    pub const LOST_IN_ATLANTIS: &'static str = r#"[{"when": {"city": "Atlantis"}, "then": "Undeliverable"}]"#;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            replicas: 1,
            attempts: "3",
            unpaid_expiry: "10m",
            reservation: "30m",
            payment_latency: "0s",
            payment_outcomes: "[]",
            delivery_latency: "0s",
            delivery_outcomes: "[]",
            accounts: false,
            own_clocks: false,
        }
    }
}

/// What the processes of one shop share.
pub struct Neighbourhood {
    pub databases: HashMap<&'static str, Database>,
    pub amqp: String,
    pub redis: String,
    /// Where accounts are, if there are any.
    pub mongodb: Option<String>,
    pub auth: Auth,
    /// For logs, and for the key that signs tokens.
    pub folder: PathBuf,
    /// Second and third part of the loopback addresses: a shop has ports that nobody else takes.
    pub network: [u8; 2],
    pub settings: Settings,
}

impl Neighbourhood {
    fn address(&self, service: &str, replica: usize) -> Ipv4Addr {
        let place = SERVICES.iter().position(|name| *name == service);
        let last = 16 * (place.expect("one of them") + 1) + replica;
        Ipv4Addr::new(127, self.network[0], self.network[1], u8::try_from(last).expect("few replicas"))
    }
}

/// See the module.
pub struct Member {
    pub service: &'static str,
    pub links: Vec<Link>,
    address: Ipv4Addr,
    process: Arc<Process>,
    program: Program,
}

impl Member {
    /// A process that is not started yet.
    pub async fn new(around: &Neighbourhood, service: &'static str, replica: usize) -> Self {
        let process = Arc::new(Process::default());
        let mut doors = Doors { process: Arc::clone(&process), links: Vec::new() };
        let address = around.address(service, replica);
        let mut environment = common(around, service, address);
        if service == "user" {
            let mongodb = around.mongodb.as_deref().expect("a shop with accounts");
            environment.push(("SHOP_MONGODB__URL", doors.store("mongodb", Protocol::Mongodb, mongodb).await));
            environment.push(("SHOP_SIGNING__FOLDER", around.folder.join(SIGNING).display().to_string()));
        } else {
            environment.push(("SHOP_AMQP__URL", doors.store("rabbitmq", Protocol::Amqp, &around.amqp).await));
        }
        if let Some(database) = around.databases.get(service) {
            let url = doors.store("postgres", Protocol::Postgres, database.url.expose_secret()).await;
            environment.push(("SHOP_POSTGRES__URL", url));
        }
        if matches!(service, "cart" | "user") {
            environment.push(("SHOP_REDIS__URL", doors.store("redis", Protocol::Redis, &around.redis).await));
        }
        if service == "cart" {
            environment.push(("SHOP_ORDERS__URL", doors.all_of(around, "orders", "order").await));
            environment.push(("SHOP_ORDERS__RETRIES__ATTEMPTS", around.settings.attempts.to_owned()));
        }
        if matches!(service, "cart" | "order") {
            environment.push(("SHOP_CATALOG__URL", doors.all_of(around, "catalog", "product").await));
        }
        let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let log = around.folder.join(format!("{service}-{replica}.log"));
        let (seed, _) = Uuid::new_v4().as_u64_pair();
        let clock = around.settings.own_clocks.then(|| Arc::new(TestWorld::new(seed)));
        let program = Program { service, binary: binary(service), environment, log, clock };
        Self { service, links: doors.links, address, process, program }
    }

    /// Runs its migrations.
    pub async fn migrate(&self) {
        self.program.run("migrate").await;
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it when it is dead.
    pub fn start(&self) {
        if !self.process.is_started() {
            self.process.start(&self.program);
        }
    }

    /// Waits until it says so.
    pub async fn ready(&self, client: &Client) {
        let (url, deadline) = (format!("http://{}:{ADMIN}/readyz", self.address), Instant::now() + PATIENCE);
        loop {
            let answer = match client.get(&url).send().await {
                Ok(answer) if answer.status().is_success() => return,
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            assert!(
                Instant::now() < deadline,
                "{} is not ready: {answer}, see {}",
                self.service,
                self.program.log.display()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its door to `to`.
    pub fn link(&self, to: &str) -> &Link {
        self.links.iter().find(|link| link.to == to).unwrap_or_else(|| panic!("{} does not use {to}", self.service))
    }

    /// Its clock, in a shop whose services have their own.
    pub fn clock(&self) -> &TestWorld {
        self.program.clock.as_deref().expect("Settings::own_clocks")
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.program.log).expect("a process has a log")
    }

    /// The value of a metric; `name` with its labels. What was never counted is zero.
    pub async fn metric(&self, client: &Client, name: &str) -> u64 {
        let url = format!("http://{}:{ADMIN}/metrics", self.address);
        let text = client.get(url).send().await.expect("the admin port answers").text().await.expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.and_then(|line| line.split(' ').next());
        value.map_or(0, |value| value.parse().expect("a count"))
    }

    /// A URL of its public API.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}:{HTTP}{path}", self.address)
    }
}

fn common(around: &Neighbourhood, service: &str, address: Ipv4Addr) -> Vec<(&'static str, String)> {
    let (settings, auth) = (&around.settings, &around.auth);
    let (latency, outcomes) = match service {
        "payment" => (settings.payment_latency, settings.payment_outcomes),
        _ => (settings.delivery_latency, settings.delivery_outcomes),
    };
    let mut environment = vec![
        ("SHOP_LOG", "info".to_owned()),
        ("SHOP_LISTEN_HTTP", format!("{address}:{HTTP}")),
        ("SHOP_LISTEN_ADMIN", format!("{address}:{ADMIN}")),
        ("SHOP_LISTEN_GRPC", format!("{address}:{GRPC}")),
        ("SHOP_AUTH__JWKS_FILE", auth.jwks_file.display().to_string()),
        ("SHOP_AUTH__ISSUER", auth.issuer.clone()),
        ("SHOP_AUTH__AUDIENCE", auth.audience.clone()),
        ("SHOP_POSTGRES__POOL", "4".to_owned()),
        ("SHOP_CURRENCY", "USD".to_owned()),
        ("SHOP_UNPAID_EXPIRY", settings.unpaid_expiry.to_owned()),
        ("SHOP_RESERVATION", settings.reservation.to_owned()),
    ];
    if service == "user" {
        environment.push(("SHOP_PUBLIC_URL", "http://shop.example".to_owned()));
        environment.push(("SHOP_MAIL__KIND", "log".to_owned()));
    }
    // Only those two know the section, and read it differently.
    if matches!(service, "payment" | "delivery") {
        environment.push(("SHOP_PROVIDER__LATENCY", latency.to_owned()));
        environment.push(("SHOP_PROVIDER__OUTCOMES", outcomes.to_owned()));
    }
    environment
}

struct Doors {
    process: Arc<Process>,
    links: Vec<Link>,
}

impl Doors {
    /// `url` with a door in place of its host.
    async fn store(&mut self, to: &'static str, protocol: Protocol, url: &str) -> String {
        let (credentials, rest) = url.rsplit_once('@').expect("a store's URL has a user");
        let (host, path) = rest.split_once('/').expect("a store's URL has a path");
        let upstreams: Vec<SocketAddr> =
            tokio::net::lookup_host(host).await.expect("the store has an address").collect();
        let door = self.open(to, protocol, upstreams).await;
        format!("{credentials}@{door}/{path}")
    }

    /// A door to all replicas of `service`.
    async fn all_of(&mut self, around: &Neighbourhood, to: &'static str, service: &str) -> String {
        let replicas = 0..around.settings.replicas;
        let upstreams = replicas.map(|replica| SocketAddr::from((around.address(service, replica), GRPC))).collect();
        format!("http://{}", self.open(to, Protocol::Grpc, upstreams).await)
    }

    async fn open(&mut self, to: &'static str, protocol: Protocol, upstreams: Vec<SocketAddr>) -> SocketAddr {
        let link = Link::open(to, protocol, upstreams, Arc::clone(&self.process)).await.expect("a free port");
        let address = link.address;
        self.links.push(link);
        address
    }
}
