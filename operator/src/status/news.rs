//! Pure: what people should hear of, when a status differs from the one before.

use super::certificates;
use crate::crd::{CanaryPhase, CanaryStatus, Phase, ServiceStatus, ShopStatus};

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

/// A new phase is news, and so is another reason for being blocked; everything else is progress, which conditions tell.
#[must_use]
pub fn news(previous: Option<&ShopStatus>, status: &ShopStatus) -> Option<News> {
    let phase = status.phase?;
    let (reason, message) = why(status)?;
    let same_phase = previous.and_then(|previous| previous.phase) == Some(phase);
    let same_reason = previous.and_then(why).is_some_and(|(before, _)| before == reason);
    if same_phase && (same_reason || phase != Phase::Blocked) {
        return previous.and_then(|previous| rotation(previous, status).or_else(|| worry(previous, status)));
    }
    let reason = if phase == Phase::Blocked { reason.to_owned() } else { format!("{phase:?}") };
    Some(News { warning: phase == Phase::Blocked, reason, message: message.to_owned() })
}

/// A rotation of credentials goes through its stages while the Shop stays ready.
fn rotation(previous: &ShopStatus, status: &ShopStatus) -> Option<News> {
    let (reason, message) = turned(previous, status, "CredentialsSettled")?;
    Some(News { warning: false, reason: format!("Credentials{reason}"), message })
}

/// So it does when a certificate wants somebody's help and there is time.
fn worry(previous: &ShopStatus, status: &ShopStatus) -> Option<News> {
    let (reason, message) = turned(previous, status, "CertificatesValid")?;
    (reason != certificates::ISSUED).then_some(News { warning: true, reason, message })
}

/// Reason and message of a condition that had another reason before.
fn turned(previous: &ShopStatus, status: &ShopStatus, type_: &str) -> Option<(String, String)> {
    let told = |status: &ShopStatus| {
        let found = status.conditions.iter().find(|condition| condition.type_ == type_);
        found.map(|found| (found.reason.clone(), found.message.clone()))
    };
    let (reason, message) = told(status)?;
    told(previous).is_some_and(|(before, _)| before != reason).then_some((reason, message))
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
