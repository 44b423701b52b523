//! What services log in with at their stores, and what makes their users there; the auditor reads with it too.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use mongodb::error::ErrorKind;
use shop_e2e::{Seen, wait_for};
use shop_faults::{Addresses, Books, is_refused};
use shopkeeper_operator::names::store_authorities;
use shopkeeper_testing::{SHOP, Scene};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::external::HOST;

/// The stores that the auditor reads, with their ports.
const STORES: [(&str, u16); 3] = [("postgres", 5432), ("redis", 6379), ("rabbitmq", 5671)];
/// A store that starts again answers within this time.
const PATIENCE: Duration = Duration::from_mins(2);

/// The log-ins of one moment, as they stand in the services' Secrets.
#[derive(Clone)]
pub struct Logins {
    audited: Addresses,
    /// MongoDB's, which the auditor does not read.
    accounts: String,
}

/// Who makes the users of embedded databases, at one moment.
pub struct Superusers {
    postgres: String,
    mongodb: String,
}

/// The stores as somebody outside of the cluster reaches them: on a port of the own machine, whose name their certificates
/// have. Ends with the value.
struct Reached {
    addresses: Addresses,
    _ways: JoinSet<()>,
}

impl Logins {
    /// Those that are given to pods that start now.
    pub async fn of(scene: &Scene) -> Self {
        let url = async |service: &str, variable: &str| value(scene, service, variable).await;
        let audited = Addresses {
            order: url("order", "SHOP_POSTGRES__URL").await,
            payment: url("payment", "SHOP_POSTGRES__URL").await,
            delivery: url("delivery", "SHOP_POSTGRES__URL").await,
            product: url("product", "SHOP_POSTGRES__URL").await,
            amqp: Some(url("order", "SHOP_AMQP__URL").await),
            redis: Some(url("cart", "SHOP_REDIS__URL").await),
            authorities: None,
        };
        Self { audited, accounts: url("user", "SHOP_MONGODB__URL").await }
    }

    async fn at(&self, scene: &Scene) -> Reached {
        let trusted: Option<ConfigMap> = scene.api().get_opt(&store_authorities(SHOP)).await.expect("the authorities");
        let mut addresses = self.audited.clone();
        let files = trusted.and_then(|trusted| trusted.data);
        // What somebody wrote into a Secret may end without a line break.
        addresses.authorities = files.map(|files| files.into_values().collect::<Vec<_>>().join("\n"));
        let mut ways = JoinSet::new();
        for (store, port) in STORES {
            let ours = (pod_of(store), format!("{SHOP}-{store}"));
            for (pod, host) in [ours, (HOST.to_owned(), HOST.to_owned())] {
                let Some(way) = way_to(scene, &mut ways, &pod, port).await else { continue };
                let Addresses { order, payment, delivery, product, amqp, redis, authorities: _ } = &mut addresses;
                for url in [order, payment, delivery, product].into_iter().chain(amqp).chain(redis) {
                    *url = url.replace(&format!("@{host}:{port}"), &format!("@{way}"));
                }
            }
        }
        Reached { addresses, _ways: ways }
    }

    /// What the stores say to those who show these.
    pub async fn read(&self, scene: &Scene) -> anyhow::Result<Books> {
        Books::read(&self.at(scene).await.addresses).await
    }

    /// Which of them the stores take.
    pub async fn taken(&self, scene: &Scene) -> Vec<&'static str> {
        let (these, present) = (self.audited.clone(), Self::of(scene).await);
        assert!(present.let_in(scene).await, "the present log-ins are good");
        assert!(takes(scene, &present.accounts).await, "the present log-in is good");
        let good = present.audited.clone();
        let tries = [
            ("order", Addresses { order: these.order, ..good.clone() }),
            ("payment", Addresses { payment: these.payment, ..good.clone() }),
            ("delivery", Addresses { delivery: these.delivery, ..good.clone() }),
            ("product", Addresses { product: these.product, ..good.clone() }),
            ("amqp", Addresses { amqp: these.amqp, ..good.clone() }),
            ("redis", Addresses { redis: these.redis, ..good }),
        ];
        let mut taken = Vec::new();
        for (name, addresses) in tries {
            if (Self { audited: addresses, ..present.clone() }).let_in(scene).await {
                taken.push(name);
            }
        }
        taken.extend(takes(scene, &self.accounts).await.then_some("user"));
        taken
    }

    /// Whether every store lets these in.
    async fn let_in(&self, scene: &Scene) -> bool {
        answered(async || match self.read(scene).await {
            Ok(_) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(error),
        })
        .await
    }
}

