//! What the Shop is to be: at first everything that does not get into the way of those who buy, and then the rest.

use serde_json::{Value, json};
use shop_e2e::shop::Credentials;
use shop_testing::{s3_server, smtp_server};
use shopkeeper_testing::Scene;

use super::outside::Outside;
use crate::market;

pub const PUBLIC_URL: &str = "https://nuts.acorn.test:8443";
pub const MAIL_FROM: &str = "Acorn Shop <squirrel@acorn.test>";
/// What is told the collector with every trace.
pub const HEADER: (&str, &str) = ("x-acorn", "chestnut");
/// With the three decimals of the currency.
pub const CURRENCY: &str = "KWD";
pub const PRICE: &str = "1.005";
/// So many are too dear for the payment provider, and of so many it never hears.
pub const TOO_DEAR: u32 = 999;
pub const NEVER_PAID: u32 = 100;
/// Where the carrier finds nobody.
pub const ATLANTIS: &str = "Atlantis";
/// Seconds that an order waits, that payment takes and that a parcel does.
pub const UNPAID_EXPIRY: f64 = 25.0;
pub const PAYMENT: f64 = 4.0;
pub const DELIVERY: f64 = 8.0;
pub const LOGINS_PER_ACCOUNT: usize = 4;
pub const LOGINS_PER_ADDRESS: usize = 7;
pub const REGISTRATIONS_PER_ADDRESS: usize = 3;
pub const CANARY_WEIGHT: i64 = 30;
/// Seconds for which a certificate is good.
pub const CERTIFICATE_LIFETIME: i64 = 7200;
/// A call is tried so often after the first time, because its time is over before its tries are.
pub const RETRIES: i64 = 3;

/// The first admin.
pub fn keeper() -> Credentials {
    Credentials { email: "keeper@acorn.test".to_owned(), password: "acorns-in-the-hollow-oak".to_owned() }
}

