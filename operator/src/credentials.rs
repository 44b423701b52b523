//! Generated passwords and keys: the Secret `<shop>-credentials`, and the only step that uses randomness.
//!
//! The Secret is created once. Keys that a later version needs are added, and no key is ever written a second time:
//! what opens a volume must outlive the operator, and with `dataOnDelete: Retain` the Shop as well.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use ring::rand::SecureRandom;
use serde_json::json;

use crate::catalog::{self, SERVICES};
use crate::crd::{DataOnDelete, Shop};
use crate::identities::{self, Identities, Leaf};
use crate::{keys, names};

/// Bytes of randomness in a password: 256 bits.
const PASSWORD_BYTES: usize = 32;

const POSTGRES: &str = "postgres-superuser";
const MONGODB: &str = "mongodb-root";
const REDIS_PROBE: &str = "redis-probe";
const ADMIN: &str = "first-admin";
const SIGNING: &str = "jwt-signing.pem";
const MESH: &str = "mesh-authority.pem";

/// Every generated value of one Shop, all of them there.
#[derive(Clone)]
pub struct Credentials {
    values: BTreeMap<String, String>,
    identities: Identities,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server said no.
    #[error("Secret {name}: {source}")]
    Api {
        /// Name of the Secret.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// The system has no randomness.
    #[error("the system's random number generator failed")]
    Random,
    /// There are no certificates.
    #[error(transparent)]
    Identities(#[from] identities::Error),
}

/// The credentials belong to a deleted Shop of the same name and are about to be collected.
#[derive(Debug)]
pub struct Leaving;

/// Tells whether a found Secret can be used by this Shop.
pub fn judge(found: Option<Secret>, shop: &Shop) -> Result<Option<Secret>, Leaving> {
    let Some(secret) = found else { return Ok(None) };
    let leaving = secret.metadata.deletion_timestamp.is_some()
        || shop_owners(&secret).any(|owner| Some(&owner.uid) != shop.metadata.uid.as_ref());
    if leaving { Err(Leaving) } else { Ok(Some(secret)) }
}

/// Makes sure that the Secret is there, complete, and owned as the Shop's lifecycle says.
///
/// Safe against a second writer: a Secret is created, never overwritten, and added keys are bound to the version that was
/// read, so the loser gets a conflict and reads again at the next reconcile.
pub async fn ensure(
    client: &Client,
    random: &(dyn SecureRandom + Sync),
    now: Timestamp,
    shop: &Shop,
    found: Option<Secret>,
) -> Result<Credentials, Error> {
    let namespace = shop.namespace().unwrap_or_default();
    let name = names::credentials(&shop.name_any());
    let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let failed = |source| Error::Api { name: name.clone(), source };

    let secret = if let Some(secret) = found {
        secret
    } else {
        let fresh = fresh_secret(shop, generate(shop, &BTreeMap::new(), now, random)?);
        match api.create(&PostParams::default(), &fresh).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => api.get(&name).await.map_err(failed)?,
            outcome => outcome.map_err(failed)?,
        }
    };
    let added = generate(shop, &values_of(&secret), now, random)?;
    let owners = wanted_owners(shop, &secret);
    if added.is_empty() && owners == secret.owner_references() {
        return Ok(Credentials { values: values_of(&secret), identities: Identities::new() });
    }
    let change = json!({
        "metadata": {"resourceVersion": secret.metadata.resource_version, "ownerReferences": owners},
        "data": encode(added),
    });
    let secret = api.patch(&name, &PatchParams::default(), &Patch::Merge(change)).await.map_err(failed)?;
    Ok(Credentials { values: values_of(&secret), identities: Identities::new() })
}

impl Credentials {
    /// Fixed values for `render` and tests, recognisable as such.
    #[must_use]
    pub fn dummy() -> Self {
        let mut values: BTreeMap<String, String> =
            wanted_keys().into_iter().map(|key| (key.clone(), format!("dummy-{key}"))).collect();
        values.insert(SIGNING.to_owned(), keys::of_seed(&[7; keys::SEED_BYTES]));
        Self { values, identities: identities::dummies() }
    }

    /// The values that are there, and dummies for those that will be made.
    #[must_use]
    pub fn foreseen(found: Option<&Secret>) -> Self {
        let mut foreseen = Self::dummy();
        foreseen.values.extend(found.map(values_of).unwrap_or_default());
        foreseen
    }

    /// The same with these certificates.
    #[must_use]
    pub fn with(self, identities: Identities) -> Self {
        Self { identities, ..self }
    }

    /// Password of PostgreSQL's superuser.
    #[must_use]
    pub fn postgres_superuser(&self) -> &str {
        self.value(POSTGRES)
    }

    /// Password of MongoDB's root user.
    #[must_use]
    pub fn mongodb_root(&self) -> &str {
        self.value(MONGODB)
    }

    /// Password with which the kubelet probes Redis.
    #[must_use]
    pub fn redis_probe(&self) -> &str {
        self.value(REDIS_PROBE)
    }

    /// Password of the first admin.
    #[must_use]
    pub fn first_admin(&self) -> &str {
        self.value(ADMIN)
    }

    /// The key that signs access tokens, PKCS#8 PEM.
    #[must_use]
    pub fn signing_pem(&self) -> &str {
        self.value(SIGNING)
    }

    /// The authority of the mesh: key and certificate, PEM.
    #[must_use]
    pub fn mesh_authority(&self) -> &str {
        self.value(MESH)
    }

    /// The certificates of the services in the mesh.
    pub fn identities(&self) -> impl Iterator<Item = (&'static str, &Leaf)> {
        self.identities.iter().map(|(service, leaf)| (*service, leaf))
    }

