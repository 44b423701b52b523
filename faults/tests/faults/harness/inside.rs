//! A service inside this process: it cannot be killed, but its world, and so its clock, is the test's.

use std::sync::Arc;

use shop_server::{Host, Service};
use shop_testing::TestWorld;

/// Runs until it is told to end.
pub struct Inside(Host);

impl Inside {
    /// Starts `service` with the settings that a process would find in its environment.
    pub fn start(service: &'static str, environment: &[(String, String)], world: Arc<TestWorld>) -> Self {
        let host = Host::new(world);
        match service {
            "product" => serve::<shop_product::App>(&host, environment),
            "order" => serve::<shop_order::App>(&host, environment),
            "payment" => serve::<shop_payment::App>(&host, environment),
            "delivery" => serve::<shop_delivery::App>(&host, environment),
            "cart" => serve::<shop_cart::App>(&host, environment),
            other => panic!("{other} is not known here"),
        }
        Self(host)
    }

    /// Ends it as SIGTERM does; nobody waits for it.
    pub fn end(self) {
        self.0.shutdown.cancel();
    }
}

fn serve<S: Service>(host: &Host, environment: &[(String, String)]) {
    let (host, environment) = (host.clone(), environment.to_vec());
    tokio::spawn(async move {
        let config = shop_config::load_from(environment.clone()).expect("its settings");
        let listeners = shop_config::load_from(environment).expect("its addresses");
        let edge = S::build(config, &host).await.expect("the service builds");
        shop_server::start(edge, &host, &listeners).await.expect("the service starts");
    });
}
