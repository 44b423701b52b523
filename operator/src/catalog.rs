//! The one table of the seven services: what each is, needs and calls. Builders read it, so a new service is a new row.

use crate::crd::{ServiceSpec, ServicesSpec};

/// One service as the operator knows it.
#[derive(Debug)]
pub struct Service {
    /// Component name, image name and the name inside object names.
    pub name: &'static str,
    /// The stores it connects to, with a user of its own name where the store has more than one.
    pub stores: &'static [&'static str],
    /// What it does with access tokens.
    pub tokens: Tokens,
    /// Whether it serves gRPC on 9090.
    pub grpc: bool,
    /// The gRPC services it calls.
    pub peers: &'static [Peer],
    /// Whether its image has a `migrate` step that must be complete before new pods start.
    pub migrates: bool,
    /// Memory a pod can use, and keeps free for itself.
    pub memory: Memory,
    /// Paths that the ingress sends to it.
    pub routes: &'static [&'static str],
    /// Its settings in a Shop.
    pub settings: fn(&ServicesSpec) -> Option<&ServiceSpec>,
}

/// What a service does with access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// It never sees one.
    Ignores,
    /// It checks them with the public keys.
    Verifies,
    /// It signs them, and checks them.
    Signs,
}

/// A gRPC service that another one calls.
#[derive(Debug)]
pub struct Peer {
    /// The beginning of the variables that tell the caller where it is and how to call it.
    pub section: &'static str,
    /// The service that answers.
    pub service: &'static str,
}

/// Memory of a pod in Mi.
#[derive(Debug)]
pub struct Memory {
    /// What the scheduler keeps free.
    pub request: u32,
    /// What ends the container when exceeded.
    pub limit: u32,
}

const SMALL: Memory = Memory { request: 24, limit: 32 };
/// Password hashing takes 19 MiB a time, decoding an image of 4096 x 4096 pixels 64 MiB.
const LARGE: Memory = Memory { request: 64, limit: 128 };

const CATALOG: Peer = Peer { section: "SHOP_CATALOG", service: "product" };
const ORDERS: Peer = Peer { section: "SHOP_ORDERS", service: "order" };

/// The seven services.
pub const SERVICES: [Service; 7] = [
    Service {
        name: "user",
        stores: &[MONGODB, REDIS],
        tokens: Tokens::Signs,
        grpc: false,
        peers: &[],
        migrates: true,
        memory: LARGE,
        routes: &["/api/v1/auth", "/api/v1/users", "/.well-known"],
        settings: |services| services.user.as_ref(),
    },
    Service {
        name: "product",
        stores: &[POSTGRES, RABBITMQ],
        tokens: Tokens::Verifies,
        grpc: true,
        peers: &[],
        migrates: true,
        memory: LARGE,
        routes: &["/api/v1/products", "/api/v1/categories", "/uploads"],
        settings: |services| services.product.as_ref(),
    },
    Service {
        name: "cart",
        stores: &[REDIS, RABBITMQ],
        tokens: Tokens::Verifies,
        grpc: false,
        peers: &[CATALOG, ORDERS],
        migrates: false,
        memory: SMALL,
        routes: &["/api/v1/cart"],
        settings: |services| services.cart.as_ref(),
    },
    Service {
        name: "order",
        stores: &[POSTGRES, RABBITMQ],
        tokens: Tokens::Verifies,
        grpc: true,
        peers: &[CATALOG],
        migrates: true,
        memory: SMALL,
        routes: &["/api/v1/orders", "/api/v1/seller"],
        settings: |services| services.order.as_ref(),
    },
    Service {
        name: "payment",
        stores: &[POSTGRES, RABBITMQ],
        tokens: Tokens::Ignores,
        grpc: false,
        peers: &[],
        migrates: true,
        memory: SMALL,
        routes: &[],
        settings: |services| services.payment.as_ref(),
    },
    Service {
        name: "delivery",
        stores: &[POSTGRES, RABBITMQ],
        tokens: Tokens::Ignores,
        grpc: false,
        peers: &[],
        migrates: true,
        memory: SMALL,
        routes: &[],
        settings: |services| services.delivery.as_ref(),
    },
    Service {
        name: "docs",
        stores: &[],
        tokens: Tokens::Ignores,
        grpc: false,
        peers: &[],
        migrates: false,
        memory: SMALL,
        routes: &["/docs", "/swagger-json"],
        settings: |services| services.docs.as_ref(),
    },
];

/// Component names of the stores, in the order in which status lists them.
pub const STORES: [&str; 4] = [POSTGRES, MONGODB, REDIS, RABBITMQ];
/// Component name of PostgreSQL.
pub const POSTGRES: &str = "postgres";
/// Component name of MongoDB.
pub const MONGODB: &str = "mongodb";
/// Component name of Redis.
pub const REDIS: &str = "redis";
/// Component name of RabbitMQ.
pub const RABBITMQ: &str = "rabbitmq";
/// Component name of the trace store.
pub const TRACES: &str = "traces";

/// The port on which a store usually answers; RabbitMQ has another one for TLS.
#[must_use]
pub fn store_port(store: &str, tls: bool) -> i32 {
    match store {
        MONGODB => 27017,
        REDIS => 6379,
        RABBITMQ if tls => 5671,
        RABBITMQ => 5672,
        _ => 5432,
    }
}

impl Service {
    /// Whether it connects to a store.
    #[must_use]
    pub fn uses(&self, store: &str) -> bool {
        self.stores.contains(&store)
    }

    /// Whether somebody calls it, so that a share of the calls can go elsewhere.
    #[must_use]
    pub fn is_called(&self) -> bool {
        self.grpc || !self.routes.is_empty()
    }

    /// Whether it calls other services, or is called by them.
    #[must_use]
    pub fn in_mesh(&self) -> bool {
        self.grpc || !self.peers.is_empty()
    }

    /// Whether it mounts the public keys.
    #[must_use]
    pub fn verifies_tokens(&self) -> bool {
        matches!(self.tokens, Tokens::Verifies | Tokens::Signs)
    }
}
