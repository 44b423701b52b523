//! From a Shop to the settings of what runs: what the operator gives to the containers of the services, held against what the
//! services read. Neither side links the other's code, so that nothing but this keeps their words the same.

mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, Volume};
use shop_config::{ConfigError, Listeners, Mesh};
use shop_server::Service;
use shopkeeper_operator::build::build;
use shopkeeper_operator::crd::{Mtls, Shop};
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::objects::{Desired, Objects};
use shopkeeper_operator::render::parse;
use shopkeeper_operator::rotation::{Rotation, Stage};
use shopkeeper_operator::settings::Settings;
use shopkeeper_operator::stores::Found;
use shopkeeper_operator::validate::validate;

/// Texts by key: the variables of a container, or the content of a Secret or ConfigMap.
type Texts = BTreeMap<String, String>;
/// What somebody wrote into a Secret, by key.
type Keys<'a> = &'a [(&'a str, &'a str)];
/// Whether a service can start with such variables.
type Reads = fn(&Texts) -> Result<(), ConfigError>;

/// The seven services.
const SERVICES: [(&str, Reads); 7] = [
    (shop_user::App::NAME, read_by::<shop_user::App>),
    (shop_product::App::NAME, read_by::<shop_product::App>),
    (shop_cart::App::NAME, read_by::<shop_cart::App>),
    (shop_order::App::NAME, read_by::<shop_order::App>),
    (shop_payment::App::NAME, read_by::<shop_payment::App>),
    (shop_delivery::App::NAME, read_by::<shop_delivery::App>),
    (shop_docs::App::NAME, read_by::<shop_docs::App>),
];
/// Where the operator puts files.
const FOLDER: &str = "/etc/shopkeeper/";

/// What people write into the Secrets that a Shop names, by key.
const ADMIN: [(&str, &str); 2] = [("email", "squirrel@acorn.test"), ("password", "a long password")];
const MAIL: [(&str, &str); 5] =
    [("host", "mail.test"), ("port", "465"), ("tls", "tls"), ("username", "shop"), ("password", "secret")];
const BUCKET: [(&str, &str); 2] = [("accessKeyId", "key"), ("secretAccessKey", "secret")];
const COLLECTOR: [(&str, &str); 1] = [("headers", "key=secret")];

/// Reads what `main` of a service reads.
fn read_by<S: Service>(variables: &Texts) -> Result<(), ConfigError> {
    shop_config::load_from::<S::Config>(variables.clone())?;
    shop_config::load_from::<Mesh>(variables.clone())?;
    shop_config::load_from::<Listeners>(variables.clone())?;
    Ok(())
}

/// Everything that containers of a Shop can be given: what the operator makes, and what people wrote.
struct Given {
    secrets: BTreeMap<String, Texts>,
    config_maps: BTreeMap<String, Texts>,
}

impl Given {
    fn of(objects: &Objects<Desired>, shop: &Shop, mail: &[(&str, &str)]) -> Self {
        let secrets = objects.secrets.iter().map(|secret| {
            let data = secret.data.iter().flatten();
            let text = |value: &ByteString| String::from_utf8(value.0.clone()).expect("text");
            let data = data.map(|(key, value)| (key.clone(), text(value))).collect();
            (secret.metadata.name.clone().expect("a name"), data)
        });
        let config_maps = objects
            .config_maps
            .iter()
            .map(|map| (map.metadata.name.clone().expect("a name"), map.data.clone().unwrap_or_default()));
        let mut secrets: BTreeMap<String, Texts> = secrets.collect();
        secrets.extend(written(shop, mail));
        Self { secrets, config_maps: config_maps.collect() }
    }

    /// The value of a variable; none where it comes from a key that may be missing, and is.
    fn value(&self, variable: &EnvVar) -> Option<String> {
        if let Some(value) = &variable.value {
            return Some(value.clone());
        }
        let source = variable.value_from.as_ref().expect("a value or where it comes from");
        if source.field_ref.is_some() {
            return Some("a field of the pod".to_owned());
        }
        let (known, name, key, optional) = match (&source.secret_key_ref, &source.config_map_key_ref) {
            (Some(secret), _) => (&self.secrets, &secret.name, &secret.key, secret.optional),
            (None, Some(map)) => (&self.config_maps, &map.name, &map.key, map.optional),
            (None, None) => panic!("{} comes from nowhere", variable.name),
        };
        let value = known.get(name).and_then(|texts| texts.get(key)).cloned();
        assert!(value.is_some() || optional == Some(true), "{}: {name} has no {key}", variable.name);
        value
    }

