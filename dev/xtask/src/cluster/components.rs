//! What runs on the node, and with which flags.

use std::path::{Path, PathBuf};

use super::network::NODE;

/// One process of the cluster.
pub struct Component {
    /// Its name in logs and in `status`.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its flags.
    pub arguments: Vec<String>,
}

/// What must run before the API server answers.
pub fn control_plane(bin: &Path, state: &Path) -> Vec<Component> {
    let s = state.to_string_lossy();
    let own = |name, program: &str, flags: String| component(name, bin.join(program), &flags);
    vec![
        own(
            "etcd",
            "etcd",
            format!(
                "--data-dir={s}/etcd --unsafe-no-fsync --log-level=warn --listen-client-urls=http://127.0.0.1:2379
                 --advertise-client-urls=http://127.0.0.1:2379 --listen-peer-urls=http://127.0.0.1:2380"
            ),
        ),
        own(
            "apiserver",
            "kube-apiserver",
            format!(
                "--etcd-servers=http://127.0.0.1:2379 --advertise-address={NODE} --secure-port=6443
                 --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC --allow-privileged=true
                 --tls-cert-file={s}/pki/apiserver.crt --tls-private-key-file={s}/pki/apiserver.key --client-ca-file={s}/pki/ca.crt
                 --kubelet-client-certificate={s}/pki/admin.crt --kubelet-client-key={s}/pki/admin.key
                 --kubelet-preferred-address-types=InternalIP --service-account-issuer=https://kubernetes.default.svc
                 --service-account-key-file={s}/pki/service-accounts.pub --service-account-signing-key-file={s}/pki/service-accounts.key
                 --proxy-client-cert-file={s}/pki/front-proxy.crt --proxy-client-key-file={s}/pki/front-proxy.key
                 --requestheader-client-ca-file={s}/pki/ca.crt --requestheader-allowed-names=front-proxy
                 --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group
                 --requestheader-extra-headers-prefix=X-Remote-Extra-"
            ),
        ),
        component("containerd", PathBuf::from("/usr/bin/containerd"), &format!("--config={s}/containerd.toml")),
        own(
            "controller-manager",
            "kube-controller-manager",
            format!(
                "--kubeconfig={s}/controller-manager.kubeconfig --cluster-cidr=10.244.0.0/16 --allocate-node-cidrs=true
                 --root-ca-file={s}/pki/ca.crt --service-account-private-key-file={s}/pki/service-accounts.key
                 --cluster-signing-cert-file={s}/pki/ca.crt --cluster-signing-key-file={s}/pki/ca.key
                 --use-service-account-credentials=true --leader-elect=false"
            ),
        ),
        own("scheduler", "kube-scheduler", format!("--kubeconfig={s}/scheduler.kubeconfig --leader-elect=false")),
    ]
}

/// What can only run once the API server answers.
pub fn node(bin: &Path, state: &Path) -> Vec<Component> {
    let s = state.to_string_lossy();
    vec![
        component(
            "kubelet",
            bin.join("kubelet"),
            &format!(
                "--config={s}/kubelet.yaml --kubeconfig={s}/node.kubeconfig --root-dir={s}/kubelet --hostname-override=node --node-ip={NODE}"
            ),
        ),
        component("proxy", bin.join("kube-proxy"), &format!("--config={s}/proxy.yaml")),
    ]
}

fn component(name: &'static str, program: PathBuf, flags: &str) -> Component {
    Component { name, program, arguments: flags.split_whitespace().map(ToOwned::to_owned).collect() }
}
