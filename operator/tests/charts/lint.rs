//! kube-score, with warnings as errors, over what the chart and the operator make.

use std::path::PathBuf;
use std::process::Command;

use crate::folder::Folder;
use crate::helm::{project, template};

/// Checks beyond kube-score's own choice.
const MORE: [&str; 2] = ["container-ports-check", "container-seccomp-profile"];
/// Checks that ask for something else than what we want, and why.
const LEFT_OUT: [(&str, &str); 9] = [
    (
        "container-image-pull-policy",
        "a version is never pushed twice; pulling always would stop pods while a registry is away",
    ),
    (
        "container-ephemeral-storage-request-and-limit",
        "root file systems are read-only: there are logs, and sockets in emptyDirs",
    ),
    (
        "pod-networkpolicy",
        "it wants one policy with both directions; `operator/tests/policies.rs` has ours judged edge by edge",
    ),
    ("container-security-context-user-group-id", "the stores' images have users of their own, below 10000"),
    ("pod-probes-identical", "without a password a store can only be asked whether its port answers"),
    (
        "deployment-has-poddisruptionbudget",
        "a budget for a single pod would stop every drain of its node; from two pods on there is one",
    ),
    ("horizontalpodautoscaler-replicas", "one pod is what a service starts with, also one that its load decides about"),
    ("deployment-replicas", "one replica is what a Shop or a release asks for when it asks for nothing"),
    (
        "deployment-has-host-podantiaffinity",
        "replicas are spread; refusing to run two on a node would stop a small cluster",
    ),
];

fn find_nothing_in(files: &[PathBuf]) {
    let mut linter = Command::new("kube-score");
    // A limit on processors makes answers late, and protects nobody whom requests do not protect already.
    linter.args(["score", "--output-format", "ci", "--exit-one-on-warning", "--ignore-container-cpu-limit"]);
    linter.args(MORE.iter().flat_map(|check| ["--enable-optional-test", check]));
    linter.args(LEFT_OUT.iter().flat_map(|(check, _)| ["--ignore-test", check]));
    let output = linter.args(files).output().expect("kube-score is on the PATH: `cargo xtask test` makes it");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let found: Vec<&str> =
        said.lines().filter(|line| !line.starts_with("[OK]") && !line.starts_with("[SKIPPED]")).collect();
    assert!(output.status.success() && !said.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_linter_finds_nothing_in_what_the_chart_makes() {
    let folder = Folder::new("lint");
    for values in ["namespaced", "monitored", "placed"] {
        let file = project().join("operator/tests/charts/values").join(format!("{values}.yaml"));
        let output = template("shopkeeper", &["--values", &file.to_string_lossy()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rendered = folder.0.join(format!("{values}.yaml"));
        std::fs::write(&rendered, output.stdout).expect("a file");
        find_nothing_in(&[rendered]);
    }
}

#[test]
fn the_linter_finds_nothing_in_what_the_operator_makes() {
    let shops = std::fs::read_dir(project().join("operator/tests/golden")).expect("golden files");
    for shop in shops {
        let files = std::fs::read_dir(shop.expect("a Shop").path()).expect("its objects");
        find_nothing_in(&files.map(|file| file.expect("an object").path()).collect::<Vec<_>>());
    }
}
