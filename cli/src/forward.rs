//! From a local port to the port of a pod, through the API server.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Ends with the value.
pub struct Forward {
    /// Where to connect.
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Forward {
    /// Opens a local port that leads to `port` of `pod`.
    pub async fn to(pods: Api<Pod>, pod: String, port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no local port is free")?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (pods, pod) = (pods.clone(), pod.clone());
                tokio::spawn(async move {
                    // The client of this port only sees that its connection ends; the reason is known here.
                    if let Err(error) = carry(socket, &pods, &pod, port).await {
                        anstream::eprintln!("port {port} of the pod {pod}: {error:#}");
                    }
                });
            }
        });
        Ok(Self { address, accepting })
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(mut socket: TcpStream, pods: &Api<Pod>, pod: &str, port: u16) -> anyhow::Result<()> {
    let mut forwarded = pods.portforward(pod, &[port]).await.context("it cannot be forwarded")?;
    let mut stream = forwarded.take_stream(port).ok_or_else(|| anyhow!("the API server opened no stream"))?;
    // Either side ends the connection when it likes, and not always politely.
    let _ = copy_bidirectional(&mut socket, &mut stream).await;
    Ok(())
}
