//! What pods measure of the calls and requests that they answer, from the text that Prometheus reads.

use std::collections::BTreeMap;

use jiff::SignedDuration;

/// Answers to gRPC calls, and to HTTP requests.
const HISTOGRAMS: [&str; 2] = ["rpc_server_call_duration_seconds", "http_server_request_duration_seconds"];
/// Status codes of gRPC that are the answering side's fault.
const FAILURES: [&str; 7] =
    ["UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

/// What pods have measured since they started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Calls and requests that they answered.
    pub answered: u64,
    /// Those among them that failed, and not for what the caller asked.
    pub failed: u64,
    /// How many took no longer than so many microseconds.
    within: BTreeMap<u64, u64>,
}

/// A line of the text.
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, &'a str)>,
    value: u64,
}

impl Measured {
    /// Adds what one more pod says.
    pub fn read(&mut self, text: &str) {
        for sample in text.lines().filter_map(Sample::read) {
            let Some(part) = HISTOGRAMS.iter().find_map(|histogram| sample.name.strip_prefix(histogram)) else {
                continue;
            };
            match part {
                "_count" => {
                    self.answered += sample.value;
                    self.failed += if sample.is_failure() { sample.value } else { 0 };
                }
                "_bucket" => {
                    if let Some(bound) = sample.label("le").and_then(micros) {
                        *self.within.entry(bound).or_default() += sample.value;
                    }
                }
                _ => {}
            }
        }
    }

    /// So many of a hundred succeeded, to two decimals; nothing while nothing was answered.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        let hundredths = (u128::from(self.answered - self.failed.min(self.answered)) * 10_000)
            .checked_div(u128::from(self.answered))?;
        u32::try_from(hundredths).ok().map(|hundredths| f64::from(hundredths) / 100.0)
    }

    /// Within this time 99 of a hundred were answered, as far as the buckets tell: between two bounds they are taken to lie
    /// evenly, and what is beyond the last one is taken for that one.
    #[must_use]
    pub fn latency_p99(&self) -> Option<SignedDuration> {
        let rank = self.within.values().max().filter(|all| **all > 0)?.saturating_mul(99).div_ceil(100);
        let (mut low, mut below) = (0, 0);
        for (&bound, &count) in &self.within {
            if bound == u64::MAX {
                break;
            }
            if count >= rank {
                let part = u128::from(bound - low) * u128::from(rank - below) / u128::from((count - below).max(1));
                return Some(length(low + u64::try_from(part).unwrap_or_default()));
            }
            (low, below) = (bound, count);
        }
        Some(length(low))
    }
}

fn length(micros: u64) -> SignedDuration {
    SignedDuration::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

fn micros(bound: &str) -> Option<u64> {
    if bound == "+Inf" {
        return Some(u64::MAX);
    }
    let length = SignedDuration::try_from_secs_f64(bound.parse().ok()?).ok()?;
    u64::try_from(length.as_micros()).ok()
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (name, mut rest) = line.split_once('{')?;
        let mut labels = Vec::new();
        while !rest.starts_with('}') {
            let (label, value) = rest.trim_start_matches(',').split_once("=\"")?;
            let end = end_of_value(value)?;
            labels.push((label, &value[..end]));
            rest = &value[end + 1..];
        }
        // An exemplar may follow.
        let value = rest[1..].split_whitespace().next()?.parse().ok()?;
        Some(Self { name, labels, value })
    }

    fn label(&self, name: &str) -> Option<&'a str> {
        self.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| *value)
    }

    fn is_failure(&self) -> bool {
        let of_http = self.label("status").is_some_and(|status| status.starts_with('5'));
        of_http || self.label("code").is_some_and(|code| FAILURES.contains(&code))
    }
}

/// Where a label's value ends: at the first quote that has no backslash before it.
fn end_of_value(value: &str) -> Option<usize> {
    let mut escaped = false;
    value.char_indices().find_map(|(at, letter)| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = r#"# TYPE rpc_server_call_duration_seconds histogram
rpc_server_call_duration_seconds_sum{caller="cart",service="order",method="ecommerce.orders.OrderService/CreateOrder",code="OK"} 3.25
rpc_server_call_duration_seconds_count{caller="cart",service="order",method="ecommerce.orders.OrderService/CreateOrder",code="OK"} 90
rpc_server_call_duration_seconds_bucket{le="0.1",caller="cart",service="order",method="m",code="OK"} 80 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.07
rpc_server_call_duration_seconds_bucket{le="0.25",caller="cart",service="order",method="m",code="OK"} 90
rpc_server_call_duration_seconds_bucket{le="+Inf",caller="cart",service="order",method="m",code="OK"} 90
rpc_server_call_duration_seconds_count{caller="cart",service="order",method="m",code="INTERNAL"} 5
rpc_server_call_duration_seconds_count{caller="cart",service="order",method="m",code="NOT_FOUND"} 1
http_server_request_duration_seconds_count{method="GET",route="/api/v1/orders/{id}",status="200"} 2
http_server_request_duration_seconds_count{method="GET",route="a \"quoted\" one, with } in it",status="503"} 2
requests_in_flight 4
# EOF
"#;

    fn measured(pods: &[&str]) -> Measured {
        let mut measured = Measured::default();
        for text in pods {
            measured.read(text);
        }
        measured
    }

    #[test]
    fn calls_and_requests_of_all_pods_count_and_what_the_caller_did_wrong_is_no_failure() {
        let one = measured(&[POD]);
        assert_eq!((one.answered, one.failed, one.success_rate()), (100, 7, Some(93.0)));
        let two = measured(&[POD, POD]);
        assert_eq!((two.answered, two.failed, two.success_rate()), (200, 14, Some(93.0)));
        assert_eq!(measured(&["", "no metrics at all"]), Measured::default());
        assert_eq!(Measured::default().success_rate(), None);
    }

    #[test]
    fn the_99th_percentile_lies_between_two_bounds_and_never_beyond_the_last_one() {
        let buckets = |counts: [u64; 3]| {
            let lines = ["0.1", "0.25", "+Inf"].iter().zip(counts);
            let text = lines.map(|(le, count)| format!("{}_bucket{{le=\"{le}\"}} {count}\n", HISTOGRAMS[0]));
            measured(&[&text.collect::<String>()]).latency_p99().map(|latency| latency.as_millis())
        };
        assert_eq!(buckets([80, 100, 100]), Some(242));
        assert_eq!(buckets([100, 100, 100]), Some(99));
        assert_eq!(buckets([0, 0, 100]), Some(250));
        assert_eq!(buckets([0, 0, 0]), None);
        assert_eq!(Measured::default().latency_p99(), None);
    }
}
