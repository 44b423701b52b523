//! Every field of a Shop's spec, and who sees it at work: the test here, another one on a cluster, or nobody and why.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kube::CustomResourceExt;
use shopkeeper_operator::crd::Shop;
use shopkeeper_testing::schema::{Field, Schema};

/// A test, after the file that it is in.
type Test = (&'static str, &'static str);

const LIFECYCLE: Test =
    ("operator/tests/cluster/lifecycle.rs", "a_shop_becomes_ready_stays_as_it_is_and_leaves_nothing");
const CANARY: Test = (
    "operator/tests/cluster/canary.rs",
    "a_canary_gets_its_share_through_a_gateway_and_takes_over_when_it_is_good_and_goes_when_it_is_not",
);
const EXTERNAL: Test = (
    "operator/tests/cluster/external.rs",
    "a_shop_on_external_stores_says_what_is_wrong_with_them_and_follows_a_changed_secret_and_loses_no_order",
);
const TRACED: Test = ("e2e/tests/cluster/traced.rs", "a_checkout_and_everything_that_follows_is_one_trace");

/// Fields that another test sees, each by its name or what it begins with.
const ELSEWHERE: [(&str, Test); 10] = [
    ("version", LIFECYCLE),
    ("lifecycle.", LIFECYCLE),
    ("ingress.gateway.", CANARY),
    ("services.*.canary.image", CANARY),
    ("services.*.canary.analysis.", CANARY),
    ("postgres.external.", EXTERNAL),
    ("mongodb.external.", EXTERNAL),
    ("redis.external.", EXTERNAL),
    ("rabbitmq.external.", EXTERNAL),
    ("telemetry.embedded", TRACED),
];
/// Fields that nobody can see on this cluster, and what there is instead.
const NOWHERE: [(&str, &str); 5] = [
    ("postgres.cloudNativePG.", "CloudNativePG cannot be had; operated.rs and definitions.rs know what it publishes"),
    ("rabbitmq.clusterOperator.", "nor is the RabbitMQ cluster operator"),
    ("mesh.networkPolicy.", "no network here enforces policies; policies.rs asks cyclonus"),
    ("payment.mock.outcomes[].when.city", "no Shop has it, because payment knows no city"),
    ("delivery.mock.outcomes[].when.amountAbove", "nor this, because delivery knows no amount"),
];

/// What is wrong with who sees which field, when the test here has `seen` these.
pub fn unaccounted(seen: &BTreeSet<String>) -> Vec<String> {
    let known: BTreeSet<String> = Schema::of(&Shop::crd()).fields().iter().map(name).collect();
    let listed: Vec<&str> =
        ELSEWHERE.iter().map(|(field, _)| *field).chain(NOWHERE.iter().map(|(field, _)| *field)).collect();
    let times = |name: &String| {
        usize::from(seen.contains(name)) + listed.iter().filter(|field| name.starts_with(**field)).count()
    };
    let fields = known.iter().map(|name| (name, times(name))).filter(|(_, times)| *times != 1);
    let fields = fields.map(|(name, times)| format!("{times} entries or sights are about {name}"));
    let strange = seen.difference(&known).map(|name| format!("there is no field {name}"));
    let idle = listed.iter().filter(|field| !known.iter().any(|name| name.starts_with(**field)));
    let idle = idle.map(|field| format!("no field begins with {field}"));
    let gone = ELSEWHERE.iter().filter(|(_, test)| !exists(*test));
    let gone = gone.map(|(field, (file, test))| format!("{field}: {file} has no {test}"));
    fields.chain(strange).chain(idle).chain(gone).collect()
}

/// All services have the same fields, and so have all calls.
fn name(field: &Field) -> String {
    let name = field.to_string();
    let mut steps: Vec<&str> = name.split('.').collect();
    let any = match steps.as_slice() {
        ["services", ..] => Some(1),
        ["mesh", "edges", ..] => Some(2),
        _ => None,
    };
    if let Some(any) = any {
        steps[any] = "*";
    }
    steps.join(".")
}

fn exists((file, test): Test) -> bool {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("async fn {test}()")))
}
