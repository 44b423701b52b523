//! What a client says, cut into steps that have names. A connection can then be made to fail at a step instead of at a time.

use std::collections::HashMap;

/// Longest name of a step; statements are cut here.
const LONGEST: usize = 60;

/// The protocols between a service and what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Postgres,
    Amqp,
    Redis,
    Grpc,
    Mongodb,
}

/// The least that is forwarded at once: what the other side acts on as a whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    pub bytes: Vec<u8>,
    /// `None`: greetings, heartbeats and other talk without an effect.
    pub name: Option<String>,
}

/// Reads one connection.
pub struct Steps {
    protocol: Protocol,
    buffer: Vec<u8>,
    greeted: bool,
    /// PostgreSQL: the text of each prepared statement, and what this connection executed last.
    statements: HashMap<String, String>,
    last: String,
}

impl Steps {
    pub fn of(protocol: Protocol) -> Self {
        Self { protocol, buffer: Vec::new(), greeted: false, statements: HashMap::new(), last: String::new() }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete step.
    pub fn take(&mut self) -> Option<Step> {
        let (length, name) = match self.protocol {
            Protocol::Postgres => self.postgres()?,
            Protocol::Amqp => self.amqp()?,
            Protocol::Redis => self.redis()?,
            Protocol::Grpc => self.grpc()?,
            Protocol::Mongodb => self.mongodb()?,
        };
        Some(Step { bytes: self.buffer.drain(..length).collect(), name })
    }

    /// Messages up to the one that the server answers: a query with its parameters is one step.
    fn postgres(&mut self) -> Option<(usize, Option<String>)> {
        if !self.greeted {
            let length = number(self.buffer.get(..4)?);
            let code = number(self.buffer.get(4..8)?);
            self.buffer.get(..length)?;
            // 80877103 asks for TLS, and is followed by the greeting itself.
            self.greeted = code != 80_877_103;
            return Some((length, None));
        }
        let (mut at, mut name) = (0, None);
        loop {
            let kind = *self.buffer.get(at)?;
            let length = 1 + number(self.buffer.get(at + 1..at + 5)?);
            let body = self.buffer.get(at + 5..at + length)?;
            let mut texts = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
            match kind {
                b'P' => {
                    let (statement, sql) = (texts.next()?, texts.next()?);
                    self.statements.insert(statement, sql);
                }
                b'B' => name = self.statements.get(&texts.nth(1)?).map(|sql| short(sql)),
                b'Q' => name = texts.next().map(|sql| short(&sql)),
                _ => {}
            }
            at += length;
            if !matches!(kind, b'P' | b'B' | b'D' | b'E' | b'C') {
                break;
            }
        }
        if let Some(name) = &mut name {
            if name == "COMMIT" {
                *name = format!("COMMIT after {}", self.last);
            }
            self.last.clone_from(name);
        }
        Some((at, name.filter(|name| name != "SELECT 1")))
    }

    /// Frames; a publish is one step with its header and body.
    fn amqp(&mut self) -> Option<(usize, Option<String>)> {
        if !self.greeted {
            self.buffer.get(..8)?;
            self.greeted = true;
            return Some((8, None));
        }
        let (kind, payload) = self.frame(0)?;
        let length = payload.len() + 8;
        match (kind, payload.get(..4)) {
            (1, Some([0, 60, 0, 80])) => Some((length, Some("ack".to_owned()))),
            (1, Some([0, 60, 0, 40])) => {
                let exchange = usize::from(*payload.get(6)?);
                let key = usize::from(*payload.get(7 + exchange)?);
                let key = String::from_utf8_lossy(payload.get(8 + exchange..8 + exchange + key)?).into_owned();
                let (_, header) = self.frame(length)?;
                let mut end = length + header.len() + 8;
                let mut missing = number(header.get(8..12)?);
                while missing > 0 {
                    let (_, body) = self.frame(end)?;
                    missing = missing.saturating_sub(body.len());
                    end += body.len() + 8;
                }
                Some((end, Some(format!("publish {key}"))))
            }
            _ => Some((length, None)),
        }
    }

    /// Type and payload of the frame that begins at `at`.
    fn frame(&self, at: usize) -> Option<(u8, &[u8])> {
        let kind = *self.buffer.get(at)?;
        let length = number(self.buffer.get(at + 3..at + 7)?);
        // With the mark that ends it.
        self.buffer.get(at + 7..at + 8 + length).map(|payload| (kind, &payload[..length]))
    }

    /// Commands.
    fn redis(&self) -> Option<(usize, Option<String>)> {
        let (count, mut at) = self.line(0)?;
        let mut words = Vec::new();
        for _ in 0..count {
            let (length, text) = self.line(at)?;
            words.push(String::from_utf8_lossy(self.buffer.get(text..text + length)?).to_uppercase());
            at = text + length + 2;
        }
        self.buffer.get(..at)?;
        let name = match words.first().map(String::as_str) {
            // A script's name is its hash.
            Some("EVALSHA") => words.get(1).map(|hash| format!("EVALSHA {}", hash.get(..8).unwrap_or_default())),
            None | Some("CLIENT" | "HELLO" | "AUTH" | "SELECT" | "PING") => None,
            Some(word) => Some(word.to_owned()),
        };
        Some((at, name))
    }

    /// Messages. They have no names: nobody dies at one of them.
    fn mongodb(&self) -> Option<(usize, Option<String>)> {
        let length: [u8; 4] = self.buffer.get(..4)?.try_into().ok()?;
        let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
        self.buffer.get(..length).map(|_| (length, None))
    }

    /// The number after the mark at `at`, and where the next line begins.
    fn line(&self, at: usize) -> Option<(usize, usize)> {
        let rest = self.buffer.get(at + 1..)?;
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        Some((number, at + 1 + end + 2))
    }

    /// Whether what the other side says, read here from its beginning, ends an answer.
    pub fn answers(&mut self, bytes: &[u8]) -> bool {
        if self.protocol != Protocol::Grpc {
            return true;
        }
        self.push(bytes);
        let mut ends = false;
        while let Some((length, kind, flags)) = self.grpc_frame() {
            // Trailers.
            ends |= kind == 1 && flags & 1 == 1;
            self.buffer.drain(..length);
        }
        ends
    }

    /// Frames of HTTP/2; a call is complete with the data that ends its stream.
    fn grpc(&mut self) -> Option<(usize, Option<String>)> {
        const PREFACE: usize = 24;
        if !self.greeted {
            self.buffer.get(..PREFACE)?;
            self.greeted = true;
            return Some((PREFACE, None));
        }
        let (length, kind, flags) = self.grpc_frame()?;
        let ends_a_call = kind == 0 && flags & 1 == 1;
        Some((length, ends_a_call.then(|| "call".to_owned())))
    }

    /// Length, type and flags of the next frame.
    fn grpc_frame(&self) -> Option<(usize, u8, u8)> {
        let head = self.buffer.get(..9)?;
        let length = 9 + number(&head[..3]);
        self.buffer.get(..length).map(|frame| (length, frame[3], frame[4]))
    }
}

/// A number as the network writes it.
fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte))
}

