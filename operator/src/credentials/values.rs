//! Pure: the generated values of a Shop, and which of them are used and known at which stage of a rotation.
//!
//! A value in use has a name of its own, for good. During a rotation the coming one stands beside it as `<name>.next`, and
//! the one that goes as `<name>.previous`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::catalog::SERVICES;
use crate::identities::{self, Authorities, Identities, Leaf, StoreLeaf};
use crate::keys::{self, BadKey, SigningKey};
use crate::rotation::{Rotation, Stage};

pub(super) const POSTGRES: &str = "postgres-superuser";
pub(super) const MONGODB: &str = "mongodb-root";
pub(super) const REDIS_PROBE: &str = "redis-probe";
pub(super) const REDIS_KEEPER: &str = "redis-keeper";
pub(super) const ADMIN: &str = "first-admin";
pub(super) const SIGNING: &str = "jwt-signing.pem";
pub(super) const MESH: &str = "mesh-authority.pem";
/// The state of the rotation, JSON.
pub(super) const ROTATION: &str = "rotation.json";

/// Every generated value of one Shop, all of them there.
#[derive(Clone)]
pub struct Credentials {
    pub(super) values: BTreeMap<String, String>,
    pub(super) rotation: Rotation,
    /// Of the Secret that was read.
    pub(super) resource_version: Option<String>,
    identities: Identities,
}

/// A log-in of a service at a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login<'a> {
    /// Its generation.
    pub generation: u32,
    /// The user's name.
    pub user: String,
    /// Its password.
    pub password: &'a str,
}

/// A password, and the one that is good beside it while stores know two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Password<'a> {
    /// What is used.
    pub in_use: &'a str,
    /// The next or the previous one.
    pub other: Option<&'a str>,
}

/// The keys of access tokens.
#[derive(Clone)]
pub struct TokenKeys {
    /// The files with private keys, PEM. The last one by name signs.
    pub private: BTreeMap<String, String>,
    /// The public keys as a JSON Web Key Set.
    pub published: String,
}

impl<'a> Password<'a> {
    /// All that is good, what is used first.
    pub fn known(self) -> impl Iterator<Item = &'a str> {
        [self.in_use].into_iter().chain(self.other)
    }
}

impl Credentials {
    pub(super) fn new(
        values: BTreeMap<String, String>,
        resource_version: Option<String>,
        made: Timestamp,
    ) -> Result<Self, serde_json::Error> {
        let rotation = match values.get(ROTATION) {
            Some(text) => serde_json::from_str(text)?,
            None => Rotation::first(None, made),
        };
        Ok(Self { values, rotation, resource_version, identities: Identities::default() })
    }

    /// Fixed values for `render` and tests, recognisable as such.
    #[must_use]
    pub fn dummy() -> Self {
        Self::dummy_at(Rotation::first(None, Timestamp::UNIX_EPOCH))
    }

    /// The same at a point of a rotation.
    #[must_use]
    pub fn dummy_at(rotation: Rotation) -> Self {
        let mut values: BTreeMap<String, String> =
            wanted_keys().into_iter().map(|key| (key.clone(), format!("dummy-{key}"))).collect();
        values.insert(SIGNING.to_owned(), keys::of_seed(&[7; keys::SEED_BYTES]));
        if let Some(mark) = beside(rotation.stage) {
            let second = rotated_keys().map(|key| (format!("{key}{mark}"), format!("dummy-{key}{mark}")));
            values.extend(second);
            values.insert(format!("{SIGNING}{mark}"), keys::of_seed(&[8; keys::SEED_BYTES]));
        }
        Self { values, rotation, resource_version: None, identities: identities::dummies() }
    }

    /// The same with these certificates.
    #[must_use]
    pub fn with(self, identities: Identities) -> Self {
        Self { identities, ..self }
    }

    /// Where the values are on their way to the next ones.
    #[must_use]
    pub fn rotation(&self) -> &Rotation {
        &self.rotation
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

    /// The password of PostgreSQL's superuser that is being replaced.
    #[must_use]
    pub fn former_postgres_superuser(&self) -> Option<&str> {
        self.former(POSTGRES)
    }

    /// The password of MongoDB's root user that is being replaced.
    #[must_use]
    pub fn former_mongodb_root(&self) -> Option<&str> {
        self.former(MONGODB)
    }

    /// Password with which the kubelet probes Redis.
    #[must_use]
    pub fn redis_probe(&self) -> Password<'_> {
        self.password(REDIS_PROBE)
    }

