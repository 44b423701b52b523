//! Requests of closed loops: each connection asks what a function of the ticket says.

use std::sync::Arc;

use http::Method;
use serde_json::Value;

use super::Bench;
use crate::{
    http::{Connection, Request},
    pace::Visitor,
    record::Outcome,
};

/// One request, owned.
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub token: Option<String>,
    pub body: Option<Value>,
}

impl Ask {
    pub fn get(path: String) -> Self {
        Self { method: Method::GET, path, token: None, body: None }
    }

    pub fn post(path: &str, body: Value) -> Self {
        Self { method: Method::POST, path: path.to_owned(), token: None, body: Some(body) }
    }

    pub fn by(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }
}

/// A connection that asks one kind of question.
pub struct Asker {
    connection: Connection,
    ask: Arc<dyn Fn(u64) -> Ask + Send + Sync>,
}

impl Asker {
    /// As many connections to a service as asked for.
    pub fn all(
        bench: &Bench,
        service: &str,
        connections: usize,
        ask: impl Fn(u64) -> Ask + Send + Sync + 'static,
    ) -> Vec<Self> {
        let (url, ask) = (bench.services.url(service), Arc::new(ask));
        let asker = |_| Self { connection: Connection::to(&url, &bench.tls), ask: Arc::clone(&ask) as _ };
        (0..connections).map(asker).collect()
    }
}

impl Visitor for Asker {
    async fn act(&mut self, ticket: u64) -> (&'static str, Outcome) {
        let Ask { method, path, token, body } = (self.ask)(ticket);
        let request = Request::new(method, &path);
        let request = if let Some(token) = &token { request.by(token) } else { request };
        let request = if let Some(body) = &body { request.with(body) } else { request };
        let answer = self.connection.send(request).await;
        ("", answer.map_or_else(|outcome| outcome, |answer| answer.status.into()))
    }
}

/// The product that `seed.sql` makes under this number.
pub fn product(number: u64) -> String {
    format!("00000000-0000-7000-8000-{number:012x}")
}

/// The word that `seed.sql` makes under this number.
pub fn word(number: u64) -> String {
    const SYLLABLES: [&str; 16] = [
        "bal", "cet", "dif", "gom", "hup", "jan", "kes", "lir", "mov", "nuz", "pax", "qeb", "rid", "sol", "tun", "vag",
    ];
    let syllable = |shift: u32| SYLLABLES[usize::try_from(number >> shift & 15).unwrap_or_default()];
    [syllable(0), syllable(4), syllable(8)].concat()
}

/// Numbers that are spread, and the same in each run.
pub fn scatter(ticket: u64) -> u64 {
    ticket.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16
}
