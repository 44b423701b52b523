//! The autoscaler of a service whose load decides how many pods it has.

use k8s_openapi::Resource as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
    ResourceMetricSource,
};

use super::{component_name, meta};
use crate::scaling::Replicas;
use crate::validate::{ValidService, ValidShop};

/// A sleeping Shop has none: it would wake the pods up.
pub(super) fn build(shop: &ValidShop, service: &ValidService) -> Option<HorizontalPodAutoscaler> {
    let Replicas::Scaled { min, max, cpu } = service.replicas else { return None };
    let name = component_name(shop, service.service.name);
    (!shop.hibernated).then(|| HorizontalPodAutoscaler {
        metadata: meta::metadata(shop, service.service.name, name.clone()),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some(Deployment::API_VERSION.to_owned()),
                kind: Deployment::KIND.to_owned(),
                name,
            },
            min_replicas: Some(min),
            max_replicas: max,
            metrics: Some(vec![of_cpu(cpu)]),
            ..HorizontalPodAutoscalerSpec::default()
        }),
        status: None,
    })
}

fn of_cpu(percent: i32) -> MetricSpec {
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}
