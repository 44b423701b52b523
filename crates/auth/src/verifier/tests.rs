//! Keys that come and go while a service runs, on a clock that the test moves.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header, encode};
use ring::{rand::SystemRandom, signature::Ed25519KeyPair, signature::KeyPair as _};
use uuid::Uuid;

use super::*;
use crate::{Role, followed::LOOK_EVERY};

/// A key under a name, and a token that it signed.
struct Key {
    jwk: String,
    token: String,
}

impl Key {
    fn new(kid: &str) -> Self {
        install_crypto();
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let now = Timestamp::now().as_second();
        let claims = Claims {
            iss: "iss".to_owned(),
            aud: "aud".to_owned(),
            sub: Uuid::nil(),
            roles: vec![Role::Buyer],
            role: Role::Buyer,
            exp: now + 900,
            nbf: now,
            iat: now,
            jti: Uuid::nil(),
        };
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(ALGORITHM) };
        Self {
            jwk: format!(r#"{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"{kid}","x":"{x}"}}"#),
            token: encode(&header, &claims, &EncodingKey::from_ed_der(der.as_ref())).unwrap(),
        }
    }
}

/// The mounted file, and how often it was read.
#[derive(Default)]
struct File {
    text: Mutex<Option<String>>,
    reads: AtomicUsize,
}

impl File {
    fn publish(&self, keys: &[&Key]) {
        let jwks: Vec<&str> = keys.iter().map(|key| key.jwk.as_str()).collect();
        self.write(Some(format!(r#"{{"keys":[{}]}}"#, jwks.join(","))));
    }

    fn write(&self, text: Option<String>) {
        *self.text.lock().unwrap() = text;
    }

    fn read(&self) -> Result<String, KeysError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let missing =
            || KeysError::Unreadable { path: "jwks.json".to_owned(), source: std::io::ErrorKind::NotFound.into() };
        self.text.lock().unwrap().clone().ok_or_else(missing)
    }
}

fn verifier(file: &Arc<File>, now: Instant) -> Verifier {
    let file = Arc::clone(file);
    Verifier::of(Followed::new(move || file.read(), |text| KeySet::parse(text), now).unwrap(), "iss", "aud")
}

#[test]
fn while_keys_overlap_both_are_accepted_and_a_key_that_is_gone_is_refused() {
    let (old, new, file, start) = (Key::new("old"), Key::new("new"), Arc::<File>::default(), Instant::now());
    file.publish(&[&old]);
    let verifier = verifier(&file, start);
    let accepted = |key: &Key, looks: u32| verifier.verify_at(&key.token, start + LOOK_EVERY * looks).is_ok();
    assert!(accepted(&old, 0) && !accepted(&new, 0));
    file.publish(&[&old, &new]);
    assert!(accepted(&new, 1), "a key that came is found");
    assert!(accepted(&old, 1));
    file.publish(&[&new]);
    assert!(!accepted(&old, 2), "a key that went is refused");
    assert!(accepted(&new, 2));
}

#[test]
fn made_up_key_ids_do_not_make_us_read_the_file_more_often() {
    let (known, file, start) = (Key::new("known"), Arc::<File>::default(), Instant::now());
    file.publish(&[&known]);
    let verifier = verifier(&file, start);
    let strangers: Vec<Key> = (0..50).map(|number| Key::new(&format!("made-up-{number}"))).collect();
    for millisecond in 0..10_000 {
        let stranger = &strangers[millisecond % strangers.len()];
        let now = start + Duration::from_millis(millisecond as u64);
        assert!(verifier.verify_at(&stranger.token, now).is_err());
    }
    assert_eq!(file.reads.load(Ordering::Relaxed), 1 + 4, "at the start and every two seconds of ten");
}

#[test]
fn a_file_that_is_gone_or_damaged_takes_nothing_away() {
    let (key, other, file, start) = (Key::new("a"), Key::new("b"), Arc::<File>::default(), Instant::now());
    file.publish(&[&key]);
    let verifier = verifier(&file, start);
    for (looks, text) in [(1, None), (2, Some("{\"keys\":[".to_owned())), (3, Some("{\"keys\":[{}]}".to_owned()))] {
        file.write(text);
        assert!(verifier.verify_at(&key.token, start + LOOK_EVERY * looks).is_ok());
    }
    file.publish(&[&other]);
    assert!(verifier.verify_at(&other.token, start + LOOK_EVERY * 4).is_ok());
    assert!(verifier.verify_at(&key.token, start + LOOK_EVERY * 4).is_err());
}
