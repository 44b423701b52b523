//! What services log in with at their stores; the auditor reads with it too.

use std::net::{Ipv4Addr, SocketAddr};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::ResourceExt;
use shop_faults::{Addresses, Books};
use shopkeeper_operator::names::store_authorities;
use shopkeeper_testing::{SHOP, Scene};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The stores that the auditor reads, with their ports.
const STORES: [(&str, u16); 3] = [("postgres", 5432), ("redis", 6379), ("rabbitmq", 5671)];

/// The log-ins of one moment, as they stand in the services' Secrets.
#[derive(Clone)]
pub struct Logins(Addresses);

/// The stores as somebody outside of the cluster reaches them: on a port of the own machine, whose name their certificates
/// have. Ends with the value.
struct Reached {
    addresses: Addresses,
    _ways: JoinSet<()>,
}

impl Logins {
    /// Those that are given to pods that start now.
    pub async fn of(scene: &Scene) -> Self {
        let url = async |service: &str, variable: &str| {
            let secret: Secret = scene.api().get(&format!("{SHOP}-{service}")).await.expect("a Secret");
            String::from_utf8(secret.data.expect("data")[variable].0.clone()).expect("text")
        };
        Self(Addresses {
            order: url("order", "SHOP_POSTGRES__URL").await,
            payment: url("payment", "SHOP_POSTGRES__URL").await,
            delivery: url("delivery", "SHOP_POSTGRES__URL").await,
            product: url("product", "SHOP_POSTGRES__URL").await,
            amqp: Some(url("order", "SHOP_AMQP__URL").await),
            redis: Some(url("cart", "SHOP_REDIS__URL").await),
            authorities: None,
        })
    }

    async fn at(&self, scene: &Scene) -> Reached {
        let trusted: Option<ConfigMap> = scene.api().get_opt(&store_authorities(SHOP)).await.expect("the authorities");
        let mut addresses = self.0.clone();
        addresses.authorities = trusted.and_then(|trusted| trusted.data).map(|files| files.into_values().collect());
        let mut ways = JoinSet::new();
        for (store, port) in STORES {
            let pod: Option<Pod> = scene.api().get_opt(&format!("{SHOP}-{store}-0")).await.expect("an answer");
            // Those of somebody else have addresses that lead there from everywhere.
            let Some(pod) = pod else { continue };
            let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()?.parse().ok());
            let address = address.unwrap_or_else(|| panic!("{} has no address", pod.name_any()));
            let way = way(&mut ways, SocketAddr::new(address, port)).await;
            let Addresses { order, payment, delivery, product, amqp, redis, authorities: _ } = &mut addresses;
            for url in [order, payment, delivery, product].into_iter().chain(amqp).chain(redis) {
                *url = url.replace(&format!("@{SHOP}-{store}:{port}"), &format!("@{way}"));
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
        let (these, good) = (self.0.clone(), Self::of(scene).await);
        good.read(scene).await.expect("the present log-ins are good");
        let good = good.0;
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
            if Self(addresses).read(scene).await.is_ok() {
                taken.push(name);
            }
        }
        taken
    }
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
