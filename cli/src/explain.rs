//! Errors in the words of somebody who can do something about them.

use std::error::Error;

/// All that an error says, each thing once, and without what only programmers read.
pub fn explain(error: impl Into<anyhow::Error>) -> String {
    words(&error.into())
}

/// The same for whoever called the plugin, with what to do where that is known.
pub fn explain_with_advice(error: &anyhow::Error) -> String {
    let advice = error.chain().find_map(|cause| advice(cause.downcast_ref()?)).unwrap_or_default();
    words(error) + advice
}

fn words(error: &anyhow::Error) -> String {
    let mut said = Vec::new();
    for cause in error.chain() {
        match cause.downcast_ref::<kube::Error>() {
            Some(kube::Error::Api(status)) => {
                let words = [&status.message, &status.reason].into_iter().find(|words| !words.is_empty());
                said.push(words.cloned().unwrap_or_else(|| format!("the API server answered {}", status.code)));
                break;
            }
            // It only puts a technical name before what it wraps.
            Some(wrapper) if wrapper.source().is_some() => {}
            _ => said.push(own_words(cause)),
        }
    }
    said.retain(|words| !words.is_empty());
    said.join(": ")
}

/// What an error says itself: many of them end with what they wrap.
fn own_words(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    let wrapped = error.source().map(ToString::to_string).unwrap_or_default();
    let own = text.strip_suffix(&wrapped).unwrap_or(&text);
    own.trim_end_matches([':', ' ']).to_owned()
}

fn advice(error: &kube::Error) -> Option<&'static str> {
    match error {
        kube::Error::Api(status) if status.code == 401 => {
            Some("; the API server does not know you: log in again, or name another --context")
        }
        // Admission and quotas forbid too, in other words.
        kube::Error::Api(status) if status.is_forbidden() && status.message.contains(" cannot ") => {
            Some("; ask for this right, or name another --context")
        }
        kube::Error::Service(_) | kube::Error::HyperError(_) => {
            Some("; is the cluster running, and is it the one you mean? --context names another one")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context as _;
    use serde_json::json;

    use super::*;

    fn refusal(code: u16, reason: &str, message: &str) -> kube::Error {
        let status = json!({"status": "Failure", "code": code, "reason": reason, "message": message});
        kube::Error::Api(serde_json::from_value(status).unwrap())
    }

    const FORBIDDEN: &str =
        "shops.shopkeeper.dev is forbidden: User \"viewer\" cannot list resource \"shops\" in the namespace \"oak\"";

    #[test]
    fn a_missing_right_is_named_once_with_its_verb_and_what_to_do() {
        let refused: anyhow::Result<()> =
            Err(refusal(403, "Forbidden", FORBIDDEN)).context("the Shops cannot be listed");
        let error = refused.unwrap_err();
        assert_eq!(explain(refusal(403, "Forbidden", FORBIDDEN)), FORBIDDEN);
        let expected =
            format!("the Shops cannot be listed: {FORBIDDEN}; ask for this right, or name another --context");
        assert_eq!(explain_with_advice(&error), expected);
    }

    #[test]
    fn a_refusal_that_is_about_no_right_gives_no_advice_about_rights() {
        let quota = "pods \"a\" is forbidden: exceeded quota: small";
        assert_eq!(explain_with_advice(&refusal(403, "Forbidden", quota).into()), quota);
        assert_eq!(explain(refusal(409, "Conflict", "")), "Conflict");
        assert_eq!(explain(refusal(500, "", "")), "the API server answered 500");
    }

    #[test]
    fn expired_credentials_are_told_from_missing_rights() {
        let text = explain_with_advice(&refusal(401, "Unauthorized", "Unauthorized").into());
        assert!(text.starts_with("Unauthorized; the API server does not know you"), "{text}");
    }

    #[test]
    fn what_an_error_wraps_is_said_once() {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let error = anyhow::Error::new(kube::Error::Service(refused().into())).context("the Shop cannot be read");
        assert_eq!(explain(error), "the Shop cannot be read: connection refused");
        let error = anyhow::Error::new(kube::Error::ReadEvents(refused())).context("the watch");
        assert_eq!(explain(error), "the watch: connection refused");
    }
}