fn short(sql: &str) -> String {
    let words = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(protocol: Protocol, bytes: &[u8]) -> Vec<Step> {
        let mut steps = Steps::of(protocol);
        // One byte at a time: a step does not depend on how it was sent.
        let mut found = Vec::new();
        for byte in bytes {
            steps.push(&[*byte]);
            found.extend(std::iter::from_fn(|| steps.take()));
        }
        assert_eq!(found.iter().flat_map(|step| step.bytes.clone()).collect::<Vec<_>>(), bytes);
        found
    }

    fn names(protocol: Protocol, bytes: &[u8]) -> Vec<String> {
        read(protocol, bytes).into_iter().filter_map(|step| step.name).collect()
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind][..], &length, body].concat()
    }

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[kind, 0, 1][..], &length, payload, &[0xCE]].concat()
    }

    #[test]
    fn statements_are_known_by_their_text_and_a_commit_by_what_it_commits() {
        let greeting = [0, 0, 0, 8, 0, 3, 0, 0];
        let said = [
            greeting.to_vec(),
            message(b'P', b"s1\0INSERT  INTO\n t VALUES ($1)\0\0\0"),
            message(b'D', b"Ss1\0"),
            message(b'S', b""),
            message(b'Q', b"BEGIN\0"),
            message(b'B', b"\0s1\0\0\0"),
            message(b'E', b"\0\0\0\0\0"),
            message(b'S', b""),
            message(b'Q', b"COMMIT\0"),
        ];
        let insert = "INSERT INTO t VALUES ($1)";
        assert_eq!(names(Protocol::Postgres, &said.concat()), ["BEGIN", insert, &format!("COMMIT after {insert}")]);
        assert_eq!(read(Protocol::Postgres, &said.concat()).len(), 5);
    }

    #[test]
    fn a_message_is_published_as_a_whole() {
        let publish = [&[0, 60, 0, 40, 0, 0, 1, b'x', 10][..], b"order.paid", &[0]].concat();
        let header = [&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3][..], &[0, 0]].concat();
        let said = [
            b"AMQP\0\0\x09\x01".to_vec(),
            frame(8, b""),
            frame(1, &publish),
            frame(2, &header),
            frame(3, b"ab"),
            frame(3, b"c"),
            frame(1, &[0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
        ];
        assert_eq!(names(Protocol::Amqp, &said.concat()), ["publish order.paid", "ack"]);
    }

    #[test]
    fn commands_and_calls_are_counted_and_greetings_are_not() {
        let said = b"*1\r\n$4\r\nPING\r\n*3\r\n$7\r\nEVALSHA\r\n$10\r\n0123456789\r\n$1\r\n0\r\n*2\r\n$4\r\nHGET\r\n$0\r\n\r\n";
        assert_eq!(names(Protocol::Redis, said), ["EVALSHA 01234567", "HGET"]);
        let calls = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            vec![0, 0, 0, 4, 0, 0, 0, 0, 0],
            vec![0, 0, 2, 1, 4, 0, 0, 0, 1, 0x82, 0x86],
            vec![0, 0, 1, 0, 1, 0, 0, 0, 1, 7],
        ];
        assert_eq!(names(Protocol::Grpc, &calls.concat()), ["call"]);
    }

    #[test]
    fn a_call_is_answered_by_its_trailers_and_by_nothing_before() {
        let mut server = Steps::of(Protocol::Grpc);
        assert!(!server.answers(&[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88, 0, 0]));
        assert!(server.answers(&[1, 1, 5, 0, 0, 0, 1, 0x88]));
    }
}
