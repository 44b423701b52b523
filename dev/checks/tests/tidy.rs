//! Rules about the tree that a person would otherwise have to remember.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The longest a source file may grow before it becomes a folder.
const LONGEST_FILE: usize = 400;
/// What a service's `src` may hold: one shape for all seven. A folder of the same name counts as the file.
const SERVICE_FILES: [&str; 10] =
    ["main", "lib", "config", "domain", "app", "store", "http", "grpc", "events", "error"];
/// Concerns that not every service has: the file, and why it is no part of the ten.
const MORE_FILES: [(&str, &str); 12] = [
    ("provider", "whoever moves the money or carries the parcels, behind a trait"),
    ("catalog", "order's view of the catalog's gRPC"),
    ("expiry", "what the clock does to orders and reservations"),
    ("metrics", "what happens to orders, in numbers"),
    ("scripts", "cart's Lua"),
    ("bson_date", "times as MongoDB compares them"),
    ("hashing", "passwords"),
    ("limits", "rate limits"),
    ("mail", "letters to the owners of accounts"),
    ("migrate", "indexes and the first admin, where there is no SQL"),
    ("outbox", "letters that wait to be sent"),
    ("sweep", "what has served is removed"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the project's root")
}

/// Every file below `folder` that git would see, as far as names tell.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() && name != "target" && name != ".git" {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

fn with_extension(extension: &str) -> Vec<PathBuf> {
    files(&root()).into_iter().filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn services() -> Vec<PathBuf> {
    fs::read_dir(root().join("services")).expect("services/").map(|entry| entry.expect("a folder").path()).collect()
}

#[test]
fn no_source_file_is_longer_than_four_hundred_lines() {
    for path in with_extension("rs") {
        let lines = read(&path).lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines: divide it", path.display());
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for path in with_extension("rs") {
        assert!(read(&path).starts_with("//!"), "{} does not begin with a //! line", path.display());
    }
}

#[test]
fn every_service_has_the_same_shape() {
    let services = services();
    assert_eq!(services.len(), 7);
    for service in services {
        let name = service.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
        for entry in fs::read_dir(service.join("src")).expect("src/") {
            let path = entry.expect("an entry").path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
            let known = SERVICE_FILES.contains(&stem) || MORE_FILES.iter().any(|(file, _)| *file == stem);
            assert!(known, "{} has no place in a service", path.display());
        }
        assert!(read(&service.join("src/main.rs")).lines().count() <= 10, "{name}'s main does more than start it");
    }
}

#[test]
fn every_route_of_a_service_is_in_its_document_and_has_its_callers_tested() {
    // Docs' pages are about the API and no part of it.
    for service in services().into_iter().filter(|service| !service.ends_with("docs")) {
        let sources = files(&service.join("src"));
        for path in sources.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
            let hidden = [".route(", ".route_service(", ".nest("].iter().find(|call| read(path).contains(**call));
            assert!(hidden.is_none(), "{} has a {hidden:?}: write .routes(routes!(...))", path.display());
        }
        if service.join("src/http.rs").exists() {
            assert!(service.join("tests/api/matrix.rs").exists(), "{} has routes and no matrix", service.display());
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    let depends = |manifest: &str, on: &str| {
        let text = read(&root().join(manifest));
        let runtime = text.split("[dev-dependencies]").next().unwrap_or_default().to_owned();
        runtime.lines().any(|line| line.starts_with(&format!("{on}.workspace")) || line.starts_with(&format!("{on} =")))
    };
    for io in ["tokio", "axum", "tonic", "sqlx", "lapin", "redis", "mongodb", "kube"] {
        assert!(!depends("crates/core/Cargo.toml", io), "crates/core must not depend on {io}");
    }
    for store in ["shop-db", "shop-messaging"] {
        assert!(!depends("operator/Cargo.toml", store), "the operator must not depend on {store}");
    }
    let names = ["user", "product", "cart", "order", "payment", "delivery", "docs"];
    for service in names {
        for other in names {
            let manifest = format!("services/{service}/Cargo.toml");
            assert!(!depends(&manifest, &format!("shop-{other}")), "{service} must not depend on {other}");
        }
    }
}

#[test]
fn ring_is_the_only_tls_provider() {
    let lock = read(&root().join("Cargo.lock"));
    for banned in ["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{banned}\"")), "{banned} came in: cargo tree -i {banned}");
    }
}

#[test]
fn relative_links_in_the_documents_lead_somewhere() {
    for path in with_extension("md") {
        let text = read(&path);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            let linked = path.parent().expect("a folder").join(file);
            assert!(linked.exists(), "{} links to {target}, which does not exist", path.display());
        }
    }
}
