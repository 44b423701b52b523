//! `report`: what others need to help, in one file without secrets.

mod bundle;
mod collect;

use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;
use serde_json::Value;

use self::{bundle::Contents, collect::collect};
use crate::{
    cluster::Cluster,
    output::{GOOD, NEW, Output, Shown, View, styled},
};

const EXAMPLES: &str = "Examples:
  kubectl shopkeeper report
  kubectl shopkeeper report demo --namespace shop --file demo.tar.gz
  kubectl shopkeeper report -o json | jq -r '.missing[]'
  tar -xzf demo.tar.gz -O demo/MANIFEST.txt

In it are the Shop, every object with its labels, events, the end of the pods' logs, metrics, versions and nodes. Of Secrets
there are names, keys and sizes; what looks like a secret elsewhere is replaced by ***.";

/// Which Shop, and where to.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Report {
    /// Name of the Shop. Default: the only one in the namespace.
    shop: Option<String>,
    /// The file to write, which must not exist yet. Default: the Shop's name and the time, in this folder.
    #[arg(short, long, value_name = "FILE.tar.gz")]
    file: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl Report {
    /// Collects what it may see, and notes what not.
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<Shown> {
        let shop = cluster.shop(self.shop.as_deref()).await?;
        let name = shop.name_any();
        let now = Timestamp::now();
        let path = self.file.unwrap_or_else(|| format!("{name}-{}.tar.gz", now.strftime("%Y%m%dT%H%M%SZ")).into());
        if path.exists() {
            bail!("{} cannot be made: it is there already; name another --file", path.display());
        }
        let bundle = Box::pin(collect(cluster, shop)).await?;
        // It is for its owner to hand on.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.with_context(|| format!("{} cannot be made", path.display()))?;
        file.write_all(&bundle.archive(&name, now)?).with_context(|| path.display().to_string())?;
        Ok(self.output.of(Written { path, contents: bundle.contents() }))
    }
}

#[derive(Serialize)]
struct Written {
    path: PathBuf,
    #[serde(flatten)]
    contents: Contents,
}

impl View for Written {
    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn text(&self, _: Timestamp) -> String {
        let path = self.path.display().to_string();
        let Contents { files, missing } = &self.contents;
        let mut text = format!("{} with {} files; MANIFEST.txt lists them\n", styled(&path, GOOD), files.len());
        text.extend(missing.iter().map(|missing| format!("{} {missing}\n", styled("not in it:", NEW))));
        text + "Logs can name your customers. Look through it before you hand it on.\n"
    }
}
