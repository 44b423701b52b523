//! A virtual host for one test, made and removed through RabbitMQ's management API.

use reqwest::Method;
use shop_config::Url;

use crate::{unique_name, variable};

/// Removed with the value, queues and all.
pub struct TestBroker {
    /// The service's settings for it.
    pub config: Url,
    vhost: String,
}

impl TestBroker {
    /// Makes a virtual host.
    pub async fn create() -> Self {
        let broker = Self::away();
        broker.arrive().await;
        broker
    }

    /// A virtual host that is not there: to a service, a broker that is away.
    #[must_use]
    pub fn away() -> Self {
        let vhost = unique_name();
        let url = format!("{}/{vhost}", variable("SHOP_TEST_AMQP_URL").trim_end_matches('/'));
        Self { config: Url::from(url), vhost }
    }

    /// Makes the virtual host of a broker that was away.
    pub async fn arrive(&self) {
        request(Method::PUT, &self.vhost).await.expect("the virtual host is made");
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        let vhost = self.vhost.clone();
        // A destructor cannot await, and the test's runtime may be gone.
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(request(Method::DELETE, &vhost)).map_err(std::io::Error::other)
        });
        if let Ok(Err(error)) = removed.join() {
            eprintln!("the virtual host {} stays: {error}", self.vhost);
        }
    }
}

/// The API's user and password are those of `SHOP_TEST_AMQP_API`, for instance `http://user:password@10.0.0.1:15672`.
async fn request(method: Method, vhost: &str) -> reqwest::Result<()> {
    let url = format!("{}/api/vhosts/{vhost}", variable("SHOP_TEST_AMQP_API").trim_end_matches('/'));
    reqwest::Client::new().request(method, url).send().await?.error_for_status().map(|_| ())
}
