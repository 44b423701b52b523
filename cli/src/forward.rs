//! From this machine to the port of a pod, through the API server.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{Request, header::HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::explain::explain;

/// Every pod that works answers within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// A local port. Ends with the value.
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
                        anstream::eprintln!("port {port} of the pod {pod}: {}", explain(error));
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

/// What a pod answers to a GET.
pub async fn ask(pods: &Api<Pod>, pod: &str, port: u16, path: &str) -> anyhow::Result<String> {
    let answer = tokio::time::timeout(PATIENCE, get(pods, pod, port, path)).await;
    answer.map_err(|_| anyhow!("no answer within {} s", PATIENCE.as_secs())).flatten()
}

async fn get(pods: &Api<Pod>, pod: &str, port: u16, path: &str) -> anyhow::Result<String> {
    let mut forwarded = pods.portforward(pod, &[port]).await.context("its port cannot be forwarded")?;
    let stream = forwarded.take_stream(port).ok_or_else(|| anyhow!("the API server opened no stream"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let carried = tokio::spawn(connection);
    let request = Request::get(path).header(HOST, "localhost").body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    carried.abort();
    if !status.is_success() {
        bail!("{path} answered {status}");
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}