/// The Secrets that the Shop names, by name.
pub fn secrets(outside: &Outside) -> [(&'static str, Value); 4] {
    let Credentials { email, password } = keeper();
    let (host, port) = (outside.address.to_string(), outside.mail.port().to_string());
    let (user, its_password) = (smtp_server::USER, smtp_server::PASSWORD);
    let (header, value) = HEADER;
    [
        ("keeper", json!({"email": email, "password": password})),
        ("mail", json!({"host": host, "port": port, "tls": "none", "username": user, "password": its_password})),
        ("bucket", json!({"accessKeyId": s3_server::KEY, "secretAccessKey": s3_server::SECRET})),
        ("collector", json!({"headers": format!("{header}={value}")})),
    ]
}

/// The Shop at first. Classes of volumes and of its Ingress are called like the namespace.
pub fn spec(scene: &Scene, outside: &Outside) -> Value {
    let class = &scene.namespace;
    let store =
        |storage: &str| json!({"embedded": {"storage": storage, "storageClassName": class, "dataOnDelete": "Retain"}});
    let bucket = json!({
        "bucket": s3_server::BUCKET, "region": s3_server::REGION, "endpoint": outside.bucket.endpoint(),
        "secretName": "bucket",
    });
    let fields = json!({
        "image": {"registry": registry(scene), "pullPolicy": "Never", "pullSecrets": ["pull-from-registry"]},
        "currency": CURRENCY,
        "publicUrl": PUBLIC_URL,
        "ingress": {"className": class},
        "services": services(scene),
        "postgres": store("2Gi"), "mongodb": store("3Gi"), "redis": store("4Gi"), "rabbitmq": store("5Gi"),
        "users": users(),
        "products": {"images": {"s3": bucket}},
        "orders": {"unpaidExpiry": format!("{UNPAID_EXPIRY}s"), "reservation": "1h"},
        "payment": payment(), "delivery": delivery(),
        "mesh": mesh(outside),
        "credentials": {"maxAge": "1h"},
        "telemetry": {
            "otlp": {"endpoint": outside.collector.endpoint, "headersSecretName": "collector"}, "sampling": 0.5,
        },
    });
    market::spec(scene, &fields)
}

/// The images that the cluster has, under the name that a registry knows them by.
pub fn registry(scene: &Scene) -> String {
    format!("docker.io/{}", scene.settings.image_registry)
}

fn services(scene: &Scene) -> Value {
    let (version, registry) = (&scene.settings.version, &scene.settings.image_registry);
    let usual = json!({"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilization": 1000});
    // Whoever does anything at all does more than that.
    let eager = json!({"minReplicas": 2, "maxReplicas": 3, "targetCPUUtilization": 1});
    let mut services = json!({
        "user": {"logLevel": "warn"},
        "product": {"logLevel": "error", "canary": {"version": version, "weight": CANARY_WEIGHT}},
        "cart": {"logLevel": "off"},
        "order": {"logLevel": "debug", "replicas": 2},
        "payment": {"logLevel": "info,sqlx=debug"},
        "delivery": {"autoscaling": usual},
        "docs": {"logLevel": "off", "image": format!("{registry}/docs:{version}"), "autoscaling": eager},
    });
    for service in services.as_object_mut().expect("services").values_mut() {
        service["resources"] =
            json!({"limits": {"cpu": "900m", "memory": "160Mi"}, "requests": {"cpu": "25m", "memory": "48Mi"}});
    }
    services
}

fn users() -> Value {
    let limits = json!({
        "loginsPerAccount": LOGINS_PER_ACCOUNT, "loginsPerAddress": LOGINS_PER_ADDRESS,
        "registrationsPerAddress": REGISTRATIONS_PER_ADDRESS,
    });
    json!({"adminSecretName": "keeper", "trustedProxyHops": 2, "rateLimits": limits, "mail": {"log": {}}})
}

fn payment() -> Value {
    let outcomes = json!([
        {"when": {"everyNth": 2}, "then": "Fail", "times": 1},
        {"when": {"amountAbove": 1_000_000}, "then": "Decline"},
        {"when": {"amountAbove": 100_000}, "then": "Fail"},
    ]);
    json!({"mock": {"latency": format!("{PAYMENT}s"), "outcomes": outcomes}})
}

fn delivery() -> Value {
    let outcomes = json!([
        {"when": {"everyNth": 2}, "then": "Fail", "times": 1},
        {"when": {"city": ATLANTIS}, "then": "Undeliverable"},
    ]);
    json!({"mock": {"latency": format!("{DELIVERY}s"), "outcomes": outcomes}})
}

/// Where policies are enforced, services reach this machine because of one.
fn mesh(outside: &Outside) -> Value {
    let machine = json!([{"ipBlock": {"cidr": format!("{}/32", outside.address)}}]);
    let every_other = json!({"retries": {"budget": 0}, "faults": {"percent": 50, "error": "Unavailable"}});
    json!({
        "certificateLifetime": format!("{CERTIFICATE_LIFETIME}s"),
        "networkPolicy": {"egressTo": machine},
        "edges": {"cart-product": every_other},
    })
}

/// The one edit that replaces pods.
pub fn change() -> Value {
    let broken = json!({"retries": null, "faults": {"percent": 100, "error": null, "reset": true}});
    // Without any of these there would be more tries, fewer, or one that is answered.
    let slow = json!({
        "timeout": "9s", "retries": {"attempts": 5, "perTryTimeout": "2500ms"},
        "faults": {"percent": 100, "delay": "9s"},
    });
    json!({
        "services": {"product": {"canary": null}},
        "users": {"mail": {"log": null, "smtp": {"secretName": "mail", "from": MAIL_FROM}}},
        "mesh": {"mtls": "Off", "edges": {"cart-product": broken, "cart-order": slow}},
        "telemetry": {"otlp": null, "disabled": {}, "sampling": 1},
    })
}
