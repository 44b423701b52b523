//! An API server that is a list of answers.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};

/// What is answered: status and body.
pub type Answer = (u16, Value);

/// A refusal in the API server's own shape.
pub fn refusal(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
    });
    (code, status)
}

/// Ends with the value.
pub struct Api {
    pub address: SocketAddr,
    ends: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Api {
    /// One that knows these paths, and says the same of every other.
    pub fn answering(known: Vec<(&'static str, Answer)>, otherwise: Answer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (ends, answers) = (Arc::new(AtomicBool::default()), Arc::new((known, otherwise)));
        let end = Arc::clone(&ends);
        let accepting = thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                let answers = Arc::clone(&answers);
                // A client may open more connections than it uses, so one must not hold up another.
                thread::spawn(move || answer(&socket, &answers.0, &answers.1));
            }
        });
        Self { address, ends, accepting: Some(accepting) }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // What is accepted next sees that it ends.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Answers one request, and closes.
fn answer(socket: &TcpStream, known: &[(&'static str, Answer)], otherwise: &Answer) {
    let mut reader = BufReader::new(socket);
    let mut lines = (&mut reader).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    assert!(!headers.is_empty(), "a request has a host: {request}");
    let length = |header: &String| header.to_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok();
    // Where something is left unread, closing takes the answer away from the client.
    let mut sent = vec![0_u8; headers.iter().find_map(length).unwrap_or_default()];
    let _ = reader.read_exact(&mut sent);
    let path = request.split(' ').nth(1).and_then(|path| path.split('?').next());
    let found = known.iter().find(|(known, _)| Some(*known) == path).map(|(_, answer)| answer);
    let (code, body) = found.unwrap_or(otherwise);
    let body = body.to_string();
    let head = format!("HTTP/1.1 {code} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
    // A client that has gone needs no answer.
    let mut socket = socket;
    let _ = socket.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes());
}
