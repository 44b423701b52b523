//! `dlq`: messages that a service gave up on.

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shop_messaging::dead_letters::{DeadLetter, DeadLetters, Which};

use crate::{
    broker::Broker,
    cluster::Cluster,
    output::{BAD, GOOD, Output, PLAIN, Shown, TITLE, Table, View, age, styled},
};

/// Looking takes messages for a moment; nobody reads more than this.
const MOST_SHOWN: usize = 500;
/// Enough to say how long the oldest has been waiting.
const MOST_AGED: usize = 50;

const EXAMPLES: &str = "Examples:
  kubectl shopkeeper dlq ls
  kubectl shopkeeper dlq show product -o json
  kubectl shopkeeper dlq replay product 01890a5d-ac96-774b-bcce-b302099a8057";

/// Whose dead letters, and what to do with them.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Dlq {
    /// Name of the Shop. Default: the only one in the namespace.
    #[arg(long, global = true)]
    shop: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
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
struct Replay {
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
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<Shown> {
        let broker = Broker::of(cluster, &cluster.shop(self.shop.as_deref()).await?).await?;
        Ok(match self.action {
            Action::Ls => self.output.of(list(&broker).await?),
            Action::Show { service, id: None } => self.output.of(look(&broker, &service).await?),
            Action::Show { service, id: Some(id) } => self.output.of(show(&broker, &service, &id).await?),
            Action::Replay(which) => self.output.of(replay(&broker, &which).await?),
        })
    }
}

async fn list(broker: &Broker<'_>) -> anyhow::Result<Queues> {
    let queues = Cluster::consumers().map(|service| async {
        let letters = open(broker, service.name).await?;
        let messages = letters.count().await?;
        let waiting = if messages.unwrap_or_default() > 0 { letters.look(MOST_AGED).await? } else { Vec::new() };
        letters.close().await;
        let oldest = waiting.iter().filter_map(|letter| letter.occurred_at).min();
        Ok::<_, anyhow::Error>(Queue { service: service.name, messages, oldest })
    });
    Ok(Queues(try_join_all(queues).await?))
}

async fn look(broker: &Broker<'_>, service: &str) -> anyhow::Result<Letters> {
    let letters = open(broker, service).await?;
    let there = letters.count().await?;
    let shown = if there.is_some() { letters.look(MOST_SHOWN).await? } else { Vec::new() };
    letters.close().await;
    Ok(Letters { shown, there: there.unwrap_or_default() })
}

async fn show(broker: &Broker<'_>, service: &str, id: &str) -> anyhow::Result<Letter> {
    // The same event can die twice; its copies differ in how they died.
    let found = look(broker, service).await?.shown.into_iter().rfind(|letter| letter.id == id);
    found.map(Letter).ok_or_else(|| anyhow!("{service} has no dead letter {id} among the first {MOST_SHOWN}"))
}

async fn replay(broker: &Broker<'_>, which: &Replay) -> anyhow::Result<Replayed> {
    let service = &which.service;
    let letters = open(broker, service).await?;
    let replayed = letters.replay(which.id.as_deref().map_or(Which::All, Which::Id)).await;
    letters.close().await;
    let ids = replayed.with_context(|| format!("the dead letters of {service}"))?;
    match &which.id {
        Some(id) if ids.is_empty() => bail!("{service} has no dead letter {id}"),
        _ => Ok(Replayed { service: service.clone(), ids }),
    }
}

