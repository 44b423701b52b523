//! The images of the local cluster, and getting changed ones into it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::archive::{self, Content, FileInImage, Image, Layer};
use crate::paths::Paths;
use crate::programs;
use crate::target::Target;

/// The seven services, in the order of the catalog.
const SERVICES: [&str; 7] = ["user", "product", "cart", "order", "payment", "delivery", "docs"];

const CA_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
const PASSWD: &str = include_str!("../../images/release/etc/passwd");
const GROUP: &str = include_str!("../../images/release/etc/group");
/// mimalloc would use huge pages, and keep large buffers that were freed: ten MiB more resident in each service.
const ALLOCATOR: [&str; 2] = ["MIMALLOC_ALLOW_THP=0", "MIMALLOC_ARENA_MAX_OBJECT_SIZE=8192"];
const STORES_ENTRYPOINT: &str = include_str!("../../images/stores/docker-entrypoint.sh");
const STORES_PATH: &str = "PATH=/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/lib/rabbitmq/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What was loaded under a name: of which files, and with which digest.
type Loaded = BTreeMap<String, (String, String)>;

/// Puts every image that differs from the loaded one into the cluster. Returns the names of those that were.
pub fn load(paths: &Paths, target: &Target) -> Result<Vec<String>> {
    let record = target.state().join("images.json");
    let mut loaded = read(&record);
    let mut images = ours(paths);
    if matches!(target, Target::Local(_)) {
        images.extend(upstream(paths));
    }
    let mut changed = Vec::new();
    for image in images {
        let fingerprint = image.fingerprint()?;
        let known = loaded.get(&image.name);
        if known.is_none_or(|(files, _)| *files != fingerprint) {
            let sealed = image.seal()?;
            let differs = known.is_none_or(|(_, digest)| *digest != sealed.digest);
            loaded.insert(sealed.name.clone(), (fingerprint, sealed.digest.clone()));
            changed.extend(differs.then_some(sealed));
        }
    }
    if !changed.is_empty() {
        target.import(|output| archive::write(&changed, output))?;
    }
    fs::write(record, serde_json::to_vec_pretty(&loaded)?)?;
    Ok(changed.into_iter().map(|image| image.name).collect())
}

