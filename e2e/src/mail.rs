//! Mail as the Shop's `log` mailer writes it: one JSON line on the standard output of a user pod.

use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

use crate::{Seen, cluster::Cluster, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Line {
    mail: bool,
    to: String,
    url: String,
}

/// Path and query of the link in the last mail to `address`, as soon as it is there.
pub async fn link_for(cluster: &Cluster, address: &str) -> anyhow::Result<String> {
    let what = format!("the mail to {address} in the log of the user pods");
    let url = wait_for(&what, PATIENCE, async || {
        // A pod may end while it is asked.
        let log = match cluster.logs("user").await {
            Ok(log) => log,
            Err(error) => return Ok(Seen::NotYet(format!("{error:#}"))),
        };
        let seen = last_link(&log, address).map(Seen::Done);
        Ok(seen.unwrap_or_else(|| Seen::NotYet(format!("{} other lines", log.lines().count()))))
    })
    .await?;
    let uri: http::Uri = url.parse().with_context(|| format!("the link {url} is not a URL"))?;
    Ok(uri.path_and_query().with_context(|| format!("the link {url} has no path"))?.to_string())
}

fn last_link(log: &str, address: &str) -> Option<String> {
    let mut mails = log.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    mails.rfind(|line| line.mail && line.to.eq_ignore_ascii_case(address)).map(|line| line.url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_mail_to_the_address_is_found_between_other_lines() {
        let log = r#"
            {"level":"INFO","message":"serving"}
            {"mail":true,"to":"a@shop.test","subject":"s","url":"http://h/old"}
            {"mail":true,"to":"A@shop.test","subject":"s","url":"http://h/new"}
            {"mail":true,"to":"b@shop.test","subject":"s","url":"http://h/other"}
            not JSON"#;
        assert_eq!(last_link(log, "a@shop.test").as_deref(), Some("http://h/new"));
        assert_eq!(last_link(log, "c@shop.test"), None);
    }
}
