//! How often somebody may try, as those notice who try too often: straight at a pod, as proxies would ask it.

use http::StatusCode;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use shop_e2e::purchase::stranger;
use shopkeeper_testing::Scene;

use super::sights::Sights;
use super::wishes::{LOGINS_PER_ACCOUNT, LOGINS_PER_ADDRESS, REGISTRATIONS_PER_ADDRESS};

/// The outer one of two proxies.
const PROXY: &str = "192.0.2.254";
/// More than any limit.
const TOO_MANY: usize = 20;
/// One minute of the clock has room for all tries, if the one before had not.
const MINUTES: [u8; 3] = [1, 2, 3];

/// A pod that lets people in.
struct Door {
    http: reqwest::Client,
    url: String,
}

impl Door {
    async fn of(scene: &Scene) -> Self {
        let pod = scene.pods("user").await.pop_first().expect("a pod");
        let pod: Pod = scene.api().get(&pod).await.expect("the pod");
        let address = pod.status.and_then(|status| status.pod_ip).expect("an address");
        Self { http: reqwest::Client::new(), url: format!("http://{address}:8080/api/v1/auth") }
    }

    async fn log_in(&self, client: &str, email: &str) -> StatusCode {
        self.knock(client, "login", &json!({"email": email, "password": "a guess"})).await
    }

    async fn register(&self, client: &str) -> StatusCode {
        let who = stranger();
        let names = json!({"email": who.email, "password": who.password, "first_name": "Ada", "last_name": "Tester"});
        self.knock(client, "register", &names).await
    }

    /// A request of `client` that came through both proxies.
    async fn knock(&self, client: &str, path: &str, body: &Value) -> StatusCode {
        let request = self.http.post(format!("{}/{path}", self.url)).json(body);
        let request = request.header("x-forwarded-for", format!("{client}, {PROXY}"));
        let answer = request.send().await.expect("an answer");
        let is_over = answer.status() == StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(answer.headers().contains_key(RETRY_AFTER), is_over, "it says when to come back");
        answer.status()
    }
}

pub async fn are_kept(scene: &Scene, sights: &Sights) {
    let door = Door::of(scene).await;
    let account = |minute: u8| format!("squirrel-{minute}@acorn.test");
    let address = |number: usize| format!("203.0.113.{number}");
    let taken = in_a_minute(async |minute, number| door.log_in(&address(number), &account(minute)).await).await;
    sights.same("users.rateLimits.loginsPerAccount", taken, LOGINS_PER_ACCOUNT);
    let address = |minute: u8| format!("198.51.100.{minute}");
    let taken = in_a_minute(async |minute, _| door.log_in(&address(minute), &stranger().email).await).await;
    sights.same("users.rateLimits.loginsPerAddress", taken, LOGINS_PER_ADDRESS);
    let taken = in_a_minute(async |minute, _| door.register(&address(minute)).await).await;
    sights.same("users.rateLimits.registrationsPerAddress", taken, REGISTRATIONS_PER_ADDRESS);
    // Somebody else behind the same proxies.
    let other = door.register("198.51.100.254").await;
    sights.same("users.trustedProxyHops", other, StatusCode::CREATED);
}

/// How many tries are taken in one minute of the clock, with which limits begin anew. In another minute somebody else tries,
/// who has not tried before.
async fn in_a_minute(knock: impl AsyncFn(u8, usize) -> StatusCode) -> usize {
    let now = || Timestamp::now().as_second() / 60;
    for minute in MINUTES {
        let (begun, mut taken) = (now(), 0);
        while taken < TOO_MANY && knock(minute, taken).await != StatusCode::TOO_MANY_REQUESTS {
            taken += 1;
        }
        if now() == begun {
            return taken;
        }
    }
    panic!("{TOO_MANY} tries take longer than a minute");
}
