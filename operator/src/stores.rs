//! Pure: where each store of a Shop is and how it is reached, from the spec and from Secrets that others wrote.
//!
//! The operator reads such a Secret by its name and passes its values on to the Secrets of the services; they are never
//! printed. What is wrong with one is a [`Trouble`]: a condition, during which everything stays as it was.

mod login;

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::ObjectMeta;

pub use self::login::{AUTHORITY, Login};
use crate::catalog::{POSTGRES, store_port};
use crate::crd::{
    CloudNativePgStore, ClusterOperatorStore, DataOnDelete, EmbeddedStore, ExternalStore, Shop, StoreMode,
};
use crate::identities::StoreLeaf;
use crate::names;

/// One store, once it is known who runs it.
pub enum Store {
    /// One instance that this operator runs.
    Embedded(Embedded),
    /// A cluster that CloudNativePG runs.
    CloudNativePg {
        /// What is wanted.
        wanted: CloudNativePgStore,
        /// Whether CloudNativePG is there.
        installed: bool,
        /// How the superuser gets in; nothing as long as CloudNativePG has not made it.
        superuser: Option<Login>,
    },
    /// A cluster that the RabbitMQ cluster operator runs.
    ClusterOperator {
        /// What is wanted.
        wanted: ClusterOperatorStore,
        /// Whether the cluster operator is there.
        installed: bool,
    },
    /// Somebody else's.
    External(Result<Login, Trouble>),
}

/// A store that this operator runs.
pub struct Embedded {
    /// The full image reference.
    pub image: String,
    /// Size and class of its volume.
    pub volume: EmbeddedStore,
    /// What happens to it when the Shop is deleted.
    pub data_on_delete: DataOnDelete,
    /// What it proves who it is with; without one it speaks plain text.
    pub certificate: Option<StoreLeaf>,
}

/// Why it is not known how a store is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// One word, for conditions.
    pub reason: &'static str,
    /// What to do, without anything that a Secret says.
    pub message: String,
    /// Whether it goes away by itself.
    pub passes: bool,
}

/// What the cluster knows about stores that are not embedded, and about ways into it.
#[derive(Default)]
pub struct Found {
    /// Those of [`secret_names`] that exist, and of [`crate::given::secret_names`].
    pub secrets: BTreeMap<String, Secret>,
    /// The Secret with what the Ingress shows, if the Shop names one and it exists. No pod reads it.
    pub ingress_certificate: Option<Secret>,
    /// Whether there are `Cluster`s of CloudNativePG.
    pub cloud_native_pg: bool,
    /// Whether there are `RabbitmqCluster`s.
    pub cluster_operator: bool,
    /// Whether there are `HTTPRoute`s.
    pub gateway_api: bool,
    /// The class of an Ingress whose Shop names none: the cluster's default, and where there is none the one it has. It is
    /// written into the Ingress: the API server would do so only when an Ingress is made, and one that is older than the class
    /// would never be served.
    pub default_class: Option<String>,
}

/// Names of the Secrets that say how the Shop's stores are reached.
#[must_use]
pub fn secret_names(shop: &Shop) -> Vec<String> {
    let spec = &shop.spec;
    let external = [&spec.postgres.external, &spec.mongodb.external, &spec.redis.external, &spec.rabbitmq.external];
    let given = external.into_iter().flatten().map(|external| external.secret_name.clone());
    let made = spec.postgres.cloud_native_pg.iter().flat_map(|_| {
        let cluster = names::component(&shop.name_any(), POSTGRES);
        [names::superuser(&cluster), names::cluster_authority(&cluster)]
    });
    given.chain(made).collect()
}

impl Store {
    /// Who runs it.
    #[must_use]
    pub fn mode(&self) -> StoreMode {
        match self {
            Self::Embedded(_) => StoreMode::Embedded,
            Self::CloudNativePg { .. } => StoreMode::CloudNativePG,
            Self::ClusterOperator { .. } => StoreMode::ClusterOperator,
            Self::External(_) => StoreMode::External,
        }
    }

    /// How it is reached, where that is not this operator's own arrangement.
    #[must_use]
    pub fn login(&self) -> Option<&Login> {
        match self {
            Self::CloudNativePg { superuser, .. } => superuser.as_ref(),
            Self::External(login) => login.as_ref().ok(),
            Self::Embedded(_) | Self::ClusterOperator { .. } => None,
        }
    }

