//! `helm test`: asks a deployed operator, with its own rights, whether it can do its work.

use anyhow::{Context as _, bail};
use http::{Request, Uri};
use kube::api::ListParams;
use kube::{Api, Client, Config};

use crate::crd::Shop;

/// Succeeds when the operator at `operator` is ready, and the API server lists the Shops of `namespaces` (none: of all).
pub async fn check(operator: Uri, client: Client, namespaces: &[&str]) -> anyhow::Result<()> {
    println!("the operator at {operator} says: {}", readiness(operator.clone()).await?.trim());
    let lists: Vec<Api<Shop>> = if namespaces.is_empty() {
        vec![Api::all(client)]
    } else {
        namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
    };
    for shops in lists {
        let url = shops.resource_url().to_owned();
        let list = shops.list(&ListParams::default().limit(1)).await;
        list.with_context(|| format!("{url} cannot be listed: is the chart shopkeeper-crds installed, and the RBAC?"))?;
        println!("the API server lists {url}");
    }
    Ok(())
}

/// What `/readyz` says. The Kubernetes client is an HTTP client too, and the program has no other.
async fn readiness(operator: Uri) -> anyhow::Result<String> {
    let client = Client::try_from(Config::new(operator.clone()))?;
    match client.request_text(Request::get("/readyz").body(Vec::new())?).await {
        Ok(text) => Ok(text),
        Err(error) => bail!("the operator at {operator} is not ready: {error}"),
    }
}
