//! A mail server (RFC 5321 with AUTH) that a test tells how to behave, and that keeps what it was told.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Who may send mails.
pub const USER: &str = "the shop";
/// The user's password.
pub const PASSWORD: &str = "the shop's password";

/// How the server takes mails.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// Takes all of them.
    Takes,
    /// Hangs up on everybody.
    Away,
    /// Does not let us in.
    KeepsUsOut,
    /// Says no to a mail, for now.
    PutsOff,
    /// Says no to a mail, for good.
    Refuses,
}

/// A mail as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The command with the sender.
    pub from: String,
    /// The commands with those it is for.
    pub to: Vec<String>,
    /// Header fields with their continuation lines.
    pub headers: Vec<String>,
    /// What comes after them.
    pub body: String,
}

struct State {
    manner: Manner,
    commands: Vec<String>,
    received: Vec<Received>,
}

/// The server, until it is dropped.
pub struct SmtpServer {
    state: Arc<Mutex<State>>,
    port: u16,
    task: JoinHandle<()>,
}

impl SmtpServer {
    /// Listens on a free port of an address.
    pub async fn start(ip: IpAddr, manner: Manner) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State { manner, commands: Vec::new(), received: Vec::new() }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                // Whoever hangs up in the middle has sent nothing.
                tokio::spawn(async move { converse(stream, &state).await.unwrap_or_default() });
            }
        });
        Self { state, port, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets it be of another manner from now on.
    pub fn behave(&self, manner: Manner) {
        self.state.lock().expect("no panic with the state").manner = manner;
    }

    /// What it took so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().expect("no panic with the state").received.clone()
    }

    /// The verbs it was given, in order.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        self.state.lock().expect("no panic with the state").commands.clone()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Received {
    /// The body as its reader sees it: a link is longer than a line may be (RFC 2045, section 6.7).
    #[must_use]
    pub fn text(&self) -> String {
        assert_eq!(self.header("Content-Transfer-Encoding"), "quoted-printable");
        self.body.replace("=\n", "").replace("=3D", "=")
    }

    /// The value of a header that must be there once, on one line.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        let named = |line: &&String| line.to_lowercase().starts_with(&format!("{}:", name.to_lowercase()));
        let found: Vec<&String> = self.headers.iter().filter(named).collect();
        assert_eq!(found.len(), 1, "{name} in {:?}", self.headers);
        found[0].split_once(':').expect("a value").1.trim().to_owned()
    }
}

async fn converse(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let manner = || state.lock().expect("no panic with the state").manner;
    if matches!(manner(), Manner::Away) {
        return Ok(());
    }
    let mut stream = BufReader::new(stream);
    let (mut let_in, mut from, mut to) = (false, String::new(), Vec::new());
    stream.write_all(b"220 mail.test ESMTP\r\n").await?;
    let mut line = String::new();
    while {
        line.clear();
        stream.read_line(&mut line).await?
    } > 0
    {
        let command = line.trim_end().to_owned();
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        state.lock().expect("no panic with the state").commands.push(verb.clone());
        let reply = match (verb.as_str(), manner()) {
            ("EHLO", _) => "250-mail.test\r\n250-AUTH PLAIN\r\n250 8BITMIME",
            ("AUTH", Manner::KeepsUsOut) => "535 5.7.8 not you",
            ("AUTH", _) => {
                let plain = STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
                let_in = command == format!("AUTH PLAIN {plain}");
                if let_in { "235 2.7.0 come in" } else { "535 5.7.8 not you" }
            }
            ("MAIL" | "RCPT" | "DATA", _) if !let_in => "530 5.7.0 log in first",
            ("MAIL", _) => {
                from.clone_from(&command);
                "250 2.1.0 fine"
            }
            ("RCPT", Manner::PutsOff) => "451 4.7.1 come back later",
            ("RCPT", Manner::Refuses) => "550 5.1.1 nobody here",
            ("RCPT", _) => {
                to.push(command);
                "250 2.1.5 fine"
            }
            ("DATA", _) => {
                stream.write_all(b"354 go on\r\n").await?;
                let (headers, body) = read_message(&mut stream).await?;
                let mail = Received { from: from.clone(), to: std::mem::take(&mut to), headers, body };
                state.lock().expect("no panic with the state").received.push(mail);
                "250 2.0.0 taken"
            }
            ("QUIT", _) => "221 2.0.0 bye",
            _ => "500 5.5.1 what?",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
    Ok(())
}

/// Reads up to the line with a single dot.
async fn read_message(stream: &mut BufReader<TcpStream>) -> std::io::Result<(Vec<String>, String)> {
    let (mut headers, mut body, mut in_body) = (Vec::<String>::new(), String::new(), false);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end_matches("\r\n") {
            "." => return Ok((headers, body)),
            "" if !in_body => in_body = true,
            text if in_body => body.extend([text, "\n"]),
            text if text.starts_with([' ', '\t']) => {
                headers.last_mut().expect("a field to continue").push_str(text);
            }
            text => headers.push(text.to_owned()),
        }
    }
}