    /// Password of a service at a store.
    #[must_use]
    pub fn of(&self, store: &str, service: &str) -> &str {
        self.value(&account(store, service))
    }

    fn value(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }
}

fn account(store: &str, service: &str) -> String {
    format!("{store}.{service}")
}

fn wanted_keys() -> Vec<String> {
    let mut wanted: Vec<String> = [POSTGRES, MONGODB, REDIS_PROBE, ADMIN, SIGNING, MESH].map(str::to_owned).into();
    for service in &SERVICES {
        // MongoDB has no account per service yet: its stand-in on development clusters knows no roles.
        let accounts = service.stores.iter().filter(|store| **store != catalog::MONGODB);
        wanted.extend(accounts.map(|store| account(store, service.name)));
    }
    wanted
}

/// Makes a value for every wanted key that is not there yet.
fn generate(
    shop: &Shop,
    existing: &BTreeMap<String, String>,
    now: Timestamp,
    random: &dyn SecureRandom,
) -> Result<BTreeMap<String, String>, Error> {
    let missing = wanted_keys().into_iter().filter(|key| existing.get(key).is_none_or(String::is_empty));
    missing
        .map(|key| {
            let value = match key.as_str() {
                SIGNING => keys::generate(random).ok_or(Error::Random)?,
                MESH => {
                    let namespace = shop.namespace().unwrap_or_default();
                    identities::new_authority(&namespace, &shop.name_any(), now, random)?
                }
                _ => password(random).ok_or(Error::Random)?,
            };
            Ok((key, value))
        })
        .collect()
}

/// A password that needs no escaping in a URL, a shell or a configuration file.
fn password(random: &dyn SecureRandom) -> Option<String> {
    let mut bytes = [0; PASSWORD_BYTES];
    random.fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

fn fresh_secret(shop: &Shop, values: BTreeMap<String, String>) -> Secret {
    let name = shop.name_any();
    Secret {
        metadata: ObjectMeta {
            name: Some(names::credentials(&name)),
            labels: Some(names::labels(&name, names::SHOP_COMPONENT, env!("CARGO_PKG_VERSION"))),
            owner_references: Some(wanted_owners(shop, &Secret::default())).filter(|owners| !owners.is_empty()),
            ..ObjectMeta::default()
        },
        data: Some(encode(values)),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// With `Delete` the Secret belongs to the Shop, with `Retain` it does not; owners of other kinds are left alone.
fn wanted_owners(shop: &Shop, secret: &Secret) -> Vec<OwnerReference> {
    let others = secret.owner_references().iter().filter(|owner| !is_shop(owner)).cloned();
    let ours = match shop.spec.lifecycle.data_on_delete {
        DataOnDelete::Retain => None,
        DataOnDelete::Delete => shop.controller_owner_ref(&()),
    };
    others.chain(ours).collect()
}

fn shop_owners(secret: &Secret) -> impl Iterator<Item = &OwnerReference> {
    secret.owner_references().iter().filter(|owner| is_shop(owner))
}

fn is_shop(owner: &OwnerReference) -> bool {
    owner.kind == Shop::kind(&()) && owner.api_version == Shop::api_version(&())
}

fn values_of(secret: &Secret) -> BTreeMap<String, String> {
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned())).collect()
}

fn encode(values: BTreeMap<String, String>) -> BTreeMap<String, ByteString> {
    values.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::ShopSpec;
    use ring::rand::SystemRandom;

    fn shop(policy: DataOnDelete) -> Shop {
        let mut shop = Shop::new("acorn", ShopSpec::default());
        shop.metadata.uid = Some("uid-1".to_owned());
        shop.metadata.namespace = Some("oak".to_owned());
        shop.spec.lifecycle.data_on_delete = policy;
        shop
    }

    fn generated(existing: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let shop = shop(DataOnDelete::Retain);
        generate(&shop, existing, Timestamp::UNIX_EPOCH, &SystemRandom::new()).expect("randomness")
    }

    #[test]
    fn existing_values_are_never_generated_again() {
        let mut existing = generated(&BTreeMap::new());
        assert!(generated(&existing).is_empty());
        existing.remove("redis.cart");
        let added = generated(&existing);
        assert_eq!(added.keys().collect::<Vec<_>>(), ["redis.cart"]);
    }

    #[test]
    fn passwords_differ_and_need_no_escaping() {
        let values = generated(&BTreeMap::new());
        let passwords: std::collections::BTreeSet<&String> = values.values().collect();
        assert_eq!(passwords.len(), values.len());
        let plain = |value: &String| value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        assert!(
            values.iter().filter(|(key, _)| ![SIGNING, MESH].contains(&key.as_str())).all(|(_, value)| plain(value))
        );
    }

    #[test]
    fn retained_credentials_have_no_owner_and_deleted_ones_belong_to_the_shop() {
        assert!(fresh_secret(&shop(DataOnDelete::Retain), BTreeMap::new()).owner_references().is_empty());
        let secret = fresh_secret(&shop(DataOnDelete::Delete), BTreeMap::new());
        assert_eq!(secret.owner_references()[0].uid, "uid-1");
    }

    #[test]
    fn a_secret_of_a_deleted_shop_of_the_same_name_is_waited_for() {
        let mut secret = fresh_secret(&shop(DataOnDelete::Delete), BTreeMap::new());
        assert!(matches!(judge(Some(secret.clone()), &shop(DataOnDelete::Delete)), Ok(Some(_))));
        secret.owner_references_mut()[0].uid = "uid-0".to_owned();
        assert!(matches!(judge(Some(secret), &shop(DataOnDelete::Delete)), Err(Leaving)));
    }
}
