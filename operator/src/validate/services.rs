//! One service with the settings that the Shop gives it.

use std::collections::BTreeMap;

use super::{Invalid, image_version};
use crate::catalog::Service;
use crate::crd::{Amounts, AnalysisSpec, Resources, Shop};
use crate::names;
use crate::quantity;
use crate::scaling::Replicas;
use crate::settings::Settings;

/// One service with its settings resolved.
#[derive(Clone, Debug)]
pub struct ValidService {
    /// Its row in the catalog.
    pub service: &'static Service,
    /// The full image reference.
    pub image: String,
    /// The version of that image.
    pub version: String,
    /// Number of pods, or who decides it.
    pub replicas: Replicas,
    /// What it logs.
    pub log_level: String,
    /// CPU and memory.
    pub resources: Quantities,
    /// Another version beside this one.
    pub canary: Option<Canary>,
    /// Whether this is the canary.
    pub is_canary: bool,
    /// Whether pods of a canary are there, also of one that is not wanted any more.
    pub has_canary_pods: bool,
}

/// Another version of a service beside the present one.
#[derive(Clone, Debug, PartialEq)]
pub struct Canary {
    /// The full image reference.
    pub image: String,
    /// The version of that image.
    pub version: String,
    /// Its share of calls and requests, in percent.
    pub weight: i32,
    /// Whether it gets its share now.
    pub serving: bool,
    /// What decides whether it takes over.
    pub analysis: Option<AnalysisSpec>,
}

impl Canary {
    /// What goes to it now, in percent.
    #[must_use]
    pub fn share(&self) -> i32 {
        if self.serving { self.weight } else { 0 }
    }
}

impl ValidService {
    /// What its pods are in names and labels.
    #[must_use]
    pub fn component(&self) -> String {
        if self.is_canary { names::canary(self.service.name) } else { self.service.name.to_owned() }
    }

    /// Whether pods are left of a canary that is not wanted any more.
    #[must_use]
    pub fn has_former_canary(&self) -> bool {
        self.canary.is_none() && self.has_canary_pods
    }

    /// The same with another image.
    #[must_use]
    pub fn with_image(&self, image: &str) -> Self {
        Self { version: image_version(image), image: image.to_owned(), ..self.clone() }
    }

    /// Its canary as a service of its own: another image, and as many pods as its share of the calls needs.
    #[must_use]
    pub fn as_canary(&self) -> Option<Self> {
        let canary = self.canary.as_ref()?;
        let share = (self.replicas.least() * canary.weight + 99) / 100;
        Some(Self {
            image: canary.image.clone(),
            version: canary.version.clone(),
            replicas: Replicas::Fixed(share.max(1)),
            canary: None,
            is_canary: true,
            ..self.clone()
        })
    }
}

/// Resolved amounts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quantities {
    /// What the scheduler keeps free.
    pub requests: BTreeMap<String, String>,
    /// What a pod can use at most.
    pub limits: BTreeMap<String, String>,
}

pub(super) fn valid(
    service: &'static Service,
    shop: &Shop,
    settings: &Settings,
    version: &str,
) -> Result<ValidService, Invalid> {
    let own = (service.settings)(&shop.spec.services).cloned().unwrap_or_default();
    let registry = shop.spec.image.registry.as_ref().unwrap_or(&settings.image_registry);
    let tagged = |version: &str| format!("{registry}/{}:{version}", service.name);
    let canary = own.canary.filter(|_| service.is_called()).and_then(|canary| {
        let image = canary.image.or_else(|| canary.version.as_deref().map(tagged))?;
        let (weight, analysis) = (canary.weight, canary.analysis);
        Some(Canary { version: image_version(&image), image, weight, serving: true, analysis })
    });
    let image = own.image.unwrap_or_else(|| tagged(version));
    Ok(ValidService {
        service,
        version: image_version(&image),
        image,
        replicas: Replicas::of(own.replicas, own.autoscaling.as_ref()),
        log_level: own.log_level.unwrap_or_else(|| "info".to_owned()),
        resources: quantities(service, own.resources.unwrap_or_default())?,
        canary,
        is_canary: false,
        has_canary_pods: false,
    })
}

/// The catalog's amounts, with those of the Shop in their place. What was measured gives way to what is given beside it:
/// Kubernetes refuses a request above its limit.
fn quantities(service: &Service, own: Resources) -> Result<Quantities, Invalid> {
    let mut wanted = Quantities {
        requests: BTreeMap::from([
            ("cpu".to_owned(), "20m".to_owned()),
            ("memory".to_owned(), format!("{}Mi", service.memory.request)),
        ]),
        limits: BTreeMap::from([("memory".to_owned(), format!("{}Mi", service.memory.limit))]),
    };
    let (requests, limits) = (amounts(own.requests), amounts(own.limits));
    wanted.requests.extend(requests.clone());
    wanted.limits.extend(limits.clone());
    for (key, limit) in &mut wanted.limits {
        let Some(request) = wanted.requests.get_mut(key).filter(|request| quantity::exceeds(request, limit)) else {
            continue;
        };
        match (requests.contains_key(key), limits.contains_key(key)) {
            (true, true) => {
                let field = format!("spec.services.{}.resources.requests.{key}", service.name);
                return Err(Invalid { field, message: format!("{request} is more than the limit of {limit}") });
            }
            (true, false) => limit.clone_from(request),
            (false, _) => request.clone_from(limit),
        }
    }
    Ok(wanted)
}

fn amounts(amounts: Option<Amounts>) -> BTreeMap<String, String> {
    let Amounts { cpu, memory } = amounts.unwrap_or_default();
    [("cpu", cpu), ("memory", memory)]
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| (key.to_owned(), value)))
        .collect()
}