    /// Password of the user that tells Redis all passwords.
    #[must_use]
    pub fn redis_keeper(&self) -> Password<'_> {
        self.password(REDIS_KEEPER)
    }

    /// Password of the first admin.
    #[must_use]
    pub fn first_admin(&self) -> &str {
        self.value(ADMIN)
    }

    /// The keys of access tokens. A key is published before it signs, and for as long as something it signed is good.
    pub fn token_keys(&self) -> Result<TokenKeys, BadKey> {
        let (current, other) = (self.value(SIGNING), self.beside(SIGNING));
        let file = |generation: u32| format!("{:04}.pem", u64::from(generation) + 1);
        let mut private = BTreeMap::from([(file(self.rotation.generation), current.to_owned())]);
        if let (Stage::Moving, Some(previous), Some(other)) = (self.rotation.stage, other, self.rotation.other()) {
            private.insert(file(other), previous.to_owned());
        }
        let published = [current].into_iter().chain(other).map(SigningKey::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(TokenKeys { private, published: keys::set(&published) })
    }

    /// The authorities of the mesh: key and certificate of each, PEM.
    #[must_use]
    pub fn mesh_authorities(&self) -> Authorities<'_> {
        Authorities { issuer: self.value(MESH), other: self.beside(MESH) }
    }

    /// The certificates of the services in the mesh.
    pub fn identities(&self) -> impl Iterator<Item = (&'static str, &Leaf)> {
        self.identities.services.iter().map(|(service, leaf)| (*service, leaf))
    }

    /// The certificate of a store that the operator runs.
    #[must_use]
    pub fn store_certificate(&self, store: &str) -> Option<&StoreLeaf> {
        self.identities.stores.get(store)
    }

    /// What a service logs in with at a store.
    #[must_use]
    pub fn login(&self, store: &str, service: &str) -> Login<'_> {
        let generation = self.rotation.generation;
        Login { generation, user: user(service, generation), password: self.value(&account(store, service)) }
    }

    /// Everything that a service can log in with at a store: what it uses, and during a rotation the next or the previous.
    #[must_use]
    pub fn logins(&self, store: &str, service: &str) -> Vec<Login<'_>> {
        let other = self.password(&account(store, service)).other.and_then(|password| {
            let generation = self.rotation.other()?;
            Some(Login { generation, user: user(service, generation), password })
        });
        [self.login(store, service)].into_iter().chain(other).collect()
    }

    /// The user whose time at the stores is over, if there was one.
    #[must_use]
    pub fn retired(&self, service: &str) -> Option<String> {
        let other = self.rotation.other().filter(|_| !self.rotation.overlaps());
        other.map(|generation| user(service, generation))
    }

    /// What a server may still know that takes one password at a time.
    fn former(&self, key: &str) -> Option<&str> {
        self.beside(key).filter(|_| self.rotation.stage == Stage::Moving)
    }

    fn password(&self, key: &str) -> Password<'_> {
        Password { in_use: self.value(key), other: self.beside(key).filter(|_| self.rotation.overlaps()) }
    }

    fn value(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }

    fn beside(&self, key: &str) -> Option<&str> {
        let mark = beside(self.rotation.stage)?;
        self.values.get(&format!("{key}{mark}")).map(String::as_str)
    }

    /// What has to be written so that the Shop goes on to `next`; `None` removes a key. `fresh` are the coming values.
    pub(super) fn turned(
        &self,
        next: &Rotation,
        fresh: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Option<String>>, serde_json::Error> {
        let mut changes = BTreeMap::from([(ROTATION.to_owned(), Some(serde_json::to_string(next)?))]);
        if next.stage == self.rotation().stage {
            return Ok(changes);
        }
        for key in rotated_keys() {
            let (coming, going) = (format!("{key}{NEXT}"), format!("{key}{PREVIOUS}"));
            match next.stage {
                Stage::Publishing => {
                    changes.insert(coming, fresh.get(&key).cloned());
                }
                // A value that came to be after the others were made known goes through the next rotation.
                Stage::Moving if self.values.contains_key(&coming) => {
                    changes.insert(going, self.values.get(&key).cloned());
                    changes.insert(key, self.values.get(&coming).cloned());
                    changes.insert(coming, None);
                }
                Stage::Moving | Stage::Closing => {}
                Stage::Settled => {
                    changes.insert(going, None);
                }
            }
        }
        Ok(changes)
    }
}

const NEXT: &str = ".next";
const PREVIOUS: &str = ".previous";

/// What the name of the second value ends with.
fn beside(stage: Stage) -> Option<&'static str> {
    match stage {
        Stage::Settled => None,
        Stage::Publishing => Some(NEXT),
        Stage::Moving | Stage::Closing => Some(PREVIOUS),
    }
}

/// Two users take turns: the one that goes is never the one that comes.
fn user(service: &str, generation: u32) -> String {
    if generation.is_multiple_of(2) { service.to_owned() } else { format!("{service}_b") }
}

fn account(store: &str, service: &str) -> String {
    format!("{store}.{service}")
}

fn accounts() -> impl Iterator<Item = String> {
    SERVICES.iter().flat_map(|service| service.stores.iter().map(|store| account(store, service.name)))
}

