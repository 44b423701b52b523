//! The docs service's settings.

use http::Uri;
use serde::Deserialize;

/// Read from `SHOP_*` variables.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Whose documents are merged, and in which order they are shown.
    pub upstreams: Upstreams,
}

/// `name=url,name=url`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Upstreams(pub Vec<Upstream>);

/// A service with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The service.
    pub name: String,
    /// Where its document is.
    pub document: Uri,
}

/// A list that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not name=url: write for instance user=http://shop-user:8081,product=http://shop-product:8081")]
pub struct NotAnUpstream(String);

impl TryFrom<String> for Upstreams {
    type Error = NotAnUpstream;

    fn try_from(text: String) -> Result<Self, NotAnUpstream> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries
            .map(|entry| upstream(entry).ok_or_else(|| NotAnUpstream(entry.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn upstream(entry: &str) -> Option<Upstream> {
    let (name, url) = entry.split_once('=')?;
    let document: Uri = format!("{}/openapi.json", url.trim().trim_end_matches('/')).parse().ok()?;
    let usable = !name.is_empty() && document.scheme_str() == Some("http") && document.host().is_some();
    usable.then(|| Upstream { name: name.trim().to_owned(), document })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_services_is_read() {
        let Upstreams(read) = "user=http://u:8081, cart=http://c:8081/".to_owned().try_into().unwrap();
        let told: Vec<_> = read.iter().map(|upstream| format!("{} {}", upstream.name, upstream.document)).collect();
        assert_eq!(told, ["user http://u:8081/openapi.json", "cart http://c:8081/openapi.json"]);
    }

    #[test]
    fn an_entry_that_is_no_service_is_named() {
        for bad in ["user", "=http://u", "user=u:8081", "user=https://u:8081"] {
            let error = Upstreams::try_from(format!("a=http://b:1,{bad}")).unwrap_err();
            assert_eq!(error, NotAnUpstream(bad.to_owned()));
        }
    }
}
