//! The services call each other exactly as the table of edges says.

use std::collections::BTreeSet;

use kube::CustomResourceExt as _;
use shop_proto::edges::EDGES;
use shopkeeper_operator::{
    build::build,
    catalog::SERVICES,
    crd::{Mtls, Shop},
};

use crate::support::{MINIMAL, shop, valid};

#[test]
fn the_catalog_and_the_table_of_edges_name_the_same_neighbours() {
    let peers = |service: &'static shopkeeper_operator::catalog::Service| {
        service.peers.iter().map(move |peer| (service.name, peer.service))
    };
    let catalog: BTreeSet<(&str, &str)> = SERVICES.iter().flat_map(peers).collect();
    let edges: BTreeSet<(&str, &str)> = EDGES.iter().map(|edge| (edge.caller, edge.service)).collect();
    assert_eq!(catalog, edges);
    assert!(SERVICES.iter().all(|service| service.grpc == edges.iter().any(|(_, called)| *called == service.name)));
}

#[test]
fn a_shop_can_set_exactly_the_edges_of_the_table() {
    let edges: BTreeSet<String> = EDGES.iter().map(|edge| format!("{}-{}", edge.caller, edge.service)).collect();
    let names: Vec<String> = edges.iter().map(|edge| format!("'{edge}'")).collect();
    let rule = format!("self.all(edge, edge in [{}])", names.join(", "));
    let definition = serde_json::to_string(&Shop::crd()).expect("JSON");
    assert!(definition.contains(&rule), "`{rule}` is no rule of the CRD");
}

#[test]
fn no_pod_is_told_of_a_store_without_encryption_unless_the_shop_wants_none() {
    let plain = |shop: &Shop| {
        let objects = build(&valid(shop));
        let values = objects.secrets.into_iter().flat_map(|secret| secret.data.unwrap_or_default());
        let values = values.map(|(_, value)| String::from_utf8(value.0).expect("text"));
        let is_plain = |url: &String| {
            let encrypted = url.contains("sslmode=verify-full&sslrootcert=") || url.contains("tls=true&tlsCAFile=");
            ["postgres://", "mongodb://", "redis://", "amqp://"].iter().any(|scheme| url.starts_with(scheme))
                && !encrypted
        };
        values.filter(is_plain).count()
    };
    let mut shop = shop(MINIMAL);
    assert_eq!(plain(&shop), 0);
    shop.spec.mesh.mtls = Mtls::Off;
    // Two of user and cart each, two of four services with a database, and one of PostgreSQL's and one of MongoDB's
    // superuser.
    assert_eq!(plain(&shop), 2 + 2 + 4 * 2 + 1 + 1);
}
