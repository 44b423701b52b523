//! What services log in with at their stores; the auditor reads with it too.

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use shop_faults::{Addresses, Books};
use shopkeeper_testing::{SHOP, Scene};

/// The log-ins of one moment, as they stand in the services' Secrets.
#[derive(Clone)]
pub struct Logins(Addresses);

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
        })
    }

    /// With the addresses that the stores have now, for somebody outside of the cluster.
    pub async fn at(&self, scene: &Scene) -> Addresses {
        let mut found = self.0.clone();
        for store in ["postgres", "redis", "rabbitmq"] {
            let pod: Pod = scene.api().get(&format!("{SHOP}-{store}-0")).await.expect("a store");
            let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
            let address = address.unwrap_or_else(|| panic!("{} has no address", pod.name_any()));
            let Addresses { order, payment, delivery, product, amqp, redis } = &mut found;
            for url in [order, payment, delivery, product].into_iter().chain(amqp).chain(redis) {
                *url = url.replace(&format!("@{SHOP}-{store}:"), &format!("@{address}:"));
            }
        }
        found
    }

    /// Which of them the stores take.
    pub async fn taken(&self, scene: &Scene) -> Vec<&'static str> {
        let (these, good) = (self.at(scene).await, Self::of(scene).await.at(scene).await);
        Books::read(&good).await.expect("the present log-ins are good");
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
            if Books::read(&addresses).await.is_ok() {
                taken.push(name);
            }
        }
        taken
    }
}
