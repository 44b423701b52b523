//! Keeps the pods of a neighbour equal to its addresses.
//!
//! A ClusterIP would pin an HTTP/2 connection to one pod, so the host is a headless Service: it is resolved again and again,
//! and every address becomes a pod.

use std::{collections::HashSet, io, net::SocketAddr, sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt as _};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    net::lookup_host,
    sync::watch,
    time::{Instant, sleep},
};
use tonic::transport::Endpoint;

use super::pods::{Pod, Pods};
use crate::Identity;

/// How soon a new or vanished pod is noticed.
const RESOLVE_EVERY: Duration = Duration::from_secs(2);
const RESOLVE_AGAIN: Duration = Duration::from_millis(200);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Tells the addresses of a host, with a port.
pub trait Resolve: Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync + 'static {}

impl<R: Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync + 'static> Resolve for R {}

/// Asks DNS.
pub(super) fn dns(host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    async move { Ok(lookup_host((host, port)).await?.collect()) }.boxed()
}

/// Whom an edge leads to, and as whom.
pub(super) struct Neighbour<R> {
    pub host: String,
    pub port: u16,
    /// The host that its certificates are for.
    pub known_as: String,
    pub identity: Option<Identity>,
    pub count: Gauge,
    pub resolve: Arc<R>,
}

impl<R> Clone for Neighbour<R> {
    fn clone(&self) -> Self {
        let Self { host, port, known_as, identity, count, resolve } = self;
        let (host, known_as, identity) = (host.clone(), known_as.clone(), identity.clone());
        Self { host, port: *port, known_as, identity, count: count.clone(), resolve: Arc::clone(resolve) }
    }
}

/// Follows the neighbour's addresses until nobody calls it any more.
pub(super) async fn follow<R: Resolve>(mut neighbour: Neighbour<R>, pods: watch::Sender<Pods>) {
    loop {
        let pause = match neighbour.addresses().await {
            Ok(found) => {
                neighbour.count(&found);
                pods.send_if_modified(|pods| neighbour.update(pods, &found));
                RESOLVE_EVERY
            }
            // A headless Service without a ready pod has no name. The pods stay: one that is dead is not chosen.
            Err(_) => RESOLVE_AGAIN,
        };
        tokio::select! {
            () = pods.closed() => return,
            () = sleep(pause) => {}
            // Every pod anew, with the new certificate; calls under way end on the old connections.
            () = renewed(neighbour.identity.as_mut()) => {
                let known = pods.borrow().iter().map(|pod| pod.address).collect();
                pods.send_modify(|pods| *pods = neighbour.pods(&known));
            }
        }
    }
}

/// Ends when there is another certificate.
pub(super) async fn renewed(identity: Option<&mut Identity>) {
    match identity {
        Some(identity) => identity.changed().await,
        None => std::future::pending().await,
    }
}

impl<R: Resolve> Neighbour<R> {
    /// Its addresses as they are now.
    pub(super) async fn addresses(&self) -> io::Result<HashSet<SocketAddr>> {
        Ok((self.resolve)(self.host.clone(), self.port).await?.into_iter().collect())
    }
}

impl<R> Neighbour<R> {
    pub(super) fn count(&self, found: &HashSet<SocketAddr>) {
        self.count.set(i64::try_from(found.len()).unwrap_or(i64::MAX));
    }

    /// Keeps what is known of the pods that are still there.
    pub(super) fn update(&self, pods: &mut Pods, found: &HashSet<SocketAddr>) -> bool {
        let known: HashSet<SocketAddr> = pods.iter().map(|pod| pod.address).collect();
        let changed = known != *found;
        if changed {
            let stay = pods.iter().filter(|pod| found.contains(&pod.address)).cloned();
            let new = self.pods(&found.difference(&known).copied().collect());
            *pods = stay.chain(new.iter().cloned()).collect();
        }
        changed
    }

    fn pods(&self, addresses: &HashSet<SocketAddr>) -> Pods {
        let now = Instant::now();
        let pod = |address: &SocketAddr| Some(Pod::new(*address, self.endpoint(*address)?, now));
        addresses.iter().filter_map(pod).collect::<Vec<Arc<Pod>>>().into()
    }

    fn endpoint(&self, address: SocketAddr) -> Option<Endpoint> {
        let Some(identity) = &self.identity else {
            return Endpoint::from_shared(format!("http://{address}")).ok().map(tuned);
        };
        let secured = Endpoint::from_shared(format!("https://{address}"))
            .and_then(|endpoint| endpoint.tls_config(identity.current().client(&self.known_as)));
        match secured {
            Ok(endpoint) => Some(tuned(endpoint)),
            Err(error) => {
                tracing::error!(error.cause = %error, "no connection with this certificate");
                None
            }
        }
    }
}

/// Without these a dead pod keeps its connection, and requests to it hang until their deadline.
fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
}
