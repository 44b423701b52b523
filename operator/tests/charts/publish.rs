//! What a release pushes and signs, with others in the place of the programs that talk to a registry.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::folder::Folder;
use crate::helm::{project, text};
use crate::release::{ARCHITECTURES, VERSION, run, step, succeeded};

/// Notes each call, takes the password that is handed to one, and prints what the real program does: Helm with the digest on
/// its standard error, buildx in a file.
const STAND_IN: &str = r#"#!/usr/bin/env bash
set -eu
program="${0##*/}"
echo "$program $*" >> calls
case "$program $1" in
  "docker login" | "helm registry")
    read -r given
    [ "$given" = "$TOKEN" ] ;;
  "helm push")
    [ -e "$2" ]
    [ "$REGISTRY" = open ] || { echo "Error: denied" >&2; exit 1; }
    printf 'Pushed: %s\nDigest: sha256:of-%s\n' "$3" "${2##*/}" >&2 ;;
  "docker buildx")
    while [ $# -gt 0 ]; do
      [ "$1" = --metadata-file ] && cat > "$2" <<END
{
  "buildx.build.ref": "builder/builder0/one",
  "containerimage.descriptor": {
    "mediaType": "application/vnd.oci.image.index.v1+json",
    "digest": "sha256:of-the-image",
    "size": 1609
  },
  "containerimage.digest": "sha256:of-the-image"
}
END
      shift
    done ;;
esac
"#;

/// A folder in which steps of the workflow run.
struct Runner(Folder);

impl Runner {
    fn new(name: &str) -> Self {
        let runner = Self(Folder::new(name));
        let programs = runner.path("bin");
        fs::create_dir(&programs).expect("a folder");
        for program in ["docker", "helm", "cosign"] {
            let file = programs.join(program);
            // A child writes it: while this process has it open a fork of another thread would, and nobody could start it.
            let mut install = Command::new("install");
            install.args(["-m", "755", "/dev/stdin"]).arg(&file).stdin(Stdio::piped());
            let mut install = install.spawn().expect("install");
            install.stdin.take().expect("its input").write_all(STAND_IN.as_bytes()).expect("a program");
            assert!(install.wait().expect("install").success());
        }
        runner
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.0.join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    /// Runs a step that finds these programs before the machine's own.
    fn run(&self, job: &str, step: &str, variables: &[(&str, &str)]) -> Output {
        let machine = std::env::var("PATH").expect("a PATH");
        let programs = format!("{}:{machine}", self.path("bin").display());
        let tag = format!("v{VERSION}");
        let common = [
            ("PATH", programs.as_str()),
            ("VERSION", tag.as_str()),
            ("TOKEN", "acorns"),
            ("GITHUB_ACTOR", "oak"),
            ("GITHUB_REPOSITORY", "Oak/Shops"),
            ("GITHUB_SERVER_URL", "https://git.example.com"),
            ("GITHUB_SHA", "0123abc"),
            ("GITHUB_OUTPUT", "output"),
        ];
        run(job, step, &self.0.0, &[&common[..], variables].concat())
    }

    /// The calls so far that begin with one of these.
    fn calls(&self, beginnings: &[&str]) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let wanted = calls.lines().filter(|call| beginnings.iter().any(|beginning| call.starts_with(beginning)));
        wanted.map(str::to_owned).collect()
    }

    /// Runs the step that pushes the charts.
    fn push_charts(&self, registry: &str) -> Output {
        for chart in ["shopkeeper", "shopkeeper-crds"] {
            self.write(&format!("files/{chart}-{VERSION}.tgz"), chart);
        }
        self.run("release", "Push and sign the charts", &[("REGISTRY", registry)])
    }
}

#[test]
fn every_chart_is_pushed_and_signed_by_the_digest_that_the_registry_gave_it() {
    let runner = Runner::new("charts");
    succeeded(&runner.push_charts("open"));
    let log_in = "registry login ghcr.io --username oak --password-stdin";
    assert_eq!(runner.calls(&["helm registry"]), [format!("helm {log_in}")]);
    let registry = "ghcr.io/oak/shops/charts";
    for chart in ["shopkeeper", "shopkeeper-crds"] {
        let file = format!("{chart}-{VERSION}.tgz");
        let push = format!("helm push files/{file} oci://{registry}");
        let sign = format!("cosign sign --yes {registry}/{chart}@sha256:of-{file}");
        let calls = runner.calls(&["helm push", "cosign"]);
        let pushed = calls.iter().position(|call| *call == push).unwrap_or_else(|| panic!("{push}: {calls:#?}"));
        assert_eq!(calls.get(pushed + 1), Some(&sign), "{calls:#?}");
        assert_eq!(calls.len(), 4, "{calls:#?}");
    }
}

#[test]
fn a_chart_that_the_registry_refuses_ends_the_release_unsigned() {
    let runner = Runner::new("refused");
    assert!(!runner.push_charts("closed").status.success());
    assert_eq!(runner.calls(&["cosign"]), Vec::<String>::new());
}

/// What the step that pushes an image leaves for the next ones.
fn output(runner: &Runner, name: &str) -> String {
    let output = fs::read_to_string(runner.path("output")).expect("the step's output");
    let value = output.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in:\n{output}")).to_owned()
}

#[test]
fn an_image_is_built_of_what_its_description_copies_and_signed_by_its_digest() {
    let runner = Runner::new("image");
    let variables = [("IMAGE", "user"), ("PROGRAM", "shop-user")];
    for (architecture, _) in ARCHITECTURES {
        runner.write(&format!("context/{architecture}/shop-user"), architecture);
    }
    fs::create_dir_all(runner.path("dev/images")).expect("a folder");
    let description = project().join("dev/images/release");
    succeeded(&Command::new("cp").arg("-r").arg(description).arg(runner.path("dev/images")).output().expect("cp"));
    succeeded(&runner.run("images", "Log in to the registry", &variables));
    succeeded(&runner.run("images", "push", &variables));

    let built = runner.calls(&["docker buildx build"]);
    let [build] = &built[..] else { panic!("{built:#?}") };
    let name = "ghcr.io/oak/shops/user";
    for option in [
        " build context ",
        " --file dev/images/release/Dockerfile ",
        " --build-arg PROGRAM=shop-user ",
        &format!(" --tag {name}:{VERSION} "),
        " --push ",
        " --sbom=true ",
        " --provenance=mode=max ",
    ] {
        assert!(build.contains(option), "`{option}` is not in {build}");
    }
    let description = fs::read_to_string(runner.path("dev/images/release/Dockerfile")).expect("a Dockerfile");
    let copied: Vec<&str> =
        description.lines().filter_map(|line| line.strip_prefix("COPY ")?.split(' ').next()).collect();
    assert!(!copied.is_empty(), "{description}");
    for (architecture, _) in ARCHITECTURES {
        for file in &copied {
            let file = file.replace("${TARGETARCH}", architecture).replace("${PROGRAM}", "shop-user");
            assert!(runner.path("context").join(&file).is_file(), "the context has no {file}");
        }
    }

    let mut reference = text(&step("images", "Sign")["env"]["REFERENCE"]).to_owned();
    for field in ["name", "digest"] {
        reference = reference.replace(&format!("${{{{ steps.push.outputs.{field} }}}}"), &output(&runner, field));
    }
    succeeded(&runner.run("images", "Sign", &[("REFERENCE", &reference)]));
    let signed = format!("cosign sign --yes --recursive {name}@sha256:of-the-image");
    assert_eq!(runner.calls(&["cosign"]), [signed]);
}