impl Superusers {
    /// Those that are given to migrations that start now.
    pub async fn of(scene: &Scene) -> Self {
        let url = async |store: &str| value(scene, store, "admin-url").await;
        Self { postgres: url("postgres").await, mongodb: url("mongodb").await }
    }

    /// Which of them the stores take.
    pub async fn taken(&self, scene: &Scene) -> Vec<&'static str> {
        let present = Logins::of(scene).await;
        // As whoever it is, the auditor reads order's tables.
        let order = self.postgres.replace("/postgres?", "/order?");
        let reading = Logins { audited: Addresses { order, ..present.audited.clone() }, ..present };
        let postgres = reading.let_in(scene).await.then_some("postgres");
        let mongodb = takes(scene, &self.mongodb).await.then_some("mongodb");
        postgres.into_iter().chain(mongodb).collect()
    }
}

/// A value of the Secret of a component.
async fn value(scene: &Scene, component: &str, key: &str) -> String {
    let secret: Secret = scene.api().get(&format!("{SHOP}-{component}")).await.expect("a Secret");
    String::from_utf8(secret.data.expect("data")[key].0.clone()).expect("text")
}

/// Whether an embedded MongoDB takes this log-in. Other tests ask whether the certificate is the right one.
async fn takes(scene: &Scene, url: &str) -> bool {
    answered(async || {
        let mut ways = JoinSet::new();
        let way = way_to(scene, &mut ways, &pod_of("mongodb"), 27017).await.context("the store has no address")?;
        let url = url.replace(&format!("@{SHOP}-mongodb:27017"), &format!("@{way}"));
        let (url, _) = url.split_once("&tlsCAFile").expect("the address of an encrypted store");
        let client = mongodb::Client::with_uri_str(format!("{url}&tlsAllowInvalidCertificates=true")).await;
        let accounts = client.expect("an address").database("user");
        match accounts.list_collection_names().await {
            Ok(_) => Ok(true),
            Err(error) if matches!(*error.kind, ErrorKind::Authentication { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

/// Whether somebody is let in. A store that is away, as RabbitMQ is while it learns new users, is asked again.
async fn answered(ask: impl AsyncFn() -> anyhow::Result<bool>) -> bool {
    let answer = wait_for("an answer of every store", PATIENCE, async || {
        Ok(ask().await.map_or_else(|error| Seen::NotYet(format!("{error:#}")), Seen::Done))
    });
    answer.await.expect("the stores answer")
}

/// The pod of an embedded store.
fn pod_of(store: &str) -> String {
    format!("{SHOP}-{store}-0")
}

/// A port of this machine that leads to one of a pod, if there is such a pod and it has an address yet.
async fn way_to(scene: &Scene, ways: &mut JoinSet<()>, pod: &str, port: u16) -> Option<SocketAddr> {
    let pod: Pod = scene.api().get_opt(pod).await.expect("an answer")?;
    let address = pod.status?.pod_ip?.parse().ok()?;
    Some(way(ways, SocketAddr::new(address, port)).await)
}

/// A port of this machine that leads to a pod's.
async fn way(ways: &mut JoinSet<()>, to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    ways.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            connections.spawn(async move {
                // Either side sees that the other has gone.
                let Ok(mut store) = TcpStream::connect(to).await else { return };
                let _ = copy_bidirectional(&mut client, &mut store).await;
            });
        }
    });
    address
}
