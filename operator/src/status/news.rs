//! Pure: what people should hear of, when a status differs from the one before.

use super::certificates;
use crate::crd::{CanaryPhase, CanaryStatus, Phase, ServiceStatus, ShopStatus};
use crate::identities::MISSING;

/// Something that happened to a Shop, once.
#[derive(Debug, PartialEq)]
pub struct News {
    /// Whether somebody must do something.
    pub warning: bool,
    /// One word, as in conditions.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// What happened, what the whole Shop is about first. Everything else is progress, which conditions tell.
#[must_use]
pub fn news(previous: Option<&ShopStatus>, status: &ShopStatus) -> Vec<News> {
    let turn = turn(previous, status);
    let is_told = |worry: &News| turn.as_ref().is_some_and(|turn| turn.reason == worry.reason);
    let worry = worry(previous, status).filter(|worry| !is_told(worry));
    turn.into_iter().chain(rotation(previous, status)).chain(worry).collect()
}

/// Another phase, another reason for being blocked, or that it does not go away by itself.
fn turn(previous: Option<&ShopStatus>, status: &ShopStatus) -> Option<News> {
    let phase = status.phase?;
    let (reason, message) = why(status)?;
    let same_phase = previous.and_then(|previous| previous.phase) == Some(phase);
    let same_reason = previous.and_then(why).is_some_and(|(before, _)| before == reason);
    // What is in the way for a moment wants nobody's help.
    let is_lasting = |status: &ShopStatus| status.phase == Some(Phase::Blocked) && status.holds("Stalled");
    let warning = is_lasting(status);
    let is_known = same_reason && (!warning || previous.is_some_and(is_lasting));
    if same_phase && (is_known || phase != Phase::Blocked) {
        return None;
    }
    let reason = if phase == Phase::Blocked { reason.to_owned() } else { format!("{phase:?}") };
    Some(News { warning, reason, message: message.to_owned() })
}

/// Each stage of a rotation of credentials.
fn rotation(previous: Option<&ShopStatus>, status: &ShopStatus) -> Option<News> {
    let (reason, message) = turned(previous, status, "CredentialsSettled", "Settled")?;
    Some(News { warning: false, reason: format!("Credentials{reason}"), message })
}

/// A certificate that wants somebody's help, also while there is time.
fn worry(previous: Option<&ShopStatus>, status: &ShopStatus) -> Option<News> {
    let (reason, message) = turned(previous, status, "CertificatesValid", certificates::ISSUED)?;
    // Somebody may be about to make the one that is missing; if nobody is, the Shop becomes blocked.
    (reason != certificates::ISSUED).then(|| News { warning: reason != MISSING, reason, message })
}

/// Reason and message of a condition that had another reason before. One that was not told yet had the `usual` one.
fn turned(previous: Option<&ShopStatus>, status: &ShopStatus, type_: &str, usual: &str) -> Option<(String, String)> {
    let told = |status: &ShopStatus| {
        let found = status.conditions.iter().find(|condition| condition.type_ == type_);
        found.map(|found| (found.reason.clone(), found.message.clone()))
    };
    let (reason, message) = told(status)?;
    let before = previous.and_then(told).map_or_else(|| usual.to_owned(), |(before, _)| before);
    (reason != before).then_some((reason, message))
}

/// Each canary that came further, or back.
#[must_use]
pub fn canary_news(previous: Option<&ShopStatus>, status: &ShopStatus) -> Vec<News> {
    let before = |name: &str| {
        let mut services = previous.iter().flat_map(|previous| &previous.services);
        services.find(|service| service.name == name)?.canary.as_ref()
    };
    let turned = |service: &ServiceStatus| {
        let CanaryStatus { phase, attempt, version, message, .. } = service.canary.as_ref()?;
        let same = before(&service.name).is_some_and(|before| before.phase == *phase && before.attempt == *attempt);
        (!same).then(|| News {
            warning: *phase == CanaryPhase::RolledBack,
            reason: format!("Canary{phase:?}"),
            message: format!("{} {version}: {message}", service.name),
        })
    };
    status.services.iter().filter_map(turned).collect()
}

/// The condition that says why a Shop is in its phase.
fn why(status: &ShopStatus) -> Option<(&str, &str)> {
    let telling = match status.phase {
        Some(Phase::Paused) => "Paused",
        Some(Phase::Hibernated) => "Hibernated",
        _ => "Ready",
    };
    let found = status.conditions.iter().find(|condition| condition.type_ == telling)?;
    Some((&found.reason, &found.message))
}
