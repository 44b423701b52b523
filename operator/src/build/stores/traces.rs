//! The trace store: Jaeger with the latest traces in memory, for looking at one's own orders.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::Container;

use crate::build::pod::{self, Pod, every, http_probe, mount, scratch, store_resources, variable};
use crate::build::{component_name, meta, strings};
use crate::catalog::TRACES;
use crate::validate::{Traces, ValidShop, image_version};

pub(crate) fn deployment(shop: &ValidShop) -> Option<Deployment> {
    let Traces::Embedded { image } = &shop.traces else { return None };
    let container = Container {
        name: TRACES.to_owned(),
        image: Some(image.clone()),
        // Bounded by number: what does not fit is the oldest trace, not the container's memory.
        args: Some(strings(["--memory.max-traces=2000"])),
        env: Some(vec![variable("COLLECTOR_OTLP_ENABLED", "true"), variable("SPAN_STORAGE_TYPE", "memory")]),
        ports: Some(vec![super::port("otlp", 4317), super::port("query", 16686), super::port("admin", 14269)]),
        startup_probe: Some(every(1, 60, http_probe("/", "admin"))),
        readiness_probe: Some(every(10, 3, http_probe("/", "admin"))),
        liveness_probe: Some(every(20, 6, http_probe("/", "admin"))),
        resources: Some(store_resources("20m", "64Mi", "512Mi")),
        volume_mounts: Some(vec![mount("tmp", "/tmp")]),
        ..Container::default()
    };
    let version = image_version(image);
    Some(Deployment {
        metadata: meta::versioned(shop, TRACES, component_name(shop, TRACES), &version),
        spec: Some(DeploymentSpec {
            replicas: Some(i32::from(!shop.hibernated)),
            selector: meta::selector(shop, TRACES),
            revision_history_limit: Some(3),
            template: pod::template(
                shop,
                Pod {
                    component: TRACES,
                    version,
                    user: pod::SERVICE_USER,
                    pull_policy: shop.store_pull_policy,
                    inputs: None,
                    container,
                    volumes: vec![scratch("tmp")],
                    grace_seconds: 10,
                    restart_policy: None,
                },
            ),
            ..DeploymentSpec::default()
        }),
        status: None,
    })
}