    /// What a container sees in its environment.
    fn variables(&self, container: &Container) -> Texts {
        let mut found = Texts::new();
        for source in container.env_from.iter().flatten() {
            let name = &source.secret_ref.as_ref().expect("only Secrets are given as a whole").name;
            found.extend(self.secrets.get(name).unwrap_or_else(|| panic!("there is no Secret {name}")).clone());
        }
        let single = container.env.iter().flatten();
        found.extend(single.filter_map(|variable| Some((variable.name.clone(), self.value(variable)?))));
        found
    }

    /// The files of a volume.
    fn files(&self, volume: &Volume) -> Option<&Texts> {
        let of_secret = volume.secret.as_ref().and_then(|source| self.secrets.get(source.secret_name.as_ref()?));
        of_secret.or_else(|| self.config_maps.get(&volume.config_map.as_ref()?.name))
    }

    /// Whether a container has a file, or a folder with files.
    fn has(&self, pod: &PodSpec, container: &Container, path: &str) -> bool {
        container.volume_mounts.iter().flatten().any(|mount| {
            let volume = pod.volumes.iter().flatten().find(|volume| volume.name == mount.name);
            let files = volume.and_then(|volume| self.files(volume));
            let file = path.strip_prefix(&mount.mount_path).map(|rest| rest.trim_start_matches('/'));
            // A file that is mounted alone says itself which one of the volume it is.
            let file = file.map(|rest| mount.sub_path.as_deref().filter(|_| rest.is_empty()).unwrap_or(rest));
            files
                .zip(file)
                .is_some_and(|(files, file)| !files.is_empty() && (file.is_empty() || files.contains_key(file)))
        })
    }
}

/// The Secrets that a Shop names for its pods to read.
fn written(shop: &Shop, mail: Keys<'_>) -> BTreeMap<String, Texts> {
    let spec = &shop.spec;
    let secrets: [(Option<&String>, Keys<'_>); 4] = [
        (spec.users.admin_secret_name.as_ref(), &ADMIN),
        (spec.users.mail.smtp.as_ref().map(|smtp| &smtp.secret_name), mail),
        (spec.products.images.s3.as_ref().map(|bucket| &bucket.secret_name), &BUCKET),
        (spec.telemetry.otlp.as_ref().and_then(|otlp| otlp.headers_secret_name.as_ref()), &COLLECTOR),
    ];
    let texts = |keys: Keys<'_>| -> Texts {
        keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    secrets.into_iter().filter_map(|(name, keys)| Some((name?.clone(), texts(keys)))).collect()
}

fn objects(shop: &Shop, credentials: Credentials) -> Objects<Desired> {
    let found = Found::dummy(shop);
    let valid = validate(shop, &Vec::<Arc<Shop>>::new(), &Settings::default(), credentials, &found);
    build(&valid.expect("a valid Shop"))
}

/// The containers that run a service or migrate for it.
fn containers(objects: &Objects<Desired>) -> impl Iterator<Item = (&PodSpec, &Container)> {
    let deployments = objects.deployments.iter().filter_map(|found| found.spec.as_ref()?.template.spec.as_ref());
    let jobs = objects.jobs.iter().filter_map(|found| found.spec.as_ref()?.template.spec.as_ref());
    let all = deployments.chain(jobs).flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)));
    all.filter(|(_, container)| {
        let args = container.args.as_deref().unwrap_or_default();
        ["serve", "migrate"].iter().any(|command| args == [*command])
    })
}

fn service(variables: &Texts) -> (&'static str, Reads) {
    let name = &variables["OTEL_SERVICE_NAME"];
    let known = SERVICES.into_iter().find(|(known, _)| known == name);
    known.unwrap_or_else(|| panic!("there is no service {name}"))
}

