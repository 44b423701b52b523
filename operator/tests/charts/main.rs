//! The charts as Helm renders them and a release packs them, what their readers say to them, and the chart of the Shop resource on
//! an API server. Needs no cluster; `cargo xtask test` puts helm, promtool, kube-score and kubeconform on the PATH.

mod conform;
mod definition;
mod folder;
mod helm;
mod lint;
mod monitoring;
mod notes;
mod operator;
mod publish;
mod release;
mod rights;
#[path = "../apiserver/scene.rs"]
mod scene;
mod schemas;
mod values;
