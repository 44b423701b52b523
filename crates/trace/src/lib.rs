//! A trace as the trace store (Jaeger's JSON) tells it, and as the tree that people read.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Port on which the trace store answers questions.
pub const QUERY_PORT: u16 = 16686;

/// All spans of one trace.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Trace {
    /// Its id, 32 hexadecimal digits.
    pub id: String,
    /// In the order they started.
    pub spans: Vec<Span>,
}

/// One step of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Its id.
    pub id: String,
    /// What it belongs to.
    pub cause: Option<Cause>,
    /// Whose it is.
    pub service: String,
    /// What was done.
    pub operation: String,
    /// `server`, `client`, `producer`, `consumer` or `internal`.
    pub kind: String,
    /// Microseconds since 1970.
    pub started: u64,
    /// Microseconds.
    pub took: u64,
    /// Names of what it carries.
    pub attributes: BTreeSet<String>,
}

/// Where a span comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The id of the other span.
    pub span: String,
    /// Whether it is a link (`FOLLOWS_FROM`) and not the parent (`CHILD_OF`).
    pub link: bool,
}

/// Reads the answer of `/api/traces/{id}`, which is one trace, or of a search, which is any number of them.
pub fn parse(text: &str) -> serde_json::Result<Vec<Trace>> {
    let answer: wire::Answer = serde_json::from_str(text)?;
    Ok(answer.data.into_iter().map(wire::Trace::into_trace).collect())
}

impl Trace {
    /// The span with this id.
    #[must_use]
    pub fn span(&self, id: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.id == id)
    }

    /// Everything that led to `span`, nearest first.
    pub fn causes<'a>(&'a self, span: &'a Span) -> impl Iterator<Item = &'a Span> {
        let cause_of = |span: &Span| span.cause.as_ref().and_then(|cause| self.span(&cause.span));
        std::iter::successors(cause_of(span), move |span| cause_of(span))
    }

    /// Whether every span's cause is there too, that is, nothing is still on its way but the last steps.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.spans.iter().filter_map(|span| span.cause.as_ref()).all(|cause| self.span(&cause.span).is_some())
    }

    /// One line a span: start, duration, and below its cause the service and what it did.
    #[must_use]
    pub fn tree(&self) -> String {
        let begin = self.spans.first().map_or(0, |span| span.started);
        let mut text = format!("{:>10} {:>12}\n", "start", "duration");
        self.branch(None, 0, begin, &mut text);
        text
    }

    fn branch(&self, cause: Option<&Span>, depth: usize, begin: u64, text: &mut String) {
        let here = |span: &&Span| span.cause.as_ref().and_then(|cause| self.span(&cause.span)) == cause;
        for span in self.spans.iter().filter(here) {
            text.push_str(&span.line(depth, begin));
            self.branch(Some(span), depth + 1, begin, text);
        }
    }
}

impl Span {
    fn line(&self, depth: usize, begin: u64) -> String {
        let follows = if self.cause.as_ref().is_some_and(|cause| cause.link) { " (follows)" } else { "" };
        let start = Duration::from_micros(self.started.saturating_sub(begin)).as_secs_f64();
        let took = Duration::from_micros(self.took).as_secs_f64() * 1_000.0;
        let Self { service, operation, .. } = self;
        format!("{start:>8.3} s {took:>9.2} ms  {:indent$}{service} {operation}{follows}\n", "", indent = depth * 2)
    }
}

/// Jaeger's own shapes, as far as they matter here.
mod wire {
    use super::{Cause, Deserialize, HashMap, Value};

