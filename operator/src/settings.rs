//! Settings of the operator itself, from its environment or command line. The chart's values set them.

use clap::{Args, CommandFactory, Parser};
use k8s_openapi::api::apps::v1::Deployment;

use crate::crd::PullPolicy;

/// Settings of the operator itself.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Registry and path of the services' images, for Shops that name none.
    #[arg(long, env = "SHOPKEEPER_IMAGE_REGISTRY", default_value = "shopkeeper")]
    pub image_registry: String,

    /// Version of the services, for Shops that name none.
    #[arg(id = "shop_version", long = "shop-version", env = "SHOPKEEPER_VERSION", default_value = env!("CARGO_PKG_VERSION"))]
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

/// Names the namespaces of an operator in its environment, separated by commas; none means all.
pub const WATCH_NAMESPACES: &str = "SHOPKEEPER_WATCH_NAMESPACES";

/// Label selector of the operator's Deployment, as the chart makes it.
pub const OPERATOR_SELECTOR: &str = "app.kubernetes.io/name=shopkeeper,app.kubernetes.io/component=operator";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    settings: Settings,
}

impl Settings {
    /// The settings of an operator that is deployed, for what has to foresee what it will do.
    pub fn of(operator: &Deployment) -> Result<Self, clap::Error> {
        let pod = operator.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
        let variables: Vec<_> =
            pod.iter().flat_map(|pod| &pod.containers).flat_map(|c| c.env.iter().flatten()).collect();
        let mut line = vec!["operator".to_owned()];
        for argument in Line::command().get_arguments() {
            let named = |name: &str| argument.get_env().is_some_and(|variable| *variable == *name);
            let value = variables.iter().find(|variable| named(&variable.name)).and_then(|found| found.value.clone());
            if let (Some(long), Some(value)) = (argument.get_long(), value) {
                line.push(format!("--{long}={value}"));
            }
        }
        Ok(Line::try_parse_from(line)?.settings)
    }
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
