//! What one process takes on at once, and how long it waits for a client.

use std::time::Duration;

/// The bounds of a process's edge. With the defaults a hostile crowd costs it about 20 MiB.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that are worked on at once, HTTP and gRPC together. Twenty for each connection of a pool of six: at a few
    /// milliseconds a transaction, whoever is let in waits a tenth of a second at most.
    pub requests: u32,
    /// Open HTTP connections. An ingress controller keeps up to 200 idle ones, and there may be several.
    pub connections: usize,
    /// From the first byte of a request to the last one of its headers.
    pub headers: Duration,
    /// A JSON body has arrived within this time.
    pub body: Duration,
    /// A request is answered within this time. Longer than every store's and neighbour's own limit.
    pub answer: Duration,
    /// The same for a route that takes pictures.
    pub upload: Duration,
    /// What is left of a body after its request was refused is read for so long before the answer goes out; less than a process
    /// gets to end.
    pub leftover: Duration,
    /// A connection may rest so long between two requests: longer than the 90 seconds after which an ingress controller gives it
    /// up, or its next request would meet a connection that we just closed.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 128,
            connections: 1024,
            headers: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(15),
            upload: Duration::from_secs(75),
            leftover: Duration::from_secs(15),
            idle: Duration::from_mins(2),
        }
    }
}
