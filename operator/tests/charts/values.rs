//! Values: every one is described and bounded, and a wrong one is refused with its name.

use serde_json::Value;

use crate::helm::{read, template, yaml};

const REFUSED: [(&str, &str); 16] = [
    ("replicas=0", "replicas"),
    ("replicas=many", "replicas"),
    ("replica=2", "replica"),
    ("image.registry=", "registry"),
    ("image.registry=Example.com/", "registry"),
    ("image.tag=not a tag", "tag"),
    ("image.pullPolicy=Sometimes", "pullPolicy"),
    ("stores.postgres.image=", "postgres"),
    ("stores.mysql.image=mysql:8", "mysql"),
    ("watchNamespaces={Oak}", "watchNamespaces"),
    ("logLevel=very verbose", "logLevel"),
    ("tracesEndpoint=collector:4317", "tracesEndpoint"),
    ("resources.limits.memory=lots", "memory"),
    ("resources.limits.memory=null", "memory"),
    ("metrics.podMonitor.interval=often", "interval"),
    ("podLabels.app\\.kubernetes\\.io/name=other", "podLabels"),
];

#[test]
fn a_wrong_value_is_refused_and_named() {
    for (value, named) in REFUSED {
        let output = template("shopkeeper", &["--set", value]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{value} was accepted");
        assert!(said.contains(named), "{value}: {said}");
    }
}

#[test]
fn the_schema_describes_every_value_and_admits_no_other() {
    let schema: Value = serde_json::from_str(&read("charts/shopkeeper/values.schema.json")).expect("JSON");
    let values = yaml(&read("charts/shopkeeper/values.yaml"));
    described("values", &schema, &schema["definitions"], &values);
}

/// Follows the values' own folders; an empty table, which people fill, and a list end a path.
fn described(path: &str, schema: &Value, definitions: &Value, value: &Value) {
    let target = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/definitions/"));
    let schema = target.map_or(schema, |name| &definitions[name]);
    let (Some(properties), Some(fields)) = (schema["properties"].as_object(), value.as_object()) else { return };
    assert_eq!(schema["additionalProperties"], false, "{path} admits anything");
    for (name, field) in fields {
        let property = properties.get(name).unwrap_or_else(|| panic!("{path}.{name} is not in the schema"));
        assert!(property["description"].is_string(), "{path}.{name} is not described");
        described(&format!("{path}.{name}"), property, definitions, field);
    }
    for name in properties.keys().filter(|name| *name != "global" && !fields.is_empty()) {
        assert!(fields.contains_key(name), "{path}.{name} has no default");
    }
}
