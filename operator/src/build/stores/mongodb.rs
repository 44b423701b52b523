//! MongoDB.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Container;

use super::{DATA_VOLUME, Parts, certificate_file};
use crate::build::pod::{every, mount, scratch, secret_variable, store_resources, tcp_probe};
use crate::build::{Inputs, component_name};
use crate::catalog::MONGODB;
use crate::identities::AUTHORITY;
use crate::stores::Store;

/// The user that the image makes at its first start.
pub(crate) const ROOT_USER: &str = "root";

/// The file with the private key and the certificate, which this server wants in one.
pub(crate) const KEY_AND_CERTIFICATE: &str = "tls.pem";

pub(super) fn stateful_set(inputs: &Inputs<'_>) -> Option<StatefulSet> {
    let shop = inputs.shop;
    let Store::Embedded(store) = &shop.mongodb else { return None };
    let secret = component_name(shop, MONGODB);
    let container = Container {
        name: MONGODB.to_owned(),
        image: Some(store.image.clone()),
        args: store.certificate.is_some().then(encryption),
        env: Some(vec![
            secret_variable("MONGO_INITDB_ROOT_USERNAME", secret.clone(), "username"),
            secret_variable("MONGO_INITDB_ROOT_PASSWORD", secret, "password"),
        ]),
        ports: Some(vec![super::port("mongodb", 27017)]),
        // While the first start makes the root user, the server listens on the loopback interface only.
        startup_probe: Some(every(1, 300, tcp_probe("mongodb"))),
        readiness_probe: Some(every(10, 3, tcp_probe("mongodb"))),
        liveness_probe: Some(every(20, 6, tcp_probe("mongodb"))),
        resources: Some(store_resources("50m", "192Mi", "768Mi")),
        volume_mounts: Some(vec![
            mount(DATA_VOLUME, "/data/db"),
            mount("config", "/data/configdb"),
            mount("tmp", "/tmp"),
        ]),
        ..Container::default()
    };
    let volumes = vec![scratch("config"), scratch("tmp")];
    // The Secret is read by the first start, which makes the root user, and never again.
    Some(super::stateful_set(inputs, Parts { component: MONGODB, store, inputs: None, container, volumes }))
}

fn encryption() -> Vec<String> {
    let (certificate, authority) = (certificate_file(KEY_AND_CERTIFICATE), certificate_file(AUTHORITY));
    // The server insists on an authority for the certificates of clients, which have none.
    [["--tlsMode", "requireTLS"], ["--tlsCertificateKeyFile", &certificate], ["--tlsCAFile", &authority]]
        .concat()
        .into_iter()
        .chain(["--tlsAllowConnectionsWithoutCertificates"])
        .map(str::to_owned)
        .collect()
}
