//! SQL statements as spans. sqlx has none, but tells of each statement when it has ended; that becomes a span of the request
//! that the statement was for. Values are never in it: sqlx tells the text, in which they are `$1`.

use std::{
    fmt::Debug,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanKind, TraceContextExt as _, Tracer},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer;

const TARGET: &str = "sqlx::query";

/// Makes the spans.
pub(crate) struct Statements<T>(pub T);

/// Whether something is about a statement, and the statement for something that is traced: only then sqlx writes it down.
pub(crate) fn is_traced(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TARGET && Context::current().span().span_context().is_sampled()
}

impl<S, T> layer::Layer<S> for Statements<T>
where
    S: Subscriber,
    T: Tracer + Send + Sync + 'static,
{
    /// Names and attributes follow OpenTelemetry's semantic conventions for database clients (1.38).
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let mut told = Told::default();
        event.record(&mut told);
        let summary = summary(told.text());
        let end = SystemTime::now();
        let attributes = [
            KeyValue::new("db.system.name", "postgresql"),
            KeyValue::new("db.query.summary", summary.clone()),
            KeyValue::new("db.query.text", told.text().to_owned()),
            KeyValue::new("db.response.returned_rows", told.rows),
        ];
        let mut span = self
            .0
            .span_builder(summary)
            .with_kind(SpanKind::Client)
            .with_start_time(end - told.took)
            .with_attributes(attributes)
            .start_with_context(&self.0, &Context::current());
        span.end_with_timestamp(end);
    }
}

/// What sqlx tells of a statement.
#[derive(Default)]
struct Told {
    start_of_text: String,
    whole_text: String,
    rows: i64,
    took: Duration,
}

impl Told {
    /// The whole is left out where it is no longer than its start.
    fn text(&self) -> &str {
        let whole = self.whole_text.trim();
        if whole.is_empty() { self.start_of_text.trim() } else { whole }
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.start_of_text),
            "db.statement" => value.clone_into(&mut self.whole_text),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "rows_returned" {
            self.rows = value.try_into().unwrap_or(i64::MAX);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.took = Duration::try_from_secs_f64(value).unwrap_or_default();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// What a statement does, and to which table: one of few names.
fn summary(text: &str) -> String {
    let words = || text.split(|c: char| c.is_whitespace() || c == '(').filter(|word| !word.is_empty());
    let is = |word: &str, names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
    let operation = words().find(|word| is(word, &["select", "insert", "update", "delete"]));
    let Some(operation) = operation else { return words().next().unwrap_or("statement").to_uppercase() };
    let mut rest = words().skip_while(|word| !is(word, &["from", "into", "update"])).skip(1);
    let table = rest.find(|word| !is(word, &["only", "select"])).unwrap_or_default();
    let table: String = table.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    format!("{} {table}", operation.to_uppercase()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_named_by_what_it_does_and_to_which_table() {
        for (text, name) in [
            ("SELECT id, name FROM products p WHERE id = $1", "SELECT products"),
            ("INSERT INTO outbox(id) VALUES ($1)", "INSERT outbox"),
            ("\n UPDATE payments SET state = $1", "UPDATE payments"),
            ("WITH due AS (SELECT id FROM outbox) DELETE FROM outbox", "SELECT outbox"),
            ("BEGIN", "BEGIN"),
            ("SELECT 1", "SELECT"),
            ("", "STATEMENT"),
        ] {
            assert_eq!(summary(text), name, "{text}");
        }
    }
}