/// What an earlier run noted; a note that cannot be read only costs a second load.
fn read(record: &Path) -> Loaded {
    fs::read_to_string(record).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// The images that this project releases.
fn ours(paths: &Paths) -> Vec<Image> {
    let image = |component: &str, program: &str| Image {
        name: format!("docker.io/shopkeeper/{component}:{}", env!("CARGO_PKG_VERSION")),
        layers: vec![Layer::Files(vec![
            FileInImage::new("etc/ssl/certs/ca-certificates.crt", Content::Of(CA_ROOTS.into()), 0o644),
            FileInImage::new("etc/passwd", Content::Text(PASSWD), 0o644),
            FileInImage::new("etc/group", Content::Text(GROUP), 0o644),
            FileInImage::new("program", Content::Of(paths.built(program)), 0o755),
        ])],
        config: json!({
            "User": "65532:65532",
            "Entrypoint": ["/program"],
            "Env": ALLOCATOR,
            "Labels": {"org.opencontainers.image.version": env!("CARGO_PKG_VERSION")},
        }),
    };
    let services = SERVICES.iter().map(|service| image(service, &format!("shop-{service}")));
    services.chain([image("operator", "shopkeeper-operator"), image("load", "shop-load")]).collect()
}

/// Other people's images, under the names that a registry would know them by.
fn upstream(paths: &Paths) -> Vec<Image> {
    let program = |name: &str, program: &str, user: &str| Image {
        name: format!("docker.io/{name}"),
        layers: vec![Layer::Files(vec![FileInImage::new(program, Content::Of(paths.bin.join(program)), 0o755)])],
        config: json!({"User": user, "Entrypoint": [format!("/{program}")]}),
    };
    let kubebox = Layer::Files(vec![FileInImage::new("kubebox", Content::Of(paths.bin.join("kubebox")), 0o755)]);
    let part = |name: &str, part: &str| Image {
        name: name.to_owned(),
        layers: vec![kubebox.clone()],
        config: json!({"User": "0:0", "Entrypoint": ["/kubebox", part]}),
    };
    let mut images = vec![
        program("shopkeeper/pause:1", "pause", "65532:65532"),
        part("docker.io/coredns/coredns:1", "coredns"),
        part("registry.k8s.io/metrics-server/metrics-server:v0.8.0", "metrics-server"),
        program("library/traefik:v3", "traefik", "0:0"),
        program("rancher/local-path-provisioner:v0.0.30", "local-path-provisioner", "0:0"),
        program("jaegertracing/all-in-one:1.65.0", "jaeger", "10001:10001"),
    ];
    images.extend(stores(paths));
    images
}

/// One file system under the names of four official images; each starts its own server.
fn stores(paths: &Paths) -> Vec<Image> {
    let layers = [
        Layer::Tar(programs::rootfs(paths)),
        Layer::Files(vec![
            FileInImage::new("usr/local/bin/docker-entrypoint.sh", Content::Text(STORES_ENTRYPOINT), 0o755),
            FileInImage::new("usr/local/bin/ferretdb", Content::Of(paths.bin.join("ferretdb")), 0o755),
        ]),
    ];
    let image = |name: &str, server: &str, environment: &[&str]| {
        let server_name = format!("STORE={server}");
        let environment: Vec<&str> =
            [STORES_PATH, "LANG=C.UTF-8", &server_name].iter().chain(environment).copied().collect();
        let config = json!({"Entrypoint": ["docker-entrypoint.sh"], "Cmd": [server], "Env": environment});
        Image { name: format!("docker.io/{name}"), layers: layers.to_vec(), config }
    };
    vec![
        image("library/postgres:15", "postgres", &["PGDATA=/var/lib/postgresql/data/pgdata"]),
        image("library/redis:7.0", "redis-server", &[]),
        image(
            "library/rabbitmq:3.10",
            "rabbitmq-server",
            &["HOME=/var/lib/rabbitmq", "RABBITMQ_LOGS=-", "RABBITMQ_LOG_BASE=/tmp"],
        ),
        image("library/mongo:7", "mongod", &[]),
        // What the volume provisioner makes and deletes folders with.
        image("shopkeeper/shell:1", "sh", &[]),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use serde_json::Value;

    use super::*;

    const DOCKERFILE: &str = include_str!("../../images/release/Dockerfile");

    /// What follows this instruction, wherever it stands.
    fn told(instruction: &str) -> Vec<&'static str> {
        let lines = DOCKERFILE.lines();
        lines.filter_map(|line| line.strip_prefix(instruction)?.strip_prefix(' ')).collect()
    }

    /// Where the files of an image lie.
    fn places(image: &Image) -> BTreeSet<String> {
        let place = |layer: &Layer| match layer {
            Layer::Files(files) => files.iter().map(|file| format!("/{}", file.path)).collect::<Vec<_>>(),
            Layer::Tar(path) => panic!("{} is not one of our files", path.display()),
        };
        image.layers.iter().flat_map(place).collect()
    }

    #[test]
    fn a_released_image_is_what_was_tried_out_in_development() {
        let folder = PathBuf::new;
        let paths = Paths { source: folder(), cache: folder(), bin: folder(), log: folder(), target: folder() };
        let copied: BTreeSet<String> =
            told("COPY").into_iter().filter_map(|copy| copy.split(' ').next_back()).map(str::to_owned).collect();
        let environment: Vec<&str> = told("ENV").into_iter().flat_map(str::split_whitespace).collect();
        let [entrypoint] = told("ENTRYPOINT")[..] else { panic!("one way to start it") };
        let entrypoint: Value = serde_json::from_str(entrypoint).expect("a list of words");
        for image in ours(&paths) {
            assert_eq!(copied, places(&image), "{}", image.name);
            assert_eq!(json!(environment), image.config["Env"], "{}", image.name);
            assert_eq!(json!(told("USER")), json!([image.config["User"]]), "{}", image.name);
            assert_eq!(entrypoint, image.config["Entrypoint"], "{}", image.name);
        }
    }
}
