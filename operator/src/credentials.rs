//! Generated passwords and keys: the Secret `<shop>-credentials`, and the only step that uses randomness.
//!
//! The Secret is created once. Keys that a later version needs are added, unless what they open is there already (`fit.rs`), and a
//! key is only written again by a rotation (`rotation.rs`) that somebody asked for: what opens a volume must outlive the operator,
//! and where a store has `dataOnDelete: Retain` the Shop as well.

mod fit;
mod values;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use ring::rand::SecureRandom;
use serde_json::json;

pub use self::fit::{Unfit, judge};
pub use self::values::{Credentials, Login, Password, TokenKeys};
use self::values::{MESH, ROTATION, SIGNING, rotated_keys, wanted_keys};
use crate::crd::Shop;
use crate::rotation::{Rotation, Stage};
use crate::{identities, names};

/// Bytes of randomness in a password: 256 bits.
const PASSWORD_BYTES: usize = 32;

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
    /// The state of the rotation cannot be read or written.
    #[error("{ROTATION} of the Secret with the credentials: {0}; restore the Secret from a backup")]
    Rotation(#[from] serde_json::Error),
}

/// Makes sure that the Secret is there and complete. A new one is owned as the Shop's lifecycle says, which `retention` follows.
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
        let mut values = generate(shop, wanted_keys(), now, random)?;
        let first = Rotation::first(asked(shop), now);
        values.insert(ROTATION.to_owned(), serde_json::to_string(&first)?);
        let fresh = fresh_secret(shop, values);
        match api.create(&PostParams::default(), &fresh).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => api.get(&name).await.map_err(failed)?,
            outcome => outcome.map_err(failed)?,
        }
    };
    let values = values_of(&secret);
    let added = generate(shop, missing(&values), now, random)?;
    if added.is_empty() {
        return read(&secret);
    }
    let change = json!({"metadata": {"resourceVersion": secret.metadata.resource_version}, "data": encode(added)});
    read(&api.patch(&name, &PatchParams::default(), &Patch::Merge(change)).await.map_err(failed)?)
}

impl Credentials {
    /// The values that are there, and dummies for those that will be made.
    pub fn foreseen(found: Option<&Secret>) -> Result<Self, Error> {
        let dummy = Self::dummy();
        let Some(found) = found else { return Ok(dummy) };
        let mut foreseen = read(found)?;
        for (key, value) in dummy.values {
            foreseen.values.entry(key).or_insert(value);
        }
        Ok(foreseen)
    }
}

/// Goes on to the next state of a rotation: one write, bound to the version that the present state was read from.
pub async fn turn(
    client: &Client,
    random: &(dyn SecureRandom + Sync),
    now: Timestamp,
    shop: &Shop,
    credentials: &Credentials,
    next: &Rotation,
) -> Result<(), Error> {
    let begins = next.stage == Stage::Publishing && credentials.rotation().stage == Stage::Settled;
    let coming = rotated_keys().filter(|_| begins);
    let changes = credentials.turned(next, &generate(shop, coming, now, random)?)?;
    let data: BTreeMap<String, Option<ByteString>> =
        changes.into_iter().map(|(key, value)| (key, value.map(|value| ByteString(value.into_bytes())))).collect();
    let change = json!({"metadata": {"resourceVersion": credentials.resource_version}, "data": data});
    let name = names::credentials(&shop.name_any());
    let api: Api<Secret> = Api::namespaced(client.clone(), &shop.namespace().unwrap_or_default());
    let written = api.patch(&name, &PatchParams::default(), &Patch::Merge(change)).await;
    tracing::info!(generation = next.generation, stage = ?next.stage, "the rotation of credentials goes on");
    written.map(drop).map_err(|source| Error::Api { name, source })
}

/// What somebody asks for by annotation.
#[must_use]
pub fn asked(shop: &Shop) -> Option<String> {
    shop.annotations().get(names::ROTATE_ANNOTATION).cloned()
}

