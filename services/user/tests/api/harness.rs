//! A user service of its own for each test: its database, its mailbox, its clock, its client address.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use reqwest::{Method, StatusCode, header::HeaderMap};
use secrecy::SecretString;
use serde_json::{Value, json};
use shop_config::Url;
use shop_server::{Host, Service as _};
use shop_testing::{Running, TestTokens, TestWorld, eventually, variable};
use shop_user::{
    App,
    config::{Config, FirstAdmin, MailKind, MailSettings, RateLimits, Signing},
    domain::Email,
    mail::LogMailer,
};
use uuid::Uuid;

pub const PASSWORD: &str = "a perfectly fine passphrase";
pub const ADMIN_PASSWORD: &str = "the first admin's passphrase";
pub const PUBLIC_URL: &str = "https://shop.example.com";

/// A running user service.
pub struct Shop {
    pub running: Running,
    pub world: Arc<TestWorld>,
    pub admin: String,
    mails: Mailbox,
    client_address: String,
    keys: Keys,
    _database: TestMongo,
}

/// What a test changes about the settings.
pub struct Setting {
    pub limits: RateLimits,
    pub redis: String,
}

impl Default for Setting {
    fn default() -> Self {
        Self { limits: RateLimits::default(), redis: variable("SHOP_TEST_REDIS_URL") }
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
        let (keys, database, mails) = (Keys::create(), TestMongo::create(), Mailbox::default());
        let admin = address("admin");
        let config = || config(&keys, &database, &setting, &admin);
        let (seed, _) = Uuid::new_v4().as_u64_pair();
        let world = Arc::new(TestWorld::new(seed));
        let host = Host::new(Arc::clone(&world) as _);
        App::migrate(config(), &host).await.expect("the migration runs");
        App::migrate(config(), &host).await.expect("the migration runs again");
        let edge = shop_user::wire(config(), &host, Arc::new(LogMailer::new(mails.clone())))
            .await
            .expect("the service builds");
        let running = Running::serve(edge, host).await;
        running.ready().await;
        let [_, _, _, _, a, b, c, ..] = Uuid::new_v4().into_bytes();
        let client_address = format!("10.{a}.{b}.{c}");
        Self { running, world, admin, mails, client_address, keys, _database: database }
    }

    /// What its tokens are signed with.
    pub fn tokens(&self) -> &TestTokens {
        &self.keys.tokens
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
        let response = request.send().await.expect("the service answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("the answer has an end");
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("the answer is JSON") };
        Answer { status, headers, body }
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

    /// The token in that mail's link.
    pub async fn mailed_token(&self, email: &str, number: usize) -> String {
        let mail = self.mail(email, number).await;
        let url = mail["url"].as_str().expect("a mail has a url");
        url.split_once("?token=").expect("the url has a token").1.to_owned()
    }

    /// Ends the service, which finishes what it has begun, and counts the mails to `email`.
    pub async fn stop_and_count_mails(self, email: &str) -> usize {
        self.running.stop().await;
        self.mails.to(email).len()
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

fn config(keys: &Keys, database: &TestMongo, setting: &Setting, admin: &str) -> Config {
    Config {
        mongodb: Url { url: SecretString::from(database.url.clone()) },
        redis: Url { url: SecretString::from(setting.redis.clone()) },
        auth: keys.tokens.config(),
        signing: Signing { key_file: keys.file.clone(), kid: "test".to_owned() },
        public_url: PUBLIC_URL.to_owned(),
        admin_user: Some(FirstAdmin {
            email: Email::from(admin.to_owned()),
            password: SecretString::from(ADMIN_PASSWORD),
        }),
        mail: MailSettings { kind: MailKind::Log },
        trusted_proxy_hops: 1,
        rate_limits: setting.limits,
    }
}

/// The lines of the log mailer.
#[derive(Clone, Default)]
struct Mailbox(Arc<Mutex<Vec<u8>>>);

impl Mailbox {
    fn to(&self, email: &str) -> Vec<Value> {
        let bytes = self.0.lock().expect("no test panics with the mailbox").clone();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mails = lines.map(|line| serde_json::from_slice::<Value>(line).expect("a mail is a line of JSON"));
        mails.filter(|mail| mail["to"] == email).collect()
    }
}

impl Write for Mailbox {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panics with the mailbox").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The signing key in a file, as the service finds it.
struct Keys {
    tokens: TestTokens,
    file: PathBuf,
}

impl Keys {
    fn create() -> Self {
        let tokens = TestTokens::create();
        let file = std::env::temp_dir().join(format!("{}.pem", Uuid::new_v4()));
        std::fs::write(&file, &tokens.signing_key).expect("a temporary file");
        Self { tokens, file }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// A database for one test, dropped afterwards.
struct TestMongo {
    url: String,
    name: String,
}

impl TestMongo {
    fn create() -> Self {
        let server = variable("SHOP_TEST_MONGODB_URL");
        let (host, options) = server.split_once("/?").unwrap_or((server.trim_end_matches('/'), ""));
        let name = format!("t{}", Uuid::new_v4().simple());
        Self { url: format!("{host}/{name}?{options}"), name }
    }
}

impl Drop for TestMongo {
    fn drop(&mut self) {
        let (url, name) = (self.url.clone(), self.name.clone());
        // A destructor cannot await, and the test's runtime may be gone.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let drop = async move { mongodb::Client::with_uri_str(&url).await?.database(&name).drop().await };
            runtime.block_on(drop).map_err(io::Error::other)
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("the test database {} stays: {error}", self.name);
        }
    }
}
