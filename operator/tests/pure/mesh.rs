//! The services call each other exactly as the table of edges says.

use std::collections::BTreeSet;

use shop_proto::edges::EDGES;
use shopkeeper_operator::catalog::SERVICES;

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
