//! A whole shop as processes on this machine: the services' own binaries on stores of their own, and a door in front of
//! everything each of them talks to.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

use jiff::SignedDuration;
use reqwest::Client;
use secrecy::ExposeSecret as _;
use shop_faults::{Addresses, Books, Violation, Witness, audit};
use shop_testing::{TestBroker, TestDatabase, TestMongo, TestTokens, variable};
use sqlx::migrate::Migrator;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{
    link::{Link, Mode},
    member::{Member, Neighbourhood, SERVICES, SIGNING, Settings},
};

/// How long anything may take before a test gives up: far beyond every lease, back-off and timeout of the services.
pub const PATIENCE: Duration = Duration::from_mins(4);
/// Services with a database.
pub const DATABASES: [&str; 4] = ["product", "order", "payment", "delivery"];
/// Shops at once: each is a handful of processes, and every process has its connections.
static ROOM: Semaphore = Semaphore::const_new(3);
/// Violations that are printed; the rest is counted.
const PRINTED: usize = 30;

/// See the module.
pub struct Shop {
    pub members: Vec<Member>,
    pub client: Client,
    pub tokens: TestTokens,
    /// Spreads requests over replicas.
    pub turn: AtomicUsize,
    databases: HashMap<&'static str, TestDatabase>,
    witness: Mutex<Witness>,
    folder: PathBuf,
    broker: TestBroker,
    _accounts: Option<TestMongo>,
    _room: SemaphorePermit<'static>,
}

impl Shop {
    /// A shop that is ready.
    pub async fn open(settings: Settings) -> Self {
        let room = ROOM.acquire().await.expect("nobody closes it");
        let (broker, tokens) = (TestBroker::create().await, TestTokens::create());
        let mut databases = HashMap::new();
        for service in DATABASES {
            // Empty: the service's own `migrate` fills it.
            databases.insert(service, TestDatabase::create(&Migrator::DEFAULT).await);
        }
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(Uuid::new_v4().simple().to_string());
        std::fs::create_dir_all(folder.join(SIGNING)).expect("a folder for logs and a key");
        std::fs::write(folder.join(SIGNING).join("0001.pem"), &tokens.signing_key).expect("a file");
        let accounts = settings.accounts.then(TestMongo::create);
        let around = Neighbourhood {
            databases: databases.iter().map(|(service, test)| (*service, test.config.database.clone())).collect(),
            amqp: broker.config.url.expose_secret().to_owned(),
            redis: variable("SHOP_TEST_REDIS_URL"),
            mongodb: accounts.as_ref().map(|accounts| accounts.url.clone()),
            auth: tokens.config(),
            folder: folder.clone(),
            network: Uuid::new_v4().into_bytes()[0..2].try_into().expect("two bytes"),
            settings,
        };
        let mut members = Vec::new();
        for service in SERVICES.into_iter().filter(|service| *service != "user" || accounts.is_some()) {
            let first = members.len();
            for replica in 0..around.settings.replicas {
                members.push(Member::new(&around, service, replica).await);
            }
            // A cart has no schema, and nothing to migrate.
            if service != "cart" {
                members[first].migrate().await;
            }
        }
        let client = Client::builder().timeout(Duration::from_secs(12)).build().expect("a client");
        let (turn, witness) = (AtomicUsize::new(0), Mutex::default());
        let shop = Self {
            members,
            client,
            tokens,
            turn,
            databases,
            witness,
            folder,
            broker,
            _accounts: accounts,
            _room: room,
        };
        shop.heal().await;
        shop
    }

    /// The processes of a service.
    pub fn replicas(&self, service: &str) -> Vec<&Member> {
        self.members.iter().filter(|member| member.service == service).collect()
    }

    /// The first process of a service.
    pub fn member(&self, service: &str) -> &Member {
        self.replicas(service)[0]
    }

    /// Every door, or those to one thing.
    pub fn links(&self, to: Option<&str>) -> impl Iterator<Item = &Link> {
        let links = self.members.iter().flat_map(|member| &member.links);
        links.filter(move |link| to.is_none_or(|to| link.to == to))
    }

    /// Opens every door and starts whatever is dead; returns when all are ready.
    pub async fn heal(&self) {
        for link in self.links(None) {
            link.disarm();
            link.set(Mode::Open);
        }
        for member in &self.members {
            member.start();
        }
        for member in &self.members {
            member.ready(&self.client).await;
        }
    }

    /// What the test knows and the stores do not.
    pub fn witness(&self) -> MutexGuard<'_, Witness> {
        self.witness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks into a service's database.
    pub fn database(&self, service: &str) -> &shop_db::Pool {
        &self.databases[service].pool
    }

    /// Lets the clock of a service's database jump.
    pub async fn jump(&self, service: &str, by: SignedDuration) {
        self.databases[service].jump(by).await;
    }

    /// Waits until nothing is under way; then no invariant may be broken.
    pub async fn settles(&self) -> Books {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // On a busy machine the stores may not answer at once.
            let open = self.open_ends().await;
            if let Ok(0) = open {
                let books = Books::read(&self.stores()).await.expect("the stores can be read");
                let violations = audit(&books, &self.witness());
                if violations.is_empty() {
                    return books;
                }
                // The last events may still be on their way to those who only listen.
                assert!(Instant::now() < deadline, "{}", report(&violations));
            }
            if Instant::now() >= deadline {
                let books = Books::read(&self.stores()).await.expect("the stores can be read");
                panic!("{open:?} things are still under way\n{}", report(&audit(&books, &self.witness())));
            }
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// How much has not come to its end, asked cheaply.
    async fn open_ends(&self) -> sqlx::Result<i64> {
        let mut open = 0;
        for (service, sql) in [
            ("order", "SELECT count(*) FROM orders WHERE status NOT IN ('DELIVERED', 'CANCELED')"),
            ("payment", "SELECT count(*) FROM payments WHERE due_at IS NOT NULL"),
            ("delivery", "SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL"),
            ("product", "SELECT count(*) FROM reservations WHERE state = 'reserved'"),
        ] {
            let pool = self.database(service);
            let unfinished: i64 = sqlx::query_scalar(sql).fetch_one(pool).await?;
            let unsent = "SELECT count(*) FROM outbox WHERE sent_at IS NULL";
            let unsent: i64 = sqlx::query_scalar(unsent).fetch_one(pool).await?;
            open += unfinished + unsent;
        }
        Ok(open)
    }

    fn stores(&self) -> Addresses {
        let database = |service: &str| self.databases[service].config.database.url.expose_secret().to_owned();
        Addresses {
            order: database("order"),
            payment: database("payment"),
            delivery: database("delivery"),
            product: database("product"),
            amqp: Some(self.broker.config.url.expose_secret().to_owned()),
            redis: Some(variable("SHOP_TEST_REDIS_URL")),
            authorities: None,
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // Before the stores go: a service would log that they are gone.
        for member in &self.members {
            member.kill();
        }
        if std::thread::panicking() {
            eprintln!("the services' logs are in {}", self.folder.display());
        } else {
            // What stays is in the target folder.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn report(violations: &[Violation]) -> String {
    let lines: Vec<_> = violations.iter().take(PRINTED).map(ToString::to_string).collect();
    format!("{} violations:\n{}", violations.len(), lines.join("\n"))
}
