//! The cluster's certificate authority, one certificate for each component, and their kubeconfigs.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::config;
use super::network::NODE;
use crate::shell;

/// Components that call the API server, each with a kubeconfig of its own.
const USERS: [&str; 5] = ["admin", "controller-manager", "scheduler", "proxy", "node"];
const VALID_DAYS: &str = "3650";

/// Makes the keys once; a set that was left half made is made again.
pub fn make(state: &Path) -> Result<()> {
    let folder = state.join("pki");
    let complete = folder.join("complete");
    if !complete.exists() {
        fs::create_dir_all(&folder)?;
        let openssl = Openssl { folder: &folder };
        openssl.authority()?;
        let names =
            "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:10.96.0.1,IP:127.0.0.1";
        openssl.certificate("apiserver", "/CN=kube-apiserver", &format!("{names},IP:{NODE}"))?;
        openssl.certificate("admin", "/O=system:masters/CN=admin", "DNS:admin")?;
        openssl.certificate("controller-manager", "/CN=system:kube-controller-manager", "DNS:controller-manager")?;
        openssl.certificate("scheduler", "/CN=system:kube-scheduler", "DNS:scheduler")?;
        openssl.certificate("proxy", "/CN=system:kube-proxy", "DNS:proxy")?;
        openssl.certificate("node", "/O=system:nodes/CN=system:node:node", &format!("DNS:node,IP:{NODE}"))?;
        // With it the API server tells APIs that others serve, such as that of metrics, who is asking.
        openssl.certificate("front-proxy", "/CN=front-proxy", "DNS:front-proxy")?;
        openssl.service_account_key()?;
        fs::write(&complete, "")?;
    }
    for user in USERS {
        fs::write(state.join(format!("{user}.kubeconfig")), config::kubeconfig(state, user))?;
    }
    Ok(())
}

struct Openssl<'a> {
    folder: &'a Path,
}

impl Openssl<'_> {
    fn authority(&self) -> Result<()> {
        self.key("ca")?;
        self.run(&[
            "req",
            "-x509",
            "-new",
            "-key",
            "ca.key",
            "-subj",
            "/CN=shopkeeper-ca",
            "-days",
            VALID_DAYS,
            "-out",
            "ca.crt",
        ])
    }

    fn certificate(&self, name: &str, subject: &str, alternative_names: &str) -> Result<()> {
        let file = |kind: &str| format!("{name}.{kind}");
        self.key(name)?;
        fs::write(
            self.folder.join(file("ext")),
            format!("subjectAltName={alternative_names}\nextendedKeyUsage=serverAuth,clientAuth\n"),
        )?;
        self.run(&["req", "-new", "-key", &file("key"), "-subj", subject, "-out", &file("csr")])?;
        let sign = ["x509", "-req", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", VALID_DAYS];
        let files = ["-in", &file("csr"), "-out", &file("crt"), "-extfile", &file("ext")];
        self.run(&[&sign[..], &files[..]].concat())
    }

    fn service_account_key(&self) -> Result<()> {
        self.key("service-accounts")?;
        self.run(&["pkey", "-in", "service-accounts.key", "-pubout", "-out", "service-accounts.pub"])
    }

    fn key(&self, name: &str) -> Result<()> {
        let file = format!("{name}.key");
        self.run(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &file])
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        shell::run(Command::new("openssl").args(arguments).current_dir(self.folder))
    }
}
