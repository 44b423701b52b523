//! The release workflow: it leaves nothing of the workspace out, and those of its steps that need nobody else leave what the next
//! ones expect.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use shopkeeper_operator::catalog::SERVICES;

use crate::folder::Folder;
use crate::helm::{items, objects, one, project, read, template, text, yaml};

pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Go's names of architectures, which images have, and Rust's names of targets.
pub const ARCHITECTURES: [(&str, &str); 2] =
    [("amd64", "x86_64-unknown-linux-musl"), ("arm64", "aarch64-unknown-linux-musl")];
/// What is released as a file and not as an image.
const PLUGIN: &str = "kubectl-shopkeeper";

fn workflow() -> Value {
    yaml(&read(".github/workflows/release.yml"))
}

fn job(name: &str) -> Value {
    workflow()["jobs"][name].take()
}

/// The jobs that are done before this one begins.
fn before(jobs: &Value, name: &str) -> BTreeSet<String> {
    let needs = &jobs[name]["needs"];
    let direct = needs.as_str().into_iter().chain(items(needs).map(text));
    direct.flat_map(|needed| before(jobs, needed).into_iter().chain([needed.to_owned()])).collect()
}

/// Two fields of every entry of a job's matrix.
fn matrix(job: &Value, fields: [&str; 2]) -> BTreeSet<(String, String)> {
    let entries = items(&job["strategy"]["matrix"]["include"]);
    let pair = |entry: &Value| fields.map(|field| text(&entry[field]).to_owned()).into();
    entries.map(pair).collect()
}

fn pairs(pairs: impl IntoIterator<Item = (&'static str, String)>) -> BTreeSet<(String, String)> {
    pairs.into_iter().map(|(first, second)| (first.to_owned(), second)).collect()
}

/// The image of everything that runs on a cluster, and the program in it.
fn images() -> BTreeSet<(String, String)> {
    let services = SERVICES.iter().map(|service| (service.name, format!("shop-{}", service.name)));
    pairs(services.chain([("operator", env!("CARGO_PKG_NAME").to_owned()), ("load", "shop-load".to_owned())]))
}

/// A step of a job, by its name or its id.
pub fn step(job_name: &str, step: &str) -> Value {
    let job = job(job_name);
    let found = items(&job["steps"]).find(|found| found["name"] == step || found["id"] == step);
    found.unwrap_or_else(|| panic!("{job_name} has no step `{step}`")).clone()
}

/// Runs what a step of a job runs, as a runner would.
pub fn run(job: &str, name: &str, folder: &Path, variables: &[(&str, &str)]) -> Output {
    let step = step(job, name);
    assert_eq!(workflow()["defaults"]["run"]["shell"], "bash", "a runner's own choice is another one");
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", text(&step["run"])]).current_dir(folder);
    bash.envs(variables.iter().copied()).output().expect("bash")
}

#[track_caller]
pub fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The names in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name")).collect()
}

#[test]
fn a_release_has_an_image_of_every_service_of_the_operator_and_of_the_load() {
    assert_eq!(matrix(&job("images"), ["image", "program"]), images());
}

#[test]
fn programs_and_images_of_a_release_are_for_the_same_architectures_which_the_compiler_knows() {
    let wanted = pairs(ARCHITECTURES.map(|(architecture, target)| (architecture, target.to_owned())));
    assert_eq!(matrix(&job("programs"), ["arch", "target"]), wanted);
    let platforms = ARCHITECTURES.map(|(architecture, _)| format!("linux/{architecture}")).join(",");
    let built =
        items(&job("images")["steps"]).any(|step| text(&step["run"]).contains(&format!("--platform {platforms} ")));
    assert!(built, "no step builds for {platforms}");

    let known = Command::new("rustc").args(["--print", "target-list"]).output().expect("rustc");
    let known = String::from_utf8(known.stdout).expect("text");
    let licensed = read("deny.toml");
    for (_, target) in ARCHITECTURES {
        assert!(known.lines().any(|line| line == target), "{target} is no target");
        assert!(licensed.contains(&format!("\"{target}\"")), "what {target} depends on is not looked at");
    }
}

