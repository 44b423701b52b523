//! Certificates of a Shop that is otherwise left alone, because it is paused or something is in the way. Pods that serve need them
//! all the same: without new ones the services would refuse each other within a day.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use kube::ResourceExt;
use serde_json::json;

use super::{Context, Error};
use crate::apply::{amend, ownership::owns};
use crate::build::certificate_data;
use crate::crd::{Mtls, Shop};
use crate::identities::{Identities, Worry};
use crate::observe::{self, Certificates};
use crate::{credentials, identities, names};

/// How the certificates are.
#[derive(Debug)]
pub(super) struct Renewed {
    /// What is wrong with them, and with those that somebody else made; `None` where there are none.
    pub worries: Option<Vec<Worry>>,
    /// When the next one is due.
    pub due: Option<Timestamp>,
}

/// Renews what is due in the Secrets that are there, and writes nothing else.
pub(super) async fn renew(context: &Context, shop: &Shop, now: Timestamp) -> Result<Renewed, Error> {
    let mut found = observe::certificates(&context.client, shop).await?;
    let uid = shop.uid().unwrap_or_default();
    found.secrets.retain(|secret| owns(&uid, secret));
    let given = identities::worries_about_given(shop, &found.given, now);
    if found.secrets.is_empty() {
        return Ok(Renewed { worries: given, due: None });
    }
    let (identities, obstacle) = match wanted(context, shop, &found, now) {
        Ok(identities) => (identities, None),
        Err(obstacle) => (Identities::default(), Some(obstacle)),
    };
    for (name, data) in contents(&shop.name_any(), &identities) {
        let Some(secret) = found.secrets.iter_mut().find(|secret| secret.name_any() == name) else { continue };
        let there = secret.data.clone().unwrap_or_default();
        if data.iter().any(|(key, value)| there.get(key) != Some(value)) {
            *secret = amend(&context.client, secret, json!({ "data": data })).await?;
        }
    }
    let embeds: Vec<&str> = shop.spec.embedded_stores().collect();
    let ours = identities::worries(&shop.name_any(), &embeds, &found.secrets, &found.pods, now);
    let worries = obstacle.into_iter().chain(ours.into_iter().flatten()).chain(given.into_iter().flatten());
    Ok(Renewed { worries: Some(worries.collect()), due: identities.due() })
}

/// The certificates as they should be, or why that cannot be told.
fn wanted(context: &Context, shop: &Shop, found: &Certificates, now: Timestamp) -> Result<Identities, Worry> {
    let name = names::credentials(&shop.name_any());
    let judged = credentials::judge(found.credentials.clone(), shop, &[], &found.secrets);
    let secret = judged.map_err(|unfit| Worry { reason: unfit.reason(), breaks: true, message: unfit.to_string() })?;
    let secret = secret.ok_or_else(|| Worry {
        reason: "CredentialsLost",
        breaks: true,
        message: format!("Secret {name} is gone, and no certificate is renewed without it: restore it from a backup"),
    })?;
    let unusable = |error: String| {
        let message = format!("Secret {name}: {error}");
        Worry { reason: "AuthorityUnusable", breaks: true, message }
    };
    let credentials = credentials::read(&secret).map_err(|error| unusable(error.to_string()))?;
    // Whoever has a certificate still shows it, also where the spec does not want that any more.
    let mut as_it_runs = shop.clone();
    as_it_runs.spec.mesh.mtls = Mtls::Strict;
    let (authorities, secrets, pods) = (credentials.mesh_authorities(), &found.secrets, &found.pods);
    let identities = identities::renew(authorities, &as_it_runs, secrets, pods, now, &context.random);
    identities.map_err(|error| unusable(error.to_string()))
}

/// What the Secrets should hold, by their names.
fn contents(shop: &str, identities: &Identities) -> Vec<(String, BTreeMap<String, ByteString>)> {
    let encode = |data: BTreeMap<&'static str, String>| {
        data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes()))).collect()
    };
    let services = identities.services.iter().map(|(service, leaf)| (names::identity(shop, service), leaf.data()));
    let stores = identities.stores.iter();
    let stores = stores.map(|(store, leaf)| (names::certificate(shop, store), certificate_data(store, leaf)));
    services.chain(stores).map(|(name, data)| (name, encode(data))).collect()
}
