//! Between a client and the broker: loses the connection, keeps the broker's answers back, or blocks the client as a broker
//! does that is out of memory (<https://www.rabbitmq.com/docs/connection-blocked>).

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use secrecy::ExposeSecret as _;
use shop_config::Url;
use shop_testing::TestBroker;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

const BLOCKED: &[u8] = b"\x01\0\0\0\0\0\x12\0\x0a\0\x3c\x0dlow on memory\xce";
const UNBLOCKED: &[u8] = b"\x01\0\0\0\0\0\x04\0\x0a\0\x3d\xce";
/// A broker that blocks a client does not miss its heartbeats; the one behind this proxy would.
const HEARTBEAT: &[u8] = b"\x08\0\0\0\0\0\0\xce";
const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);
const PROTOCOL_HEADER: usize = 8;
/// How a method frame begins, and the class and method of `basic.ack`, by which a broker confirms.
const METHOD: u8 = 1;
const CONFIRM: &[u8] = b"\0\x3c\0\x50";

/// Ends with the value.
pub struct Proxy {
    /// The broker, through this proxy.
    pub config: Url,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    blocked: watch::Sender<bool>,
    silent: watch::Sender<bool>,
    cuts: watch::Sender<usize>,
    accepted: AtomicUsize,
    /// Confirms up to the one that is kept back.
    confirms: AtomicUsize,
}

impl Proxy {
    pub async fn to(broker: &TestBroker) -> Self {
        let url = broker.config.url.expose_secret();
        let (before, rest) = url.split_once('@').expect("the URL has a user");
        let (server, vhost) = rest.split_once('/').expect("the URL has a virtual host");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let here = listener.local_addr().expect("an address");
        let config = Url::from(format!("{before}@{here}/{vhost}"));
        let state = Arc::new(State::default());
        let accepting = tokio::spawn(accept(listener, server.to_owned(), Arc::clone(&state)));
        Self { config, state, accepting }
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Loses every connection, as when the broker's machine goes away.
    pub fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Tells the clients that they are blocked, and reads nothing from them; or lets them go on.
    pub fn block(&self, blocked: bool) {
        self.state.blocked.send_replace(blocked);
    }

    /// Passes on what clients send and none of what the broker answers, or lets the answers through.
    pub fn silence(&self, silent: bool) {
        self.state.silent.send_replace(silent);
    }

    /// Is silent from the `nth` confirm on, counted from now, which it keeps back. Returns when it does.
    pub async fn silence_at_confirm(&self, nth: usize) {
        let mut silent = self.state.silent.subscribe();
        self.state.confirms.store(nth, Ordering::SeqCst);
        let _ = silent.wait_for(|silent| *silent).await;
    }
}

impl State {
    /// Becomes silent if this answer is the confirm to keep back. Nobody counts down from zero: it wraps.
    fn look_at(&self, answer: &[u8]) {
        let confirms = answer.first() == Some(&METHOD) && answer.get(7..11) == Some(CONFIRM);
        if confirms && self.confirms.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.silent.send_replace(true);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: String, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        state.accepted.fetch_add(1, Ordering::SeqCst);
        let (server, state) = (server.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let server = TcpStream::connect(server).await.expect("RabbitMQ answers");
            let mut cuts = state.cuts.subscribe();
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            // However it ends, both sockets are closed.
            tokio::select! {
                _ = requests(from_client, to_server, &state) => {}
                _ = answers(from_server, to_client, &state) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) -> io::Result<()> {
    let mut blocked = state.blocked.subscribe();
    let mut header = [0; PROTOCOL_HEADER];
    from.read_exact(&mut header).await?;
    to.write_all(&header).await?;
    let mut buffer = BytesMut::new();
    loop {
        while let Some(frame) = whole_frame(&mut buffer) {
            to.write_all(&frame).await?;
        }
        let is_blocked = *blocked.borrow_and_update();
        tokio::select! {
            read = from.read_buf(&mut buffer), if !is_blocked => {
                if read? == 0 {
                    return Ok(());
                }
            }
            _ = blocked.changed() => {}
            () = sleep(HEARTBEAT_EVERY), if is_blocked => to.write_all(HEARTBEAT).await?,
        }
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) -> io::Result<()> {
    let (mut blocked, mut silent) = (state.blocked.subscribe(), state.silent.subscribe());
    let mut buffer = BytesMut::new();
    loop {
        tokio::select! {
            read = from.read_buf(&mut buffer) => {
                if read? == 0 {
                    return Ok(());
                }
                while let Some(frame) = whole_frame(&mut buffer) {
                    state.look_at(&frame);
                    let _ = silent.wait_for(|silent| !silent).await;
                    to.write_all(&frame).await?;
                }
            }
            _ = blocked.changed() => {
                let frame = if *blocked.borrow_and_update() { BLOCKED } else { UNBLOCKED };
                to.write_all(frame).await?;
            }
        }
    }
}

/// A frame is a type, a channel, a length, that many bytes and an end mark (AMQP 0-9-1, section 4.2.3).
fn whole_frame(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = buffer.get(3..7)?;
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize + 8;
    (buffer.len() >= length).then(|| buffer.split_to(length).freeze())
}
