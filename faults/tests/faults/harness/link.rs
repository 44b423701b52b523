//! The connections of one process to one thing it needs, through a door of the test's: they can be slowed, stopped, cut, or
//! made to fail at a chosen step.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    process::Process,
    wire::{Protocol, Steps},
};

/// An acknowledgement has no answer; after this it is held to be there.
const NO_ANSWER: Duration = Duration::from_millis(200);
/// Anything else has one, later than which nobody waits for it.
const LATEST_ANSWER: Duration = Duration::from_secs(15);

/// How a link behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As it should.
    Open,
    /// Every read takes this much longer, in both directions.
    Slow(Duration),
    /// Nothing arrives, and nobody is told.
    Stalled,
    /// Connections are closed, and new ones too.
    Cut,
}

/// When, at a step, something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The other side never hears of the step.
    Before,
    /// The other side has done it, and its answer never arrives.
    AnswerLost,
}

/// What happens at the `nth` step of this name, counted from now.
#[derive(Clone, Debug)]
pub struct Trap {
    /// How the step's name begins.
    pub step: String,
    pub nth: usize,
    pub moment: Moment,
    /// The process dies; else only this connection does.
    pub kills: bool,
}

struct Set {
    trap: Trap,
    seen: usize,
    sprung: Arc<Notify>,
}

#[derive(Default)]
struct Watcher {
    /// How often each step was seen.
    seen: HashMap<String, usize>,
    set: Option<Set>,
}

struct Door {
    protocol: Protocol,
    upstreams: Vec<SocketAddr>,
    next: AtomicUsize,
    mode: watch::Sender<Mode>,
    resets: watch::Sender<usize>,
    watcher: Mutex<Watcher>,
    process: Arc<Process>,
}

/// See the module.
pub struct Link {
    /// What is behind it.
    pub to: &'static str,
    /// Where the process connects to.
    pub address: SocketAddr,
    door: Arc<Door>,
    listening: JoinHandle<()>,
}

impl Link {
    /// A door of `process` to `upstreams`, any of which is as good.
    pub async fn open(
        to: &'static str,
        protocol: Protocol,
        upstreams: Vec<SocketAddr>,
        process: Arc<Process>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let door = Arc::new(Door {
            protocol,
            upstreams,
            next: AtomicUsize::new(0),
            mode: watch::Sender::new(Mode::Open),
            resets: watch::Sender::new(0),
            watcher: Mutex::default(),
            process,
        });
        let listening = tokio::spawn(listen(listener, Arc::clone(&door)));
        Ok(Self { to, address, door, listening })
    }

    pub fn set(&self, mode: Mode) {
        self.door.mode.send_replace(mode);
    }

    /// Closes every connection there is now.
    pub fn reset(&self) {
        self.door.resets.send_modify(|count| *count += 1);
    }

    /// Sets a trap, in place of any before; the answer is notified when it has sprung.
    pub fn trap(&self, trap: Trap) -> Arc<Notify> {
        let sprung = Arc::new(Notify::new());
        self.door.watcher().set = Some(Set { trap, seen: 0, sprung: Arc::clone(&sprung) });
        sprung
    }

    /// Takes the trap away; `false` when there is none to take: it has sprung, or is springing.
    pub fn disarm(&self) -> bool {
        self.door.watcher().set.take().is_some()
    }

    /// How often each step was seen since the last call.
    pub fn take_seen(&self) -> HashMap<String, usize> {
        std::mem::take(&mut self.door.watcher().seen)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.set(Mode::Cut);
        self.listening.abort();
    }
}

impl Door {
    fn watcher(&self) -> MutexGuard<'_, Watcher> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to happen at this step.
    fn notice(&self, step: &str) -> Option<(Trap, Arc<Notify>)> {
        let mut watcher = self.watcher();
        *watcher.seen.entry(step.to_owned()).or_default() += 1;
        let set = watcher.set.as_mut().filter(|set| step.starts_with(&set.trap.step))?;
        set.seen += 1;
        if set.seen < set.trap.nth {
            return None;
        }
        watcher.set.take().map(|set| (set.trap, set.sprung))
    }

    /// Ends when something read may go on; fails when the link is cut.
    async fn pass(&self) -> io::Result<()> {
        let mut mode = self.mode.subscribe();
        let now = *mode.wait_for(|mode| *mode != Mode::Stalled).await.map_err(io::Error::other)?;
        match now {
            Mode::Cut => Err(io::ErrorKind::ConnectionReset.into()),
            Mode::Slow(by) => {
                sleep(by).await;
                Ok(())
            }
            Mode::Open | Mode::Stalled => Ok(()),
        }
    }

    /// Ends when the connections there are now are to be closed.
    async fn closed(&self, mut mode: watch::Receiver<Mode>, mut resets: watch::Receiver<usize>) {
        tokio::select! {
            _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
            _ = resets.changed() => {}
        }
    }

    async fn reach(&self) -> io::Result<TcpStream> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut last = io::ErrorKind::NotConnected.into();
        for turn in 0..self.upstreams.len() {
            match TcpStream::connect(self.upstreams[(first + turn) % self.upstreams.len()]).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn listen(listener: TcpListener, door: Arc<Door>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            let closed = door.closed(door.mode.subscribe(), door.resets.subscribe());
            tokio::select! {
                // Whoever closes closes both; why does not matter to the other.
                _ = carry(&door, client) => {}
                () = closed => {}
            }
        });
    }
}

/// One direction can tell the other to keep an answer for itself.
#[derive(Default)]
struct Lane {
    held: AtomicBool,
    answered: Notify,
}

async fn carry(door: &Door, client: TcpStream) -> io::Result<()> {
    door.pass().await?;
    let upstream = door.reach().await?;
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let ((from_client, to_client), (from_upstream, to_upstream)) = (client.into_split(), upstream.into_split());
    let lane = Lane::default();
    tokio::select! {
        ended = requests(door, &lane, from_client, to_upstream) => ended,
        ended = answers(door, &lane, from_upstream, to_client) => ended,
    }
}

async fn requests(door: &Door, lane: &Lane, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    let mut steps = Steps::of(door.protocol);
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        door.pass().await?;
        steps.push(&buffer[..read]);
        while let Some(step) = steps.take() {
            let sprung = step.name.and_then(|name| door.notice(&name));
            let Some((trap, sprung)) = sprung else {
                to.write_all(&step.bytes).await?;
                continue;
            };
            if trap.moment == Moment::AnswerLost {
                lane.held.store(true, Ordering::Release);
                to.write_all(&step.bytes).await?;
                // No answer is as good as one that is lost.
                let patience = if trap.step == "ack" { NO_ANSWER } else { LATEST_ANSWER };
                let _ = timeout(patience, lane.answered.notified()).await;
            }
            if trap.kills {
                door.process.kill();
            }
            sprung.notify_one();
            return Ok(());
        }
    }
}

async fn answers(door: &Door, lane: &Lane, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    let (mut steps, mut buffer) = (Steps::of(door.protocol), vec![0; 16 * 1024]);
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            if lane.held.load(Ordering::Acquire) {
                // The trap that waits for an answer gets none, and springs all the same.
                lane.answered.notify_one();
                std::future::pending::<()>().await;
            }
            return Ok(());
        }
        door.pass().await?;
        let answers = steps.answers(&buffer[..read]);
        if lane.held.load(Ordering::Acquire) {
            if answers {
                lane.answered.notify_one();
            }
        } else {
            to.write_all(&buffer[..read]).await?;
        }
    }
}
