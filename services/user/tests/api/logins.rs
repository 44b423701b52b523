//! The service has a user of its own at MongoDB, which the migration makes, and another one takes over from it.

use std::sync::Arc;

use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::json;
use shop_config::Database;
use shop_server::{Host, Service as _};
use shop_testing::{Running, TestMongo, TestWorld};
use shop_user::{App, config::Config, mail::LogMailer};
use uuid::Uuid;

use crate::harness::{ADMIN_PASSWORD, Answer, Keys, Setting, address, config};

/// Accounts of which the first admin's is one.
struct Accounts {
    database: TestMongo,
    keys: Keys,
    admin: String,
}

impl Accounts {
    fn create() -> Self {
        Self { database: TestMongo::create(), keys: Keys::create(), admin: address("admin") }
    }

    /// The migration Job that makes a user, and ends another one.
    async fn migrate(&self, url: &str, retired: Option<&str>) {
        self.run(Database {
            admin_url: Some(SecretString::from(self.database.url.as_str())),
            retired: retired.map(str::to_owned),
            ..Database::from(url.to_owned())
        })
        .await;
    }

    async fn run(&self, mongodb: Database) {
        let settings = config(&self.keys, &self.database.url, &Setting::default(), &self.admin);
        App::migrate(Config { mongodb, ..settings }, &host()).await.expect("the migration runs");
    }

    /// What the first admin's log-in is answered by a service that has this address.
    async fn answered(&self, url: &str) -> StatusCode {
        let (host, settings) = (host(), config(&self.keys, url, &Setting::default(), &self.admin));
        let mailer = Arc::new(LogMailer::new(std::io::sink()));
        let edge = shop_user::wire(settings, &host, mailer).await.expect("the service builds");
        let service = Running::serve(edge, host).await;
        let login = json!({"email": self.admin, "password": ADMIN_PASSWORD});
        let answer = Answer::to(service.client.post(service.url("/api/v1/auth/login")).json(&login)).await;
        service.stop().await;
        answer.status
    }
}

/// A process of its own, whose tokens are no other one's.
fn host() -> Host {
    let (seed, _) = Uuid::new_v4().as_u64_pair();
    Host::new(Arc::new(TestWorld::new(seed)) as _)
}

#[tokio::test]
async fn a_second_user_works_beside_the_first_and_then_in_its_place() {
    let accounts = Accounts::create();
    let [first, second, third] = [("user", "acorn"), ("user_b", "oak"), ("user", "elm")]
        .map(|(user, word)| accounts.database.url_of(user, word));
    for _ in 0..2 {
        accounts.migrate(&first, None).await;
    }
    assert_eq!(accounts.answered(&first).await, 200);

    accounts.migrate(&second, None).await;
    assert_eq!(accounts.answered(&first).await, 200, "the first one still works");
    assert_eq!(accounts.answered(&second).await, 200, "the second one works with the same accounts");

    for _ in 0..2 {
        accounts.migrate(&second, Some("user")).await;
    }
    assert_eq!(accounts.answered(&first).await, 503, "the first one has no way in any more");
    assert_eq!(accounts.answered(&second).await, 200);

    accounts.migrate(&third, None).await;
    accounts.migrate(&third, Some("user_b")).await;
    assert_eq!(accounts.answered(&third).await, 200, "the first user gets another turn");
    assert_eq!(accounts.answered(&first).await, 503, "with another password");
    assert_eq!(accounts.answered(&second).await, 503);
}

#[tokio::test]
async fn a_migration_replaces_the_password_of_whoever_makes_users_and_then_finds_it_replaced() {
    let accounts = Accounts::create();
    accounts.database.add_owner("root", "acorn").await;
    let [former, present] = ["acorn", "oak"].map(|word| accounts.database.url_of("root", word));
    for _ in 0..2 {
        accounts
            .run(Database {
                admin_url: Some(present.clone().into()),
                former_admin_url: Some(former.clone().into()),
                ..Database::from(accounts.database.url_of("user", "elm"))
            })
            .await;
        assert_eq!(accounts.answered(&present).await, 200);
        assert_eq!(accounts.answered(&former).await, 503, "the former password is no good");
    }
}
