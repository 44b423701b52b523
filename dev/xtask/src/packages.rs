//! What the machine itself must have: Debian packages, Go, and Rust's target for static programs.

use std::process::Command;

use anyhow::{Result, bail};

use crate::RUST_TARGET;
use crate::shell;
use crate::step::{Outcome, Step};

/// Debian packages that the local cluster and its images are made with, each with a file that proves it is there.
const PACKAGES: [(&str, &str); 13] = [
    ("ca-certificates", "/etc/ssl/certs/ca-certificates.crt"),
    ("conntrack", "/usr/sbin/conntrack"),
    ("containerd", "/usr/bin/containerd"),
    ("containernetworking-plugins", "/usr/lib/cni/ptp"),
    ("gcc", "/usr/bin/gcc"),
    ("iproute2", "/usr/bin/ip"),
    ("iptables", "/usr/sbin/iptables"),
    ("mmdebstrap", "/usr/bin/mmdebstrap"),
    ("musl-tools", "/usr/bin/musl-gcc"),
    ("openssl", "/usr/bin/openssl"),
    ("procps", "/usr/sbin/sysctl"),
    ("runc", "/usr/sbin/runc"),
    ("socat", "/usr/bin/socat"),
];

/// Refuses machines on which the local cluster cannot run.
pub fn check_machine() -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("the local cluster needs Linux; elsewhere start Docker and install kind, kubectl and helm");
    }
    if shell::output(Command::new("id").arg("-u"))?.trim() != "0" {
        bail!("the local cluster needs root; without root start Docker and install kind, kubectl and helm");
    }
    if !shell::is_installed("go") {
        bail!("Go is not installed (https://go.dev/doc/install); the cluster's programs are built with it");
    }
    Ok(())
}

/// Installs the Debian packages that are missing.
pub fn install(step: &Step) -> Result<Outcome> {
    let mut missing: Vec<&str> =
        PACKAGES.iter().filter(|(_, file)| !std::path::Path::new(file).exists()).map(|(package, _)| *package).collect();
    if !shell::is_installed("pip") && !shell::is_installed("pip3") {
        missing.push("python3-pip");
    }
    if !shell::succeeds(Command::new("python3").args(["-c", "import ensurepip"])) {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return Ok(Outcome::Cached);
    }
    if !shell::is_installed("apt-get") {
        bail!("missing: {}; apt-get is not there to install them", missing.join(", "));
    }
    step.run(Command::new("apt-get").args(["-qq", "update"]))?;
    let mut install = Command::new("apt-get");
    install
        .args(["-qq", "install", "--yes", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive");
    step.run(&install)?;
    Ok(Outcome::Built)
}

/// Adds Rust's target for static programs.
pub fn add_rust_target(step: &Step) -> Result<Outcome> {
    let libraries = shell::output(Command::new("rustc").args(["--print", "target-libdir", "--target", RUST_TARGET]))?;
    if std::path::Path::new(libraries.trim()).exists() {
        return Ok(Outcome::Cached);
    }
    step.run(Command::new("rustup").args(["target", "add", RUST_TARGET]))?;
    Ok(Outcome::Built)
}
