//! What is made of a Shop at each stage of a rotation of its credentials.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSetSpec;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use ring::rand::SystemRandom;
use shopkeeper_operator::build::build;
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::identities::{self, Authorities};
use shopkeeper_operator::names;
use shopkeeper_operator::objects::{Desired, Objects};
use shopkeeper_operator::rotation::{Rotation, Stage};

use crate::support::{MINIMAL, shop, valid_with};

const WAY: [(u32, Stage); 5] =
    [(0, Stage::Settled), (0, Stage::Publishing), (1, Stage::Moving), (1, Stage::Closing), (1, Stage::Settled)];

fn at((generation, stage): (u32, Stage)) -> Objects<Desired> {
    let rotation = Rotation { generation, stage, ..Rotation::first(None, Timestamp::UNIX_EPOCH) };
    build(&valid_with(&shop(MINIMAL), Credentials::dummy_at(rotation)))
}

fn secret(objects: &Objects<Desired>, name: &str) -> BTreeMap<String, String> {
    let found = objects.secrets.iter().find(|secret| secret.name_any() == name);
    text(found.unwrap_or_else(|| panic!("there is no Secret {name}")))
}

fn text(secret: &Secret) -> BTreeMap<String, String> {
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| (key.clone(), String::from_utf8(value.0.clone()).expect("text"))).collect()
}

fn jobs<'a>(objects: &'a Objects<Desired>, prefix: &str) -> Vec<&'a Job> {
    objects.jobs.iter().filter(|job| job.name_any().starts_with(prefix)).collect()
}

#[test]
fn the_kubelet_and_the_keeper_of_redis_show_nothing_that_the_server_does_not_know() {
    let shown = |key| WAY.map(|stage| secret(&at(stage), "acorn-redis")[key].clone());
    let (first, next, previous) = ("dummy-redis-probe", "dummy-redis-probe.next", "dummy-redis-probe.previous");
    let lines = |passwords: &[&str]| passwords.iter().flat_map(|password| [*password, "\n"]).collect::<String>();
    let expected = [&[first][..], &[first, next], &[first, previous], &[first], &[first]].map(lines);
    assert_eq!(shown("probe-passwords"), expected);
    assert_eq!(shown("keeper-password"), WAY.map(|_| "dummy-redis-keeper".to_owned()), "the one in use");
}

/// What the pods of a store are made from.
fn stateful_set(objects: &Objects<Desired>, store: &str) -> Option<StatefulSetSpec> {
    objects.stateful_sets.iter().find(|set| set.name_any() == store).expect("a store").spec.clone()
}

/// What makes the pods of a store start anew.
fn inputs(objects: &Objects<Desired>, store: &str) -> String {
    let metadata = stateful_set(objects, store).and_then(|spec| spec.template.metadata).expect("metadata");
    metadata.annotations.as_ref().expect("annotations")[names::INPUTS_ANNOTATION].clone()
}

#[test]
fn services_keep_their_log_ins_until_the_stores_know_the_next_ones() {
    let accounts = WAY.map(|stage| secret(&at(stage), "acorn-user")["SHOP_MONGODB__URL"].clone());
    assert_eq!(accounts[0], accounts[1]);
    assert!(accounts[1].starts_with("mongodb://user:"));
    for later in &accounts[2..] {
        assert!(later.starts_with("mongodb://user_b:") && later.contains("/user?"), "the database stays");
    }
    let urls = WAY.map(|stage| secret(&at(stage), "acorn-order"));
    assert_eq!(urls[0], urls[1]);
    assert!(urls[1]["SHOP_POSTGRES__URL"].starts_with("postgres://order:"));
    for later in &urls[2..] {
        assert!(later["SHOP_POSTGRES__URL"].starts_with("postgres://order_b:"));
        assert!(later["SHOP_AMQP__URL"].starts_with("amqps://order_b:"));
        assert!(later["SHOP_POSTGRES__URL"].contains("/order?"), "the database stays");
    }
}

#[test]
fn a_migration_makes_each_log_in_known_and_ends_the_one_that_goes() {
    for (service, section, store) in [("order", "SHOP_POSTGRES", "postgres"), ("user", "SHOP_MONGODB", "mongodb")] {
        migrations_follow(service, section);
        let logins = secret(&at(WAY[1]), &format!("acorn-{store}-logins"));
        assert!(logins[&format!("{service}.1")].contains(&format!("//{service}_b:dummy-{store}.{service}.next@")));
        assert_eq!(logins.len(), if store == "postgres" { 4 } else { 1 }, "one for each service with a database");
    }
}

