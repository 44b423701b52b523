//! `dlq`: messages that a service gave up on.

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shop_messaging::dead_letters::{DeadLetter, DeadLetters, Which};

use crate::{
    cluster::Cluster,
    forward::Forward,
    output::{BAD, GOOD, PLAIN, TITLE, Table, View, age, styled},
};

/// Looking takes messages for a moment; nobody reads more than this.
const MOST_SHOWN: usize = 500;
/// Enough to say how long the oldest has been waiting.
const MOST_AGED: usize = 50;

/// What to do with dead letters.
#[derive(Subcommand)]
pub enum Dlq {
    /// How many dead letters each service has.
    Ls,
    /// What they are, and why they are there.
    Show {
        /// The service that gave up, for instance `order`.
        service: String,
        /// Only this one, with its payload.
        id: Option<String>,
    },
    /// Send them back to the service that gave up. It drops what it has handled before.
    Replay(Replay),
}

/// Which ones to send back.
#[derive(Args)]
pub struct Replay {
    /// The service that gave up, for instance `order`.
    service: String,
    /// The one to send back.
    #[arg(required_unless_present = "all")]
    id: Option<String>,
    /// All that are there now.
    #[arg(long, conflicts_with = "id")]
    all: bool,
}

impl Dlq {
    /// Does it.
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<Box<dyn View>> {
        let forward = cluster.forward_to_broker().await?;
        match self {
            Self::Ls => list(cluster, &forward).await,
            Self::Show { service, id } => show(cluster, &forward, &service, id.as_deref()).await,
            Self::Replay(which) => replay(cluster, &forward, &which).await,
        }
    }
}

async fn list(cluster: &Cluster, forward: &Forward) -> anyhow::Result<Box<dyn View>> {
    let queues = Cluster::consumers().map(|service| async {
        let letters = open(cluster, forward, service.name).await?;
        let messages = letters.count().await?;
        let waiting = if messages.unwrap_or_default() > 0 { letters.look(MOST_AGED).await? } else { Vec::new() };
        letters.close().await;
        let oldest = waiting.iter().filter_map(|letter| letter.occurred_at).min();
        Ok::<_, anyhow::Error>(Queue { service: service.name, messages, oldest })
    });
    Ok(Box::new(Queues(try_join_all(queues).await?)))
}

async fn show(cluster: &Cluster, forward: &Forward, service: &str, id: Option<&str>) -> anyhow::Result<Box<dyn View>> {
    let letters = open(cluster, forward, service).await?;
    let mut found = if letters.count().await?.is_some() { letters.look(MOST_SHOWN).await? } else { Vec::new() };
    letters.close().await;
    let Some(id) = id else { return Ok(Box::new(Letters(found))) };
    found.retain(|letter| letter.id == id);
    // The same event can die twice; its copies differ in how they died.
    let letter =
        found.pop().ok_or_else(|| anyhow!("{service} has no dead letter {id} among the first {MOST_SHOWN}"))?;
    Ok(Box::new(Letter(letter)))
}

async fn replay(cluster: &Cluster, forward: &Forward, which: &Replay) -> anyhow::Result<Box<dyn View>> {
    let service = &which.service;
    let letters = open(cluster, forward, service).await?;
    let replayed = letters.replay(which.id.as_deref().map_or(Which::All, Which::Id)).await;
    letters.close().await;
    let ids = replayed.with_context(|| format!("the dead letters of {service}"))?;
    match &which.id {
        Some(id) if ids.is_empty() => bail!("{service} has no dead letter {id}"),
        _ => Ok(Box::new(Replayed { service: service.clone(), ids })),
    }
}

async fn open(cluster: &Cluster, forward: &Forward, service: &str) -> anyhow::Result<DeadLetters> {
    if !Cluster::consumers().any(|consumer| consumer.name == service) {
        let names: Vec<&str> = Cluster::consumers().map(|consumer| consumer.name).collect();
        bail!("{service} consumes no events; those that do: {}", names.join(", "));
    }
    let url = cluster.broker_url(service).await?;
    DeadLetters::open(&url, Some(forward.address), service).await.with_context(|| format!("RabbitMQ, as {service}"))
}

#[derive(Serialize)]
struct Queue {
    service: &'static str,
    /// `None` before the service ran for the first time.
    messages: Option<u32>,
    oldest: Option<Timestamp>,
}

struct Queues(Vec<Queue>);

impl View for Queues {
    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(&self.0)
    }

    fn text(&self, now: Timestamp) -> String {
        let mut table = Table::new(&["SERVICE", "MESSAGES", "OLDEST"]);
        for queue in &self.0 {
            let (messages, style) = match queue.messages {
                None => ("no queue yet".to_owned(), PLAIN),
                Some(0) => ("0".to_owned(), GOOD),
                Some(messages) => (messages.to_string(), BAD),
            };
            let oldest = queue.oldest.map_or_else(|| "-".to_owned(), |oldest| age(oldest, now));
            table.row([(queue.service.to_owned(), TITLE), (messages, style), (oldest, PLAIN)]);
        }
        table.text()
    }
}

struct Letters(Vec<DeadLetter>);

impl View for Letters {
    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(&self.0)
    }

    fn text(&self, now: Timestamp) -> String {
        if self.0.is_empty() {
            return "No dead letters.\n".to_owned();
        }
        let mut table = Table::new(&["ID", "TYPE", "AGE", "ATTEMPTS", "REPLAYS", "REASON"]);
        for letter in &self.0 {
            table.row([
                (letter.id.clone(), TITLE),
                (letter.kind.clone().unwrap_or_else(|| "-".to_owned()), PLAIN),
                (letter.occurred_at.map_or_else(|| "-".to_owned(), |then| age(then, now)), PLAIN),
                (letter.attempts.to_string(), PLAIN),
                (letter.replays.to_string(), PLAIN),
                (letter.reason.clone(), BAD),
            ]);
        }
        table.text()
    }
}

struct Letter(DeadLetter);

impl View for Letter {
    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(&self.0)
    }

    fn text(&self, now: Timestamp) -> String {
        let letter = &self.0;
        let happened = letter.occurred_at.map(|then| format!("{then} ({} ago)", age(then, now)));
        let mut table = Table::default();
        for (title, value) in [
            ("id", Some(letter.id.clone())),
            ("type", letter.kind.clone()),
            ("happened", happened),
            ("attempts", Some(letter.attempts.to_string())),
            ("replays", Some(letter.replays.to_string())),
            ("trace", letter.trace_id.clone()),
        ] {
            table.row([(title.to_owned(), TITLE), (value.unwrap_or_else(|| "-".to_owned()), PLAIN)]);
        }
        table.row([("reason".to_owned(), TITLE), (letter.reason.clone(), BAD)]);
        let payload = match &letter.payload {
            Value::String(text) => text.clone(),
            json => format!("{json:#}"),
        };
        format!("{}\n{payload}\n", table.text())
    }
}

#[derive(Serialize)]
struct Replayed {
    service: String,
    #[serde(rename = "replayed")]
    ids: Vec<String>,
}

impl View for Replayed {
    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn text(&self, _: Timestamp) -> String {
        let lines = self.ids.iter().map(|id| format!("{id}   {}\n", styled("sent back", GOOD)));
        lines.chain([format!("{} back to {}\n", self.ids.len(), self.service)]).collect()
    }
}