/// The values in a Secret that was found fit.
pub fn read(secret: &Secret) -> Result<Credentials, Error> {
    let made = secret.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    Ok(Credentials::new(values_of(secret), secret.resource_version(), made)?)
}

/// Keys that have no value yet.
fn missing(existing: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    wanted_keys().into_iter().filter(|key| existing.get(key).is_none_or(String::is_empty))
}

/// Makes a value for every key.
fn generate(
    shop: &Shop,
    keys: impl IntoIterator<Item = String>,
    now: Timestamp,
    random: &dyn SecureRandom,
) -> Result<BTreeMap<String, String>, Error> {
    keys.into_iter()
        .map(|key| {
            let value = match key.as_str() {
                SIGNING => crate::keys::generate(random).ok_or(Error::Random)?,
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
    let owner = shop.controller_owner_ref(&()).filter(|_| !shop.spec.keeps_data());
    Secret {
        metadata: ObjectMeta {
            name: Some(names::credentials(&name)),
            labels: Some(names::labels(&name, names::SHOP_COMPONENT, env!("CARGO_PKG_VERSION"))),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some(encode(values)),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
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
    use crate::crd::{DataOnDelete, ShopSpec};
    use ring::rand::SystemRandom;

    fn shop(policy: DataOnDelete) -> Shop {
        let mut shop = Shop::new("acorn", ShopSpec::default());
        shop.metadata.uid = Some("uid-1".to_owned());
        shop.metadata.namespace = Some("oak".to_owned());
        shop.spec.lifecycle.data_on_delete = policy;
        shop
    }

    fn generated() -> BTreeMap<String, String> {
        let shop = shop(DataOnDelete::Retain);
        generate(&shop, wanted_keys(), Timestamp::UNIX_EPOCH, &SystemRandom::new()).expect("randomness")
    }

    #[test]
    fn passwords_differ_and_need_no_escaping() {
        let values = generated();
        let passwords: std::collections::BTreeSet<&String> = values.values().collect();
        assert_eq!(passwords.len(), values.len());
        let plain = |value: &String| value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        assert!(
            values.iter().filter(|(key, _)| ![SIGNING, MESH].contains(&key.as_str())).all(|(_, value)| plain(value))
        );
    }

    #[test]
    fn only_what_is_missing_is_generated() {
        let mut existing = generated();
        assert_eq!(missing(&existing).count(), 0);
        existing.remove("redis.cart");
        assert_eq!(missing(&existing).collect::<Vec<_>>(), ["redis.cart"]);
    }

    #[test]
    fn retained_credentials_have_no_owner_and_deleted_ones_belong_to_the_shop() {
        assert!(fresh_secret(&shop(DataOnDelete::Retain), BTreeMap::new()).owner_references().is_empty());
        let secret = fresh_secret(&shop(DataOnDelete::Delete), BTreeMap::new());
        assert_eq!(secret.owner_references()[0].uid, "uid-1");
    }

    #[test]
    fn credentials_belong_to_the_shop_only_when_no_store_keeps_data() {
        let owners = |shop: &Shop| fresh_secret(shop, BTreeMap::new()).owner_references().len();
        let mut shop = shop(DataOnDelete::Retain);
        let spec = &mut shop.spec;
        let stores = [
            &mut spec.postgres.embedded,
            &mut spec.mongodb.embedded,
            &mut spec.redis.embedded,
            &mut spec.rabbitmq.embedded,
        ];
        for store in stores.into_iter().flatten() {
            store.data_on_delete = Some(DataOnDelete::Delete);
        }
        assert_eq!(owners(&shop), 1, "all let their data go");

        let mut kept = shop.clone();
        kept.spec.redis.embedded.as_mut().expect("a store").data_on_delete = Some(DataOnDelete::Retain);
        assert_eq!(owners(&kept), 0, "one of them does not");
        kept.spec.lifecycle.data_on_delete = DataOnDelete::Delete;
        assert_eq!(owners(&kept), 0, "nor does it when the Shop says otherwise");

        shop.spec.postgres.embedded = None;
        assert_eq!(owners(&shop), 0, "one is run by somebody else, and the Shop keeps data");
    }
}
