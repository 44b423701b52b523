//! `tilt` itself cannot be installed from a package registry, so the Tiltfile is evaluated by a Starlark interpreter
//! against Tilt's published API: everything it names must exist.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use starlark::{
    environment::{GlobalsBuilder, LibraryExtension, Module},
    eval::Evaluator,
    starlark_module,
    syntax::{AstModule, Dialect},
    values::{Heap, Value},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[starlark_module]
fn files(builder: &mut GlobalsBuilder) {
    /// A YAML file of the project as a value.
    fn yaml_file<'v>(path: &str, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        let text = std::fs::read_to_string(root().join(path)).map_err(|error| anyhow::anyhow!("{path}: {error}"))?;
        let json: Json = serde_saphyr::from_str(&text)?;
        Ok(heap.alloc(json))
    }
}

/// Every call the Tiltfile makes, in order.
fn calls() -> Vec<Json> {
    let tiltfile = std::fs::read_to_string(root().join("Tiltfile")).expect("a Tiltfile");
    let program = format!("{}{tiltfile}\njson.encode(CALLS)\n", include_str!("tilt_api.star"));
    let ast = AstModule::parse("Tiltfile", program, &Dialect::Extended).expect("the Tiltfile is Starlark");
    let globals = GlobalsBuilder::extended_by(&[LibraryExtension::Json]).with(files).build();
    Module::with_temp_heap(|module| {
        let mut evaluator = Evaluator::new(&module);
        let calls = evaluator.eval_module(ast, &globals)?;
        let calls = calls.unpack_str().expect("JSON text").to_owned();
        starlark::Result::Ok(serde_json::from_str(&calls).expect("a list of calls"))
    })
    .expect("the Tiltfile evaluates")
}

fn arguments<'a>(calls: &'a [Json], function: &'a str) -> impl Iterator<Item = &'a Json> {
    calls.iter().filter(move |call| call["function"] == function).map(|call| &call["arguments"])
}

fn strings(value: &Json) -> Vec<&str> {
    match value {
        Json::String(text) => vec![text],
        Json::Array(items) => items.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

fn services() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("services")).expect("services/");
    folders.map(|entry| entry.expect("a folder").file_name().into_string().expect("a plain name")).collect()
}

#[test]
fn every_file_the_tiltfile_names_exists() {
    let calls = calls();
    let mut paths: Vec<&str> = Vec::new();
    for build in arguments(&calls, "docker_build") {
        paths.extend(strings(&build["dockerfile"]));
        // A binary is there once it is compiled; its sources are what has to be there.
        paths.extend(strings(&build["only"]).iter().filter(|path| !path.starts_with("target/")));
    }
    paths.extend(arguments(&calls, "helm").flat_map(|helm| strings(&helm["chart"])));
    paths.extend(arguments(&calls, "k8s_yaml").flat_map(|yaml| strings(&yaml["yaml"])));
    paths.extend(arguments(&calls, "local_resource").flat_map(|resource| strings(&resource["deps"])));
    assert!(paths.len() > 20, "only {} paths were found", paths.len());
    for path in paths {
        assert!(root().join(path).exists(), "the Tiltfile names {path}, which does not exist");
    }
}

#[test]
fn every_service_is_compiled_built_updated_live_and_put_into_the_shop() {
    let calls = calls();
    let builds: Vec<_> = arguments(&calls, "docker_build").collect();
    let kind = arguments(&calls, "k8s_kind").next().expect("k8s_kind('Shop')");
    let shop = arguments(&calls, "k8s_yaml").find_map(|yaml| yaml["yaml"].get("object")).expect("a Shop");
    assert_eq!(kind["kind"], shop["kind"]);
    assert_eq!(kind["api_version"], shop["apiVersion"]);
    for service in services() {
        let image = format!("shopkeeper/{service}");
        let build = builds.iter().find(|build| build["ref"] == image).unwrap_or_else(|| panic!("{image} is not built"));
        let binary = build["build_args"]["BINARY"].as_str().expect("a binary");
        assert!(binary.ends_with(&format!("release/shop-{service}")), "{binary}");
        assert_eq!(build["live_update"][0]["sync"][0], binary);
        assert_eq!(shop["spec"]["services"][&service]["image"], image);
        let path = format!("{{.spec.services.{service}.image}}");
        assert!(strings(&kind["image_json_path"]).contains(&path.as_str()), "{path} is not told to Tilt");
        let compile = format!("compile-shop-{service}");
        assert!(
            arguments(&calls, "local_resource").any(|resource| resource["name"] == compile),
            "{compile} is missing"
        );
    }
}

#[test]
fn every_resource_has_a_group_and_depends_only_on_resources_that_exist() {
    let calls = calls();
    let resources: Vec<_> = arguments(&calls, "local_resource").chain(arguments(&calls, "k8s_resource")).collect();
    let names: Vec<_> = resources.iter().filter_map(|resource| resource["name"].as_str()).collect();
    for resource in &resources {
        assert!(!strings(&resource["labels"]).is_empty(), "{} has no label", resource["name"]);
        for dependency in strings(&resource["resource_deps"]) {
            assert!(names.contains(&dependency), "{} depends on {dependency}, which does not exist", resource["name"]);
        }
    }
}

#[test]
fn tilt_only_touches_the_cluster_of_kind_config() {
    let kind: Json =
        serde_saphyr::from_str(&std::fs::read_to_string(root().join("kind-config.yaml")).unwrap()).unwrap();
    let calls = calls();
    let contexts = &arguments(&calls, "allow_k8s_contexts").next().expect("allow_k8s_contexts")["contexts"];
    assert_eq!(strings(contexts), [format!("kind-{}", kind["name"].as_str().unwrap())]);
}