    #[derive(Deserialize)]
    pub(super) struct Answer {
        #[serde(default)]
        pub data: Vec<Trace>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Trace {
        #[serde(rename = "traceID")]
        id: String,
        spans: Vec<Span>,
        processes: HashMap<String, Process>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Process {
        service_name: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Span {
        #[serde(rename = "spanID")]
        id: String,
        operation_name: String,
        #[serde(default)]
        references: Vec<Reference>,
        start_time: u64,
        duration: u64,
        #[serde(rename = "processID")]
        process: String,
        #[serde(default)]
        tags: Vec<Tag>,
    }

    #[derive(Deserialize)]
    struct Reference {
        #[serde(rename = "refType")]
        kind: String,
        #[serde(rename = "spanID")]
        span: String,
    }

    #[derive(Deserialize)]
    struct Tag {
        key: String,
        value: Value,
    }

    impl Trace {
        pub(super) fn into_trace(self) -> super::Trace {
            let Self { id, spans, processes } = self;
            let spans = spans.into_iter().map(|span| {
                let service = processes.get(&span.process).map(|process| process.service_name.clone());
                let kind = span.tags.iter().find(|tag| tag.key == "span.kind").and_then(|tag| tag.value.as_str());
                // Jaeger leaves the tag out where the kind is the default one.
                let kind = kind.unwrap_or("internal").to_owned();
                super::Span {
                    cause: cause(&span.references),
                    service: service.unwrap_or_default(),
                    kind,
                    id: span.id,
                    operation: span.operation_name,
                    started: span.start_time,
                    took: span.duration,
                    attributes: span.tags.into_iter().map(|tag| tag.key).filter(|key| !is_jaegers(key)).collect(),
                }
            });
            let mut spans: Vec<super::Span> = spans.collect();
            spans.sort_by_key(|span| span.started);
            super::Trace { id, spans }
        }
    }

    /// Whether the trace store made it, from what a span is beside its attributes.
    fn is_jaegers(key: &str) -> bool {
        matches!(key, "span.kind" | "error" | "internal.span.format" | "w3c.tracestate") || key.starts_with("otel.")
    }

    fn cause(references: &[Reference]) -> Option<Cause> {
        let parent = references.iter().find(|reference| reference.kind == "CHILD_OF");
        let link = || references.iter().find(|reference| reference.kind == "FOLLOWS_FROM");
        let chosen = parent.or_else(link)?;
        Some(Cause { span: chosen.span.clone(), link: parent.is_none() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"data":[{"traceID":"t","spans":[
        {"spanID":"c","operationName":"later","references":[{"refType":"CHILD_OF","traceID":"t","spanID":"a"}],
         "startTime":3000,"duration":5,"processID":"p2","tags":[]},
        {"spanID":"a","operationName":"POST /x","references":[],"startTime":1000,"duration":1500,"processID":"p1",
         "tags":[{"key":"span.kind","type":"string","value":"server"},{"key":"n","type":"int64","value":1}]},
        {"spanID":"b","operationName":"sooner","references":[{"refType":"FOLLOWS_FROM","traceID":"t","spanID":"a"}],
         "startTime":2000,"duration":5,"processID":"p2","tags":[]}],
        "processes":{"p1":{"serviceName":"cart","tags":[]},"p2":{"serviceName":"order","tags":[]}}}],"errors":null}"#;

    fn answered() -> Trace {
        parse(ANSWER).unwrap().remove(0)
    }

    #[test]
    fn a_trace_is_shown_as_a_tree_with_children_by_start_time() {
        let trace = answered();
        let tree = trace.tree();
        let lines: Vec<&str> = tree.lines().collect();
        assert_eq!(lines[1], "   0.000 s      1.50 ms  cart POST /x");
        assert_eq!(lines[2], "   0.001 s      0.01 ms    order sooner (follows)");
        assert_eq!(lines[3], "   0.002 s      0.01 ms    order later");
        assert_eq!(trace.spans[0].kind, "server");
    }

    #[test]
    fn a_span_whose_parent_has_not_arrived_is_shown_at_the_top_and_noticed() {
        let mut trace = answered();
        assert!(trace.is_connected());
        trace.spans.remove(0);
        assert!(!trace.is_connected());
        assert_eq!(trace.tree().lines().count(), 3);
    }

    #[test]
    fn the_causes_of_a_span_are_told_nearest_first() {
        let trace = answered();
        let causes: Vec<&str> = trace.causes(&trace.spans[2]).map(|span| span.operation.as_str()).collect();
        assert_eq!(causes, ["POST /x"]);
    }
}