/// Each stage has the Jobs that make the log-ins known which a service has in it.
fn migrations_follow(service: &str, section: &str) {
    let variables = |job: &Job| {
        let containers = &job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()).expect("a pod").containers;
        let variables = containers[0].env.clone().unwrap_or_default();
        let keyed = |name: &str| {
            let found = variables.iter().find(|variable| variable.name == name)?;
            let from = found.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
            from.map(|from| from.key.clone()).or_else(|| found.value.clone())
        };
        assert_eq!(keyed(&format!("{section}__ADMIN_URL")).as_deref(), Some("admin-url"));
        (keyed(&format!("{section}__URL")), keyed(&format!("{section}__RETIRED")))
    };
    let on_the_way = WAY.map(|stage| -> Vec<_> {
        let objects = at(stage);
        jobs(&objects, &format!("acorn-{service}-migrate-")).into_iter().map(variables).collect()
    });
    let later = || Some(format!("{service}.1"));
    let retired = || Some(service.to_owned());
    let expected: [Vec<(Option<String>, Option<String>)>; 5] = [
        vec![(None, None)],
        vec![(None, None), (later(), None)],
        vec![(later(), None)],
        vec![(later(), retired())],
        vec![(later(), retired())],
    ];
    assert_eq!(on_the_way, expected);
}

#[test]
fn migrations_replace_the_password_of_a_superuser_while_its_former_one_may_be_good() {
    for (service, store, key) in [("order", "postgres", "postgres-superuser"), ("user", "mongodb", "mongodb-root")] {
        let superuser = |stage| secret(&at(stage), &format!("acorn-{store}"));
        let next = superuser(WAY[1])["admin-url"].clone();
        assert!(next.contains(&format!(":dummy-{key}@")), "{store} does not know the next one yet");
        assert!(superuser(WAY[2])["former-admin-url"].contains(&format!(":dummy-{key}.previous@")));
        let known = |stage| superuser(stage).contains_key("former-admin-url");
        assert_eq!(WAY.map(known), [false, false, true, false, false]);

        let variable = format!("SHOP_{}__FORMER_ADMIN_URL", store.to_uppercase());
        let prefix = format!("acorn-{service}-migrate-");
        let told = |stage| {
            let objects = at(stage);
            jobs(&objects, &prefix).into_iter().filter(|job| format!("{job:?}").contains(&variable)).count()
        };
        assert_eq!(WAY.map(told), [0, 0, 1, 0, 0]);
        let names =
            |stage| -> Vec<String> { jobs(&at(stage), &prefix).into_iter().map(ResourceExt::name_any).collect() };
        let before = names(WAY[1]);
        assert!(names(WAY[2]).iter().all(|name| !before.contains(name)), "what ran before is no answer");
    }
}

#[test]
fn redis_is_told_its_passwords_while_it_runs() {
    for user in ["cart", "probe", "keeper"] {
        let passwords = |stage| {
            let users = secret(&at(stage), "acorn-redis")["users.acl"].clone();
            let line = users.lines().find(|line| line.starts_with(&format!("user {user} "))).expect("a user");
            line.matches('#').count()
        };
        assert_eq!(WAY.map(passwords), [1, 2, 2, 1, 1], "{user}");
    }
    assert_eq!(WAY.map(|stage| jobs(&at(stage), "acorn-redis-users-").len()), [0, 1, 1, 1, 0]);
    let policies = |stage| at(stage).network_policies.iter().any(|policy| policy.name_any() == "acorn-redis-users");
    assert_eq!(WAY.map(policies), [false, true, true, true, false]);
    let commands = &secret(&at(WAY[1]), "acorn-redis")["passwords.0.Publishing"];
    assert!(commands.lines().all(|line| line.starts_with("ACL SETUSER ") && line.matches('#').count() == 2));
    assert_eq!(commands.lines().count(), 4, "user, cart, and those of the kubelet and of the Job itself");
    let starts = WAY.map(|stage| inputs(&at(stage), "acorn-redis"));
    assert!(starts.iter().all(|start| *start == starts[0]), "Redis does not start anew");
}

