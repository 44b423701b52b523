//! A user service of its own for each test: its database, its mailbox, its clock, its client address.

mod keys;
mod mailbox;

use std::{sync::Arc, time::Duration};

use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use secrecy::SecretString;
use serde_json::{Value, json};
use shop_config::{Database, Url};
use shop_core::World as _;
use shop_server::{Host, Service as _};
use shop_testing::{Running, TestMongo, TestTokens, TestWorld, eventually, variable};
use shop_user::{
    App,
    config::{Config, FirstAdmin, MailSettings, RateLimits, Signing, Smtp},
    domain::Email,
    mail::{LogMailer, Mailer, SmtpMailer},
};
use uuid::Uuid;

pub use keys::{KeyPair, Keys};
pub use mailbox::Mailbox;

pub const PASSWORD: &str = "a perfectly fine passphrase";
pub const ADMIN_PASSWORD: &str = "the first admin's passphrase";
pub const PUBLIC_URL: &str = "https://shop.example.com";

/// A running user service.
pub struct Shop {
    pub running: Running,
    pub world: Arc<TestWorld>,
    pub admin: String,
    pub keys: Arc<Keys>,
    mails: Mailbox,
    pub client_address: String,
    setting: Setting,
    database: Arc<TestMongo>,
}

/// What a test changes about the settings.
#[derive(Clone)]
pub struct Setting {
    pub limits: RateLimits,
    pub redis: String,
    /// Instead of the mailbox.
    pub smtp: Option<Smtp>,
    pub admin_password: &'static str,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            limits: RateLimits::default(),
            redis: variable("SHOP_TEST_REDIS_URL"),
            smtp: None,
            admin_password: ADMIN_PASSWORD,
        }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

/// The two tokens of a session.
#[derive(Clone, Debug)]
pub struct Pair {
    pub access: String,
    pub refresh: String,
}

impl Shop {
    /// With everything as usual.
    pub async fn open() -> Self {
        Self::with(Setting::default()).await
    }

    /// With `setting`; migrated twice, because a Job may run again.
    pub async fn with(setting: Setting) -> Self {
        let (keys, database) = (Arc::new(Keys::create()), Arc::new(TestMongo::create()));
        let (seed, _) = Uuid::new_v4().as_u64_pair();
        let [_, _, _, _, a, b, c, ..] = Uuid::new_v4().into_bytes();
        let origin = Origin {
            world: Arc::new(TestWorld::new(seed)),
            admin: address("admin"),
            client_address: format!("10.{a}.{b}.{c}"),
            mails: Mailbox::default(),
            setting,
            keys,
            database,
        };
        origin.migrate().await;
        origin.migrate().await;
        origin.serve().await
    }

    /// What its tokens are signed with.
    pub fn tokens(&self) -> &TestTokens {
        &self.keys.first().tokens
    }

    /// Another replica: the same stores, clock, keys and mailbox.
    pub async fn replica(&self) -> Self {
        self.origin(self.setting.clone()).serve().await
    }

    /// Ends the service as an upgrade would, and starts it again.
    pub async fn restart(self) -> Self {
        let origin = self.origin(self.setting.clone());
        self.running.stop().await;
        origin.serve().await
    }

    /// Runs the migration again, as an upgrade with other settings would.
    pub async fn migrate_with(&self, setting: Setting) {
        self.origin(setting).migrate().await;
    }

    fn origin(&self, setting: Setting) -> Origin {
        Origin {
            world: Arc::clone(&self.world),
            admin: self.admin.clone(),
            client_address: self.client_address.clone(),
            mails: self.mails.clone(),
            setting,
            keys: Arc::clone(&self.keys),
            database: Arc::clone(&self.database),
        }
    }

    /// The value of a counter of `/metrics`; 0 while nothing was counted.
    pub async fn metric(&self, sample: &str) -> u64 {
        let url = format!("http://{}/metrics", self.running.addresses.admin);
        let response = self.running.client.get(&url).send().await.expect("the admin port answers");
        let text = response.text().await.expect("the metrics");
        let mut values = text.lines().filter_map(|line| line.strip_prefix(sample)?.trim().parse().ok());
        values.next().unwrap_or_default()
    }

    /// How many documents a collection of the service's database has.
    pub async fn documents(&self, collection: &str) -> u64 {
        self.database.documents(collection).await
    }

    /// Sends a request as `token`'s user.
    pub async fn send(&self, method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> Answer {
        let mut request = self.running.client.request(method, self.running.url(path));
        request = request.header("x-forwarded-for", format!("1.2.3.4, {}", self.client_address));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::to(request).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, None, Some(body)).await
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(Method::GET, path, Some(token), None).await
    }

    pub async fn put(&self, path: &str, token: &str) -> Answer {
        self.send(Method::PUT, path, Some(token), None).await
    }