async fn open(broker: &Broker<'_>, service: &str) -> anyhow::Result<DeadLetters> {
    if !Cluster::consumers().any(|consumer| consumer.name == service) {
        let names: Vec<&str> = Cluster::consumers().map(|consumer| consumer.name).collect();
        bail!("{service} consumes no events; those that do: {}", names.join(", "));
    }
    broker.dead_letters(service).await
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

struct Letters {
    shown: Vec<DeadLetter>,
    /// How many there are.
    there: u32,
}

impl View for Letters {
    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(&self.shown)
    }

    fn left_out(&self) -> Option<String> {
        let more = usize::try_from(self.there).unwrap_or_default().saturating_sub(self.shown.len());
        (more > 0).then(|| format!("... and {more} more"))
    }

    fn text(&self, now: Timestamp) -> String {
        if self.shown.is_empty() {
            return "No dead letters.\n".to_owned();
        }
        let mut table = Table::new(&["ID", "TYPE", "AGE", "ATTEMPTS", "REPLAYS", "REASON"]);
        for letter in &self.shown {
            table.row([
                (letter.id.clone(), TITLE),
                (letter.kind.clone().unwrap_or_else(|| "-".to_owned()), PLAIN),
                (letter.occurred_at.map_or_else(|| "-".to_owned(), |then| age(then, now)), PLAIN),
                (letter.attempts.to_string(), PLAIN),
                (letter.replays.to_string(), PLAIN),
                (letter.reason.clone(), BAD),
            ]);
        }
        table.text() + &self.left_out().map(|rest| rest + "\n").unwrap_or_default()
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
            Value::String(text) => harmless(text),
            json => format!("{json:#}"),
        };
        format!("{}\n{payload}\n", table.text())
    }
}

/// A text that nobody expected, without what a terminal would take for orders.
fn harmless(text: &str) -> String {
    text.replace(|character: char| character.is_control() && !"\n\t".contains(character), " ")
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn letter(payload: Value) -> DeadLetter {
        DeadLetter {
            id: "01890a5d".to_owned(),
            kind: Some("order.paid".to_owned()),
            occurred_at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            attempts: 10,
            reason: "no such\norder".to_owned(),
            replays: 1,
            trace_id: None,
            payload,
        }
    }

    fn plain(view: &impl View) -> String {
        let now = "2026-01-01T00:10:00Z".parse().unwrap();
        anstream::adapter::strip_str(&view.text(now)).to_string()
    }

    #[test]
    fn dead_letters_are_a_line_each_and_the_rest_is_counted() {
        let letters = Letters { shown: vec![letter(json!({}))], there: 3 };
        let expected = "\
ID         TYPE         AGE   ATTEMPTS   REPLAYS   REASON
01890a5d   order.paid   10m   10         1         no such order
... and 2 more
";
        assert_eq!(plain(&letters), expected);
        assert_eq!(plain(&Letters { shown: Vec::new(), there: 0 }), "No dead letters.\n");
    }

    #[test]
    fn what_no_service_wrote_gives_the_terminal_no_orders() {
        let text = plain(&Letter(letter(json!("\u{1b}[2Jboo\n"))));
        assert!(text.ends_with("\n [2Jboo\n\n"), "{text:?}");
    }

    #[test]
    fn programs_find_the_same_names_every_time() {
        let expected = json!({
            "id": "01890a5d", "type": "order.paid", "occurredAt": "2026-01-01T00:00:00Z", "attempts": 10,
            "reason": "no such\norder", "replays": 1, "traceId": null, "payload": {"orderId": 42},
        });
        let found = letter(json!({"orderId": 42}));
        assert_eq!(Letter(found.clone()).value().unwrap(), expected);
        let first = Letters { shown: vec![found], there: 3 };
        assert_eq!(first.value().unwrap(), json!([expected]));
        assert_eq!(first.left_out().as_deref(), Some("... and 2 more"));
        assert_eq!(Letters { there: 1, ..first }.left_out(), None);
        let queues = Queues(vec![Queue { service: "order", messages: Some(1), oldest: None }]);
        assert_eq!(queues.value().unwrap(), json!([{"service": "order", "messages": 1, "oldest": null}]));
        let replayed = Replayed { service: "order".to_owned(), ids: vec!["01890a5d".to_owned()] };
        assert_eq!(replayed.value().unwrap(), json!({"service": "order", "replayed": ["01890a5d"]}));
    }
}