#[test]
fn rabbitmq_starts_anew_with_both_users_and_then_without_the_first() {
    let list = |stage, name: &str| {
        let definitions = secret(&at(stage), "acorn-rabbitmq")["definitions.json"].clone();
        let definitions: serde_json::Value = serde_json::from_str(&definitions).expect("json");
        definitions[name].as_array().expect("a list").clone()
    };
    let users = |stage| {
        let users = list(stage, "users");
        let can_log_in = |name: &str| {
            let found = users.iter().find(|user| user["name"] == name)?;
            Some(found["password_hash"].as_str().is_some_and(|hash| !hash.starts_with("AAAAAAAA")))
        };
        (can_log_in("order"), can_log_in("order_b"))
    };
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(WAY.map(users), [(yes, None), (yes, yes), (yes, yes), (no, yes), (no, yes)]);
    assert_ne!(inputs(&at(WAY[0]), "acorn-rabbitmq"), inputs(&at(WAY[1]), "acorn-rabbitmq"));
    for (name, user) in [("users", "name"), ("permissions", "user")] {
        let named = |stage| list(stage, name).iter().map(|entry| entry[user].clone()).collect::<Vec<_>>();
        assert_eq!(named(WAY[1]), named(WAY[2]), "who is in use is nothing to start anew for");
    }
}

#[test]
fn a_rotation_starts_nothing_else_anew() {
    for store in ["acorn-postgres", "acorn-mongodb"] {
        let sets = WAY.map(|stage| stateful_set(&at(stage), store));
        assert!(sets.iter().all(|set| *set == sets[0]), "{store}");
    }
    let spec = |stage| format!("{:?}", at(stage).deployments.last().map(|found| found.spec.clone()));
    assert_eq!(spec(WAY[0]), spec(WAY[2]), "the trace store has no credentials");
}

/// The Shop at each stage, an hour after the one before, with what its authorities issue.
fn encrypted_way(turns: [Authorities<'_>; WAY.len()]) -> Vec<Objects<Desired>> {
    let shop = shop(MINIMAL);
    let mut secrets = Vec::new();
    let stages = WAY.into_iter().zip(turns).zip(0..);
    let objects = stages.map(|(((generation, stage), authorities), hour)| {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour);
        let identities = identities::renew(authorities, &shop, &secrets, &[], now, &SystemRandom::new());
        let rotation = Rotation { generation, stage, ..Rotation::first(None, Timestamp::UNIX_EPOCH) };
        let credentials = Credentials::dummy_at(rotation).with(identities.expect("certificates"));
        let objects = build(&valid_with(&shop, credentials));
        secrets.clone_from(&objects.secrets);
        objects
    });
    objects.collect()
}

#[test]
fn clients_trust_the_authority_of_a_store_before_it_shows_its_certificate_and_after() {
    let authority = || identities::new_authority("default", "acorn", Timestamp::UNIX_EPOCH, &SystemRandom::new());
    let (old, new) = (authority().expect("an authority"), authority().expect("an authority"));
    let trust = |issuer, other| Authorities { issuer, other };
    let way = encrypted_way([
        trust(&old, None),
        trust(&old, Some(&new)),
        trust(&new, Some(&old)),
        trust(&new, Some(&old)),
        trust(&new, None),
    ]);

    let trusted = |objects: &Objects<Desired>| {
        let map = objects.config_maps.iter().find(|map| map.name_any() == "acorn-store-authorities");
        map.and_then(|map| map.data.clone()).expect("authorities")["redis.crt"].clone()
    };
    let count = way.iter().map(|objects| trusted(objects).matches("BEGIN").count());
    assert!(count.eq([1, 2, 2, 2, 2]), "the store has not restarted");
    let shown = |objects: &Objects<Desired>| secret(objects, "acorn-redis-tls")["ca.crt"].clone();
    for pair in way.windows(2) {
        assert!(trusted(&pair[0]).contains(&shown(&pair[1])), "by pods that are not replaced yet");
        assert!(trusted(&pair[1]).contains(&shown(&pair[0])), "by pods that are");
    }
    let of_redis = |objects: &Objects<Desired>| stateful_set(objects, "acorn-redis");
    assert!(way.windows(2).all(|pair| of_redis(&pair[0]) == of_redis(&pair[1])), "a rotation restarts no database");
}
