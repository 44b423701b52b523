//! Pure: Secrets that somebody else writes and pods read by themselves: those of the mail server, the bucket, the first admin and
//! the trace collector. The operator only looks whether they change, so that pods follow.

use std::collections::BTreeMap;

use crate::build::short_hash;
use crate::crd::Shop;
use crate::names;
use crate::stores::Found;
use crate::validate::{Traces, ValidShop};

/// Names of these Secrets of a Shop.
#[must_use]
pub fn secret_names(shop: &Shop) -> Vec<String> {
    let spec = &shop.spec;
    let names = [
        spec.users.admin_secret_name.as_ref(),
        spec.users.mail.smtp.as_ref().map(|smtp| &smtp.secret_name),
        spec.products.images.s3.as_ref().map(|bucket| &bucket.secret_name),
        spec.telemetry.otlp.as_ref().and_then(|otlp| otlp.headers_secret_name.as_ref()),
    ];
    names.into_iter().flatten().cloned().collect()
}

/// The hashes of what they say. One that is not there is none of them: a pod that needs it waits for it, and says so.
#[must_use]
pub fn hashes(shop: &Shop, found: &Found) -> BTreeMap<String, String> {
    let there = secret_names(shop).into_iter().filter_map(|name| Some((found.secrets.get(&name)?, name)));
    there.map(|(secret, name)| (name, short_hash(format!("{:?}", secret.data).as_bytes()))).collect()
}

/// One hash over all that others say in Secrets which the Shop names, those of stores included: with other values something that
/// failed may succeed.
#[must_use]
pub fn all(found: &Found) -> String {
    let values: Vec<_> = found.secrets.iter().map(|(name, secret)| (name, &secret.data)).collect();
    short_hash(format!("{values:?}").as_bytes())
}

/// Those that the pods of a service read.
#[must_use]
pub fn read_by(shop: &ValidShop, service: &str) -> Vec<String> {
    let headers = match &shop.traces {
        Traces::Otlp { headers, .. } => headers.clone(),
        Traces::Embedded { .. } | Traces::Disabled => None,
    };
    let own = match service {
        "user" => {
            let admin = shop.users.admin_secret_name.clone().unwrap_or_else(|| names::admin(&shop.name));
            let mail = shop.users.mail.smtp.as_ref().map(|smtp| smtp.secret_name.clone());
            [Some(admin), mail]
        }
        "product" => [shop.images.as_ref().map(|bucket| bucket.secret_name.clone()), None],
        _ => [None, None],
    };
    own.into_iter().flatten().chain(headers).collect()
}