/// What is wrong with what the services of a Shop are given.
fn complaints(shop: &Shop, credentials: Credentials, mail: &[(&str, &str)]) -> Vec<String> {
    let objects = objects(shop, credentials);
    let given = Given::of(&objects, shop, mail);
    let mut started = BTreeSet::new();
    let mut found = Vec::new();
    for (pod, container) in containers(&objects) {
        let variables = given.variables(container);
        let (service, reads) = service(&variables);
        started.insert(service);
        let paths = variables.values().flat_map(|value| paths(value));
        let missing = paths.filter(|path| !given.has(pod, container, path)).map(|path| format!("there is no {path}"));
        let all = wrong(&variables, reads).into_iter().chain(missing);
        let shop = shop.metadata.name.as_deref().unwrap_or_default();
        found.extend(all.map(|what| format!("{shop} {service} {:?}: {what}", container.args)));
    }
    assert_eq!(started, BTreeSet::from(SERVICES.map(|(name, _)| name)));
    found
}

/// What is missing, cannot be read, or is read by nobody.
fn wrong(variables: &Texts, reads: Reads) -> Vec<String> {
    if let Err(error) = reads(variables) {
        return vec![error.to_string()];
    }
    let ignored = variables.keys().filter(|name| !is_read(variables, name, reads));
    ignored.map(|name| format!("nobody reads {name}")).collect()
}

fn is_read(variables: &Texts, name: &str, reads: Reads) -> bool {
    let mut others = variables.clone();
    let value = others.remove(name).unwrap_or_default();
    // The kubelet puts one variable into another.
    let reference = format!("$({name})");
    let is_part = others.values().any(|value| value.contains(&reference));
    // Whoever reads a value takes no section in its place; what nobody reads may be anything.
    others.insert(format!("{name}__NOBODY"), value);
    shop_telemetry::VARIABLES.contains(&name) || is_part || reads(&others).is_err()
}

/// The files and folders of which a value speaks.
fn paths(value: &str) -> impl Iterator<Item = &str> {
    value.match_indices(FOLDER).filter_map(|(at, _)| value[at..].split(['&', '?', ' ', ',']).next())
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../operator/tests/fixtures")
}

fn read(path: &Path) -> Shop {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Shop that says most of what a Shop can say, and each of it with a value of its own.
fn outspoken() -> Shop {
    read(&fixtures().join("walnut.yaml"))
}

const NOTHING: [String; 0] = [];

#[test]
fn every_service_of_every_shop_starts_with_what_it_is_given_and_reads_all_of_it() {
    for entry in fs::read_dir(fixtures()).expect("fixtures") {
        let mut shop = read(&entry.expect("a file").path());
        for mtls in [Mtls::Strict, Mtls::Off] {
            shop.spec.mesh.mtls = mtls;
            assert_eq!(complaints(&shop, Credentials::dummy(), &MAIL), NOTHING);
        }
    }
}

#[test]
fn a_mail_server_that_is_only_named_is_enough() {
    assert_eq!(complaints(&outspoken(), Credentials::dummy(), &MAIL[..1]), NOTHING);
}

#[test]
fn services_and_migrations_start_at_every_stage_of_a_rotation() {
    let mut shop = outspoken();
    for mtls in [Mtls::Strict, Mtls::Off] {
        shop.spec.mesh.mtls = mtls;
        for (generation, stage) in
            [(0, Stage::Publishing), (1, Stage::Moving), (1, Stage::Closing), (1, Stage::Settled)]
        {
            let rotation = Rotation { generation, stage, ..Rotation::first(None, Timestamp::UNIX_EPOCH) };
            assert_eq!(complaints(&shop, Credentials::dummy_at(rotation), &MAIL), NOTHING);
        }
    }
}

#[test]
fn a_variable_with_a_letter_too_many_is_noticed() {
    let shop = outspoken();
    let objects = objects(&shop, Credentials::dummy());
    let given = Given::of(&objects, &shop, &MAIL);
    for (_, container) in containers(&objects) {
        let variables = given.variables(container);
        let (service, reads) = service(&variables);
        for (name, value) in &variables {
            let mut misspelled = variables.clone();
            misspelled.remove(name);
            misspelled.insert(format!("{name}S"), value.clone());
            assert_ne!(wrong(&misspelled, reads), NOTHING, "{service} without {name}");
        }
    }
}
