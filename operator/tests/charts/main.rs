//! The charts as Helm renders them and a release packs them, and what their readers say to them. Needs no cluster; `cargo xtask test`
//! puts helm, promtool and kube-score on the PATH.

mod folder;
mod helm;
mod lint;
mod monitoring;
mod operator;
mod release;
mod rights;
mod values;