pub(super) fn wanted_keys() -> Vec<String> {
    let single = [POSTGRES, MONGODB, REDIS_PROBE, REDIS_KEEPER, ADMIN, SIGNING, MESH].map(str::to_owned);
    single.into_iter().chain(accounts()).collect()
}

/// What a rotation replaces: everything that is shown to stores, and what services show to each other.
pub(super) fn rotated_keys() -> impl Iterator<Item = String> {
    [SIGNING, MESH, POSTGRES, MONGODB, REDIS_PROBE, REDIS_KEEPER].map(str::to_owned).into_iter().chain(accounts())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{POSTGRES, REDIS};

    fn at(generation: u32, stage: Stage) -> Credentials {
        Credentials::dummy_at(Rotation { generation, stage, ..Rotation::first(None, Timestamp::UNIX_EPOCH) })
    }

    fn check(credentials: &Credentials, logins: &[(&str, &str)], retired: Option<&str>) {
        let found = credentials.logins(POSTGRES, "order");
        let found: Vec<(&str, &str)> = found.iter().map(|login| (login.user.as_str(), login.password)).collect();
        assert_eq!(found, logins);
        assert_eq!(credentials.retired("order").as_deref(), retired);
    }

    #[test]
    fn two_users_take_turns_and_overlap() {
        let (current, next) = ("dummy-postgres.order", "dummy-postgres.order.next");
        check(&at(0, Stage::Settled), &[("order", current)], None);
        check(&at(0, Stage::Publishing), &[("order", current), ("order_b", next)], None);
        let previous = "dummy-postgres.order.previous";
        check(&at(1, Stage::Moving), &[("order_b", current), ("order", previous)], None);
        check(&at(1, Stage::Closing), &[("order_b", current)], Some("order"));
        check(&at(1, Stage::Settled), &[("order_b", current)], Some("order"));
        check(&at(1, Stage::Publishing), &[("order_b", current), ("order", next)], None);
        check(&at(2, Stage::Closing), &[("order", current)], Some("order_b"));
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_as_long_as_its_tokens_live() {
        let check = |generation, stage, private: &[&str], published: usize| {
            let keys = at(generation, stage).token_keys().expect("keys");
            assert_eq!(keys.private.keys().map(String::as_str).collect::<Vec<_>>(), private);
            let set: serde_json::Value = serde_json::from_str(&keys.published).expect("json");
            assert_eq!(set["keys"].as_array().map(Vec::len), Some(published), "{stage:?}");
        };
        check(0, Stage::Settled, &["0001.pem"], 1);
        check(0, Stage::Publishing, &["0001.pem"], 2);
        check(1, Stage::Moving, &["0001.pem", "0002.pem"], 2);
        check(1, Stage::Closing, &["0002.pem"], 2);
        check(1, Stage::Settled, &["0002.pem"], 1);
    }

    #[test]
    fn a_value_that_came_to_be_in_the_middle_of_a_rotation_stays_until_the_next_one() {
        let mut credentials = at(0, Stage::Publishing);
        let late = account(crate::catalog::MONGODB, "user");
        credentials.values.remove(&format!("{late}{NEXT}"));
        let moving = at(1, Stage::Moving).rotation;
        let changes = credentials.turned(&moving, &BTreeMap::new()).expect("json");
        assert!(changes.contains_key(&account(REDIS, "cart")) && !changes.contains_key(&late));
        credentials.values.extend(changes.into_iter().filter_map(|(key, value)| Some((key, value?))));
        credentials.rotation = moving;
        let logins = credentials.logins(crate::catalog::MONGODB, "user");
        let expected = Login { generation: 1, user: "user_b".to_owned(), password: "dummy-mongodb.user" };
        assert_eq!(logins, [expected]);
    }

    #[test]
    fn each_turn_writes_values_and_state_at_once_and_ends_with_the_names_it_began_with() {
        let mut credentials = at(0, Stage::Settled);
        let before = credentials.values.clone();
        let fresh: BTreeMap<String, String> = rotated_keys().map(|key| (key.clone(), format!("new-{key}"))).collect();
        for (generation, stage) in
            [(0, Stage::Publishing), (1, Stage::Moving), (1, Stage::Closing), (1, Stage::Settled)]
        {
            let next = at(generation, stage).rotation;
            for (key, value) in credentials.turned(&next, &fresh).expect("json") {
                match value {
                    Some(value) => credentials.values.insert(key, value),
                    None => credentials.values.remove(&key),
                };
            }
            credentials = Credentials::new(credentials.values, None, Timestamp::UNIX_EPOCH).expect("a state");
            assert_eq!(credentials.rotation, next);
        }
        assert_eq!(credentials.login(REDIS, "cart").password, "new-redis.cart");
        assert_eq!(credentials.first_admin(), before[ADMIN]);
        credentials.values.remove(ROTATION);
        assert!(credentials.values.keys().eq(before.keys()));
    }
}