#[test]
fn charts_programs_and_the_development_cluster_are_of_one_version() {
    for chart in ["shopkeeper", "shopkeeper-crds"] {
        let about = yaml(&read(&format!("charts/{chart}/Chart.yaml")));
        assert_eq!((text(&about["version"]), text(&about["appVersion"])), (VERSION, VERSION), "{chart}");
    }
    assert_eq!(text(&yaml(&read("dev/cluster/values.yaml"))["image"]["tag"]), VERSION);
}

/// A copy of the charts, to be written into.
pub fn copy_charts(folder: &Path) {
    let copied =
        Command::new("cp").arg("-r").args([project().join("charts"), project().join(".ci")]).arg(folder).output();
    succeeded(&copied.expect("cp"));
}

fn stamp(job: &str, step: &str, folder: &Path, tag: &str) -> Output {
    let variables =
        [("VERSION", tag), ("GITHUB_REPOSITORY", "Oak/Shops"), ("GITHUB_SERVER_URL", "https://git.example.com")];
    run(job, step, folder, &variables)
}

#[test]
fn a_release_packs_every_program_and_charts_that_name_its_own_images_and_runbooks() {
    let folder = Folder::new("release");
    let path = &folder.0;
    let programs: BTreeSet<String> =
        images().into_iter().map(|(_, program)| program).chain([PLUGIN.to_owned()]).collect();
    for (architecture, target) in ARCHITECTURES {
        let built = path.join("target").join(target).join("release");
        fs::create_dir_all(&built).expect("a folder");
        for program in &programs {
            fs::write(built.join(program), architecture).expect("a program");
        }
        let workspace = path.to_string_lossy();
        let variables = [("ARCH", architecture), ("TARGET", target), ("GITHUB_WORKSPACE", &workspace)];
        succeeded(&run("programs", "Collect the programs", path, &variables));
        assert_eq!(names(&path.join("out").join(architecture)), programs, "{architecture}");
    }

    // The next job gets the artefacts of this one.
    fs::rename(path.join("out"), path.join("programs")).expect("a folder");
    copy_charts(path);
    let step = "The charts say where this release's images and runbooks are";
    succeeded(&stamp("release", step, path, &format!("v{VERSION}")));
    succeeded(&run("release", "Collect the files", path, &[]));
    let mut files: BTreeSet<String> =
        ["shopkeeper", "shopkeeper-crds"].map(|chart| format!("{chart}-{VERSION}.tgz")).into();
    files.extend(ARCHITECTURES.map(|(architecture, _)| format!("{PLUGIN}-linux-{architecture}")));
    assert_eq!(names(&path.join("files")), files);

    let chart = path.join("files").join(format!("shopkeeper-{VERSION}.tgz"));
    let objects = objects(template(&chart.to_string_lossy(), &["--set", "metrics.alerts.enabled=true"]));
    let operator = &one(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(operator["image"], format!("ghcr.io/oak/shops/operator:{VERSION}"));
    let alert = &one(&objects, "PrometheusRule")["spec"]["groups"][0]["rules"][0];
    let runbook = format!("https://git.example.com/Oak/Shops/blob/v{VERSION}/docs/runbooks.md#");
    assert!(text(&alert["annotations"]["runbook_url"]).starts_with(&runbook), "{alert}");
}

#[test]
fn a_tag_of_another_version_than_the_charts_is_refused_before_anything_is_pushed() {
    let folder = Folder::new("tag");
    copy_charts(&folder.0);
    let compare = |tag: &str| stamp("version", "The tag is the version of the charts", &folder.0, tag);
    let refused = compare("v0.0.0-other");
    assert!(!refused.status.success());
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(words.contains("version is not 0.0.0-other"), "{words}");
    succeeded(&compare(&format!("v{VERSION}")));

    let jobs = workflow()["jobs"].take();
    let may_write = |job: &Value| {
        job["permissions"].as_object().is_some_and(|rights| rights.values().any(|right| right == "write"))
    };
    let all = jobs.as_object().expect("jobs by name").iter();
    let pushing: BTreeSet<&str> = all.filter(|(_, job)| may_write(job)).map(|(name, _)| name.as_str()).collect();
    assert_eq!(pushing, ["images", "release"].into());
    for name in pushing {
        assert!(before(&jobs, name).contains("version"), "{name} does not wait for the comparison");
    }
}
