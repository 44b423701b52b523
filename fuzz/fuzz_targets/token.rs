//! Access tokens, and the key sets that verify them.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shop_auth::Verifier;
use shop_core::Kind;

/// The public key of RFC 8037, appendix A; its private one signs nothing here.
const KEYS: &str = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "test",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::new(KEYS, "shop", "shop").expect("a key set"));

fuzz_target!(|text: &str| {
    let refused = VERIFIER.verify_header(Some(text)).expect_err("a token that nobody signed");
    assert_eq!(refused.kind(), Kind::Unauthenticated);
    // Any other text is no key set, which it says.
    let _ = Verifier::new(text, "shop", "shop");
});
