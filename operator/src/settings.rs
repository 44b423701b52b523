//! Settings of the operator itself, from its environment or command line. The chart's values set them.

use clap::Args;

use crate::crd::PullPolicy;

/// Settings of the operator itself.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Registry and path of the services' images, for Shops that name none.
    #[arg(long, env = "SHOPKEEPER_IMAGE_REGISTRY", default_value = "shopkeeper")]
    pub image_registry: String,

    /// Version of the services, for Shops that name none.
    #[arg(long, env = "SHOPKEEPER_VERSION", default_value = env!("CARGO_PKG_VERSION"))]
    pub version: String,

    /// When the kubelet pulls images, for Shops that do not say.
    #[arg(long, env = "SHOPKEEPER_IMAGE_PULL_POLICY", value_parser = pull_policy, default_value = "IfNotPresent")]
    pub image_pull_policy: PullPolicy,

    /// Image of PostgreSQL.
    #[arg(long, env = "SHOPKEEPER_POSTGRES_IMAGE", default_value = "postgres:17")]
    pub postgres_image: String,

    /// Image of MongoDB.
    #[arg(long, env = "SHOPKEEPER_MONGODB_IMAGE", default_value = "mongo:8")]
    pub mongodb_image: String,

    /// Image of Redis.
    #[arg(long, env = "SHOPKEEPER_REDIS_IMAGE", default_value = "redis:8")]
    pub redis_image: String,

    /// Image of RabbitMQ.
    #[arg(long, env = "SHOPKEEPER_RABBITMQ_IMAGE", default_value = "rabbitmq:4")]
    pub rabbitmq_image: String,

    /// Image of the trace store.
    #[arg(long, env = "SHOPKEEPER_TRACES_IMAGE", default_value = "jaegertracing/all-in-one:1.65.0")]
    pub traces_image: String,
}

impl Default for Settings {
    /// The defaults of the command line, for `render` and tests.
    fn default() -> Self {
        Self {
            image_registry: "shopkeeper".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            image_pull_policy: PullPolicy::IfNotPresent,
            postgres_image: "postgres:17".to_owned(),
            mongodb_image: "mongo:8".to_owned(),
            redis_image: "redis:8".to_owned(),
            rabbitmq_image: "rabbitmq:4".to_owned(),
            traces_image: "jaegertracing/all-in-one:1.65.0".to_owned(),
        }
    }
}

fn pull_policy(text: &str) -> Result<PullPolicy, String> {
    [PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never]
        .into_iter()
        .find(|policy| policy.as_str() == text)
        .ok_or_else(|| format!("`{text}` is not Always, IfNotPresent or Never"))
}
