//! What a token must and must not be, as a service sees it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use ring::{rand::SystemRandom, signature::Ed25519KeyPair, signature::KeyPair as _};
use shop_auth::{Role, Signer, Verifier};
use shop_core::Kind;
use uuid::Uuid;

struct Keys {
    pem: String,
    jwks: String,
}

fn keys(kid: &str) -> Keys {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("random numbers");
    let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("our own key");
    let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    Keys {
        pem: format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"),
        jwks: format!(
            r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"{kid}","x":"{x}"}}]}}"#
        ),
    }
}

fn mint(keys: &Keys, kid: &str, now: Timestamp) -> String {
    let signer = Signer::new(keys.pem.as_bytes(), kid, "iss", "aud").expect("our own key");
    signer.mint(Uuid::from_u128(7), &[Role::Buyer, Role::Seller], Uuid::from_u128(1), now).expect("a token")
}

#[test]
fn a_fresh_token_names_its_user_and_roles() {
    let keys = keys("a");
    let verifier = Verifier::new(&keys.jwks, "iss", "aud").unwrap();
    let token = mint(&keys, "a", Timestamp::now());
    let caller = verifier.verify_header(Some(&format!("bearer {token}"))).unwrap();
    assert_eq!(caller.id, Uuid::from_u128(7));
    assert!(caller.is(Role::Seller) && !caller.is(Role::Admin));
}

#[test]
fn a_token_is_refused_when_spent_early_foreign_or_for_somebody_else() {
    let (ours, theirs) = (keys("a"), keys("a"));
    let verifier = Verifier::new(&ours.jwks, "iss", "aud").unwrap();
    let now = Timestamp::now();
    let hour = SignedDuration::from_hours(1);
    let other_audience = Verifier::new(&ours.jwks, "iss", "other").unwrap();
    assert!(verifier.verify(&mint(&ours, "a", now - hour)).is_err(), "expired");
    assert!(verifier.verify(&mint(&ours, "a", now + hour)).is_err(), "not yet valid");
    assert!(verifier.verify(&mint(&theirs, "a", now)).is_err(), "another key under our kid");
    assert!(verifier.verify(&mint(&ours, "b", now)).is_err(), "unknown kid");
    assert!(other_audience.verify(&mint(&ours, "a", now)).is_err(), "another audience");
}

#[test]
fn a_token_that_chooses_its_own_algorithm_is_refused() {
    let keys = keys("a");
    let verifier = Verifier::new(&keys.jwks, "iss", "aud").unwrap();
    let token = mint(&keys, "a", Timestamp::now());
    let (_, rest) = token.split_once('.').unwrap();
    for algorithm in ["none", "HS256", "RS256"] {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":"a"}}"#));
        assert!(verifier.verify(&format!("{header}.{rest}")).is_err(), "{algorithm}");
    }
}

#[test]
fn whatever_is_no_token_of_ours_is_refused_in_the_same_words() {
    let keys = keys("a");
    let verifier = Verifier::new(&keys.jwks, "iss", "aud").unwrap();
    let token = mint(&keys, "a", Timestamp::now());
    let refused = |text: &str| {
        let fault = verifier.verify(text).err().ok_or_else(|| TestCaseError::fail(format!("accepted: {text}")))?;
        prop_assert_eq!(
            (fault.kind(), fault.public()),
            (Kind::Unauthenticated, "The access token is not valid; log in again")
        );
        Ok(())
    };
    proptest!(|(text in prop_oneof!["\\PC*", "[A-Za-z0-9_-]*\\.[A-Za-z0-9_-]*\\.[A-Za-z0-9_-]*", "ey[A-Za-z0-9_-]{0,6000}"])| {
        refused(&text)?;
    });
    proptest!(|(header in "\\PC{0,80}", claims in "\\PC{0,200}")| {
        refused(&[header.as_str(), &claims, "sig"].map(|part| URL_SAFE_NO_PAD.encode(part)).join("."))?;
    });
    proptest!(|(place in 0..token.len(), letter in "[A-Za-z0-9_.-]")| {
        let forged = [&token[..place], &letter, &token[place + 1..]].concat();
        if forged != token {
            refused(&forged)?;
        }
    });
}

#[test]
fn no_authorization_header_is_understood_but_ours() {
    let keys = keys("a");
    let verifier = Verifier::new(&keys.jwks, "iss", "aud").unwrap();
    proptest!(|(header in prop_oneof!["\\PC*", "(Bearer|bearer|Basic|) {0,3}\\PC*"])| {
        prop_assert_eq!(verifier.verify_header(Some(&header)).unwrap_err().kind(), Kind::Unauthenticated);
    });
}