    pub async fn register(&self, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password, "first_name": "Ada", "last_name": "Lovelace"});
        self.post("/api/v1/auth/register", body).await
    }

    pub async fn try_login(&self, email: &str, password: &str) -> Answer {
        self.post("/api/v1/auth/login", json!({"email": email, "password": password})).await
    }

    pub async fn login(&self, email: &str, password: &str) -> Pair {
        let answer = self.try_login(email, password).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.pair()
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        self.post("/api/v1/auth/refresh", json!({"refresh_token": token})).await
    }

    pub async fn verify(&self, token: &str) -> Answer {
        self.send(Method::GET, &format!("/api/v1/auth/verify-email?token={token}"), None, None).await
    }

    /// The `number`th mail to `email`, from 1, once it is there.
    pub async fn mail(&self, email: &str, number: usize) -> Value {
        eventually("the mail is there", || async {
            let mails = self.mails.to(email);
            mails.get(number - 1).cloned().ok_or_else(|| format!("{mails:?}"))
        })
        .await
    }

    /// How many mails went to `email` so far.
    pub fn mails_to(&self, email: &str) -> usize {
        self.mails.to(email).len()
    }

    /// Waits until no mail waits to be sent.
    pub async fn all_mails_are_sent(&self) {
        eventually("no mail waits", || async {
            let waiting = self.documents("mails").await;
            if waiting == 0 { Ok(()) } else { Err(waiting.to_string()) }
        })
        .await;
    }

    /// The token in that mail's link.
    pub async fn mailed_token(&self, email: &str, number: usize) -> String {
        let mail = self.mail(email, number).await;
        let url = mail["url"].as_str().expect("a mail has a url");
        url.split_once("?token=").expect("the url has a token").1.to_owned()
    }

    /// Moves the clock to the beginning of a minute: limits count by the minute of the clock.
    pub fn begin_a_minute(&self) {
        let second = u64::try_from(self.world.now().as_second()).expect("a time after 1970");
        self.world.advance(Duration::from_secs(60 - second % 60));
    }

    /// A verified user and her session.
    pub async fn user(&self) -> (String, Pair) {
        let email = address("user");
        assert_eq!(self.register(&email, PASSWORD).await.status, 201);
        let token = self.mailed_token(&email, 1).await;
        assert_eq!(self.verify(&token).await.status, 200);
        let pair = self.login(&email, PASSWORD).await;
        (email, pair)
    }

    /// The first admin's session.
    pub async fn admin_session(&self) -> Pair {
        self.login(&self.admin, ADMIN_PASSWORD).await
    }

    /// What `/users/me` says.
    pub async fn me(&self, token: &str) -> Value {
        let answer = self.get("/api/v1/users/me", token).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }
}

impl Answer {
    /// What the service says to a request.
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the service answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("the answer has an end");
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("the answer is JSON") };
        Self { status, headers, body }
    }

    /// What it says to everybody: without what names this one request.
    pub fn told(&self) -> (StatusCode, Value, Vec<String>) {
        let mut body = self.body.clone();
        if let Some(problem) = body.as_object_mut() {
            problem.remove("trace_id");
        }
        let headers = self.headers.keys().map(ToString::to_string).collect();
        (self.status, body, headers)
    }

    pub fn pair(&self) -> Pair {
        let text = |name: &str| self.body[name].as_str().unwrap_or_else(|| panic!("no {name} in {self:?}")).to_owned();
        Pair { access: text("accessToken"), refresh: text("refreshToken") }
    }

    /// The fields a problem document names.
    pub fn fields(&self) -> Vec<&str> {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let errors = self.body["errors"].as_array().into_iter().flatten();
        errors.filter_map(|error| error["field"].as_str()).collect()
    }
}

/// An address nobody else uses: rate limits are shared by all tests.
pub fn address(name: &str) -> String {
    format!("{name}-{}@example.com", Uuid::new_v4().simple())
}

/// What a replica of the service is started from.
struct Origin {
    world: Arc<TestWorld>,
    admin: String,
    client_address: String,
    mails: Mailbox,
    setting: Setting,
    keys: Arc<Keys>,
    database: Arc<TestMongo>,
}

impl Origin {
    fn config(&self) -> Config {
        config(&self.keys, &self.database.url, &self.setting, &self.admin)
    }

    async fn migrate(&self) {
        let host = Host::new(Arc::clone(&self.world) as _);
        // The operator migrates when every store is there.
        let setting = Setting { redis: Setting::default().redis, ..self.setting.clone() };
        let config = config(&self.keys, &self.database.url, &setting, &self.admin);
        App::migrate(config, &host).await.expect("the migration runs");
    }

    async fn serve(self) -> Shop {
        let host = Host::new(Arc::clone(&self.world) as _);
        let mailer: Arc<dyn Mailer> = match &self.setting.smtp {
            Some(smtp) => Arc::new(SmtpMailer::new(smtp.clone()).expect("a mailer")),
            None => Arc::new(LogMailer::new(self.mails.clone())),
        };
        let edge = shop_user::wire(self.config(), &host, mailer).await.expect("the service builds");
        let running = Running::serve(edge, host).await;
        running.ready().await;
        let Self { world, admin, client_address, mails, setting, keys, database } = self;
        Shop { running, world, admin, keys, mails, client_address, setting, database }
    }
}

/// The settings of a service whose accounts are at `mongodb`.
pub fn config(keys: &Keys, mongodb: &str, setting: &Setting, admin: &str) -> Config {
    Config {
        mongodb: Database::from(mongodb.to_owned()),
        redis: Url::from(setting.redis.clone()),
        auth: keys.config(),
        signing: Signing { folder: keys.folder.join("signing") },
        public_url: PUBLIC_URL.to_owned(),
        admin_user: Some(FirstAdmin {
            email: Email::from(admin.to_owned()),
            password: SecretString::from(setting.admin_password),
        }),
        mail: MailSettings::Log,
        trusted_proxy_hops: 1,
        rate_limits: setting.limits,
    }
}