    /// Its certificate, if it is embedded and encrypts.
    #[must_use]
    pub fn certificate(&self) -> Option<&StoreLeaf> {
        match self {
            Self::Embedded(embedded) => embedded.certificate.as_ref(),
            _ => None,
        }
    }

    /// The authorities that its certificate is verified against, PEM, where they are not public ones.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        let ours = self.certificate().map(|certificate| certificate.trusted.as_str());
        ours.or_else(|| self.login()?.authority.as_deref())
    }

    /// Where it answers in the Shop's namespace; `name` is the store's.
    #[must_use]
    pub fn port(&self, name: &str) -> i32 {
        store_port(name, self.certificate().is_some())
    }

    /// Why it is not known how the store is reached.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::CloudNativePg { installed: false, .. } => Some(Trouble {
                reason: "CloudNativePGMissing",
                message: missing("postgres.cloudNativePG", "https://cloudnative-pg.io/docs"),
                passes: false,
            }),
            Self::ClusterOperator { installed: false, .. } => Some(Trouble {
                reason: "RabbitMQOperatorMissing",
                message: missing(
                    "rabbitmq.clusterOperator",
                    "https://www.rabbitmq.com/kubernetes/operator/install-operator",
                ),
                passes: false,
            }),
            Self::CloudNativePg { superuser: None, .. } => Some(Trouble {
                reason: "StoreNotReady",
                message: "CloudNativePG has not made the superuser's Secret yet".to_owned(),
                passes: true,
            }),
            Self::External(login) => login.as_ref().err().cloned(),
            Self::Embedded(_) | Self::CloudNativePg { .. } | Self::ClusterOperator { .. } => None,
        }
    }
}

fn missing(field: &str, guide: &str) -> String {
    format!(
        "spec.{field} needs an operator that is not on this cluster: install it ({guide}), or make the Shop anew with a store \
         that is `embedded: {{}}` or `external: {{secretName: ...}}`"
    )
}

impl Found {
    /// What `render` and tests have in the place of a cluster: every Secret, and every operator.
    #[must_use]
    pub fn dummy(shop: &Shop) -> Self {
        let values = [
            ("host", "store.test"),
            ("username", "dummy-user"),
            ("password", "dummy-password"),
            (AUTHORITY, "dummy authority"),
        ];
        let data: BTreeMap<String, ByteString> =
            values.map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec()))).into();
        let secret = |name: String| {
            let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
            (name, Secret { metadata, data: Some(data.clone()), ..Secret::default() })
        };
        let secrets = secret_names(shop).into_iter().map(secret).collect();
        Self { secrets, cloud_native_pg: true, cluster_operator: true, gateway_api: true, ..Self::default() }
    }

    /// How an external store is reached.
    pub fn external(&self, store: &'static str, spec: &ExternalStore) -> Result<Login, Trouble> {
        let name = &spec.secret_name;
        let trouble = |reason, problem: String| Trouble {
            reason,
            message: format!("spec.{store}.external: {problem}"),
            passes: false,
        };
        let Some(secret) = self.secrets.get(name) else {
            let wanted = format!(
                "Secret {name} does not exist in the Shop's namespace; make it, `kubectl explain shop.spec.{store}.external` has its keys"
            );
            return Err(trouble("StoreSecretMissing", wanted));
        };
        if secret.labels().get(names::MANAGED_BY_LABEL).is_some_and(|manager| manager == names::MANAGER) {
            return Err(trouble(
                "StoreSecretInvalid",
                format!("Secret {name} belongs to a Shop; name one of your own"),
            ));
        }
        login::read(store, secret).map_err(|problem| {
            let help = format!("`kubectl explain shop.spec.{store}.external` has its keys");
            trouble("StoreSecretInvalid", format!("Secret {name} {problem}; {help}"))
        })
    }

    /// How the superuser of a cluster of CloudNativePG gets in.
    #[must_use]
    pub fn superuser(&self, cluster: &str) -> Option<Login> {
        let secret = self.secrets.get(&names::superuser(cluster))?;
        let authority = self.secrets.get(&names::cluster_authority(cluster))?;
        login::of_superuser(&format!("{cluster}-rw"), secret, authority)
    }
}
