//! How a mock provider misbehaves: the rules of the Shop's `outcomes`, and the count of calls that some of them need.
//!
//! The first rule that fits a call decides what comes of it; a call that no rule fits succeeds.

mod calls;

use serde::Deserialize;
use shop_db::Pool;
use uuid::Uuid;

pub use calls::Call;

/// The rules of one provider, in the Shop's order. As a setting they are the JSON of the Shop's `outcomes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Outcomes(Vec<Rule>);

/// What comes of the calls that fit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Which calls fit: all of this must hold.
    #[serde(default)]
    pub when: When,
    /// What comes of them.
    pub then: Then,
    /// For how many calls of one order; without it, for all.
    pub times: Option<i32>,
}

/// Conditions; what is `None` holds for every call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct When {
    /// The amount is larger, in minor units.
    pub amount_above: Option<i64>,
    /// The parcel goes there.
    pub city: Option<String>,
    /// The order is the second, fourth, sixth the provider hears of, for 2.
    pub every_nth: Option<i64>,
}

/// A way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Then {
    /// The provider refuses.
    Decline,
    /// The carrier takes the parcel, cannot hand it over, and brings it back.
    Undeliverable,
    /// The provider does it, and its answer is lost.
    TimeOut,
    /// The provider does nothing, and says that something is wrong with it.
    Fail,
}

/// What a provider is asked for, as far as rules look at it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// Minor units.
    pub amount_minor: i64,
    /// Where a parcel goes.
    pub city: &'a str,
}

/// A text that is no list of rules.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` are no outcomes ({source}): write for instance [{{\"when\": {{\"everyNth\": 10}}, \"then\": \"Decline\"}}]"
)]
pub struct NotOutcomes {
    text: String,
    source: serde_json::Error,
}

impl TryFrom<String> for Outcomes {
    type Error = NotOutcomes;

    fn try_from(text: String) -> Result<Self, NotOutcomes> {
        serde_json::from_str(&text).map(Self).map_err(|source| NotOutcomes { text, source })
    }
}

impl From<Vec<Rule>> for Outcomes {
    fn from(rules: Vec<Rule>) -> Self {
        Self(rules)
    }
}

impl Outcomes {
    /// Counts a call for `key` and says how the provider misbehaves; `None`: not at all.
    pub async fn of(&self, books: &Pool, key: Uuid, subject: Subject<'_>) -> sqlx::Result<Option<Then>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        Ok(self.decide(subject, calls::count(books, key).await?))
    }

    /// A rule that has had its calls makes room for those after it: what fails twice may then be declined.
    fn decide(&self, subject: Subject<'_>, call: Call) -> Option<Then> {
        let mut attempt = call.attempt;
        for rule in self.0.iter().filter(|rule| rule.when.holds(subject, call)) {
            match rule.times {
                Some(times) if attempt > times => attempt -= times,
                Some(_) | None => return Some(rule.then),
            }
        }
        None
    }
}

impl When {
    fn holds(&self, subject: Subject<'_>, call: Call) -> bool {
        self.amount_above.is_none_or(|limit| subject.amount_minor > limit)
            && self.city.as_ref().is_none_or(|city| city == subject.city)
            && self.every_nth.is_none_or(|n| n > 0 && call.nth % n == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(json: &str) -> Outcomes {
        Outcomes::try_from(json.to_owned()).unwrap()
    }

    fn of_calls(rules: &Outcomes, attempts: i32) -> Vec<Option<Then>> {
        (1..=attempts).map(|attempt| rules.decide(Subject::default(), Call { nth: 1, attempt })).collect()
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_a_call_that_fits_none_succeeds() {
        let rules = outcomes(
            r#"[{"when": {"amountAbove": 5000}, "then": "Decline"}, {"when": {"city": "Atlantis"}, "then": "Undeliverable"}]"#,
        );
        let of = |amount_minor, city| rules.decide(Subject { amount_minor, city }, Call { nth: 1, attempt: 1 });
        assert_eq!(of(5000, "London"), None);
        assert_eq!(of(5001, "Atlantis"), Some(Then::Decline));
        assert_eq!(of(1, "Atlantis"), Some(Then::Undeliverable));
    }

    #[test]
    fn every_nth_order_is_hit_on_each_of_its_calls() {
        let rules = outcomes(r#"[{"when": {"everyNth": 3}, "then": "TimeOut"}]"#);
        let hit = |nth| (1..=2).all(|attempt| rules.decide(Subject::default(), Call { nth, attempt }).is_some());
        assert_eq!((1..=6).filter(|nth| hit(*nth)).collect::<Vec<_>>(), [3, 6]);
    }

    #[test]
    fn a_provider_that_fails_twice_and_times_out_once_recovers_with_the_fourth_call() {
        let rules = outcomes(r#"[{"then": "Fail", "times": 2}, {"then": "TimeOut", "times": 1}]"#);
        assert_eq!(of_calls(&rules, 4), [Some(Then::Fail), Some(Then::Fail), Some(Then::TimeOut), None]);
        assert_eq!(of_calls(&outcomes(r#"[{"then": "Fail"}]"#), 3), [Some(Then::Fail); 3]);
    }

    #[test]
    fn rules_that_cannot_be_read_say_what_to_write() {
        for text in ["", "decline", r#"[{"then": "Explode"}]"#, r#"[{"when": {"weather": "rain"}, "then": "Fail"}]"#] {
            let error = Outcomes::try_from(text.to_owned()).unwrap_err().to_string();
            assert!(error.contains(r#"write for instance [{"when""#), "{error}");
        }
    }

    #[test]
    fn what_the_operator_writes_into_a_deployment_is_read() {
        for golden in [
            include_str!("../../../operator/tests/golden/walnut/deployment-walnut-payment.yaml"),
            include_str!("../../../operator/tests/golden/walnut/deployment-walnut-delivery.yaml"),
        ] {
            let (_, after) = golden.split_once("SHOP_PROVIDER__OUTCOMES\n").unwrap();
            let quoted = after.lines().next().unwrap().trim().strip_prefix("value: ").unwrap();
            // A text in double quotes is the same in YAML and in JSON here.
            assert_ne!(outcomes(&serde_json::from_str::<String>(quoted).unwrap()), Outcomes::default());
        }
    }
}
