//! Tokens that attackers make, against the verifier alone.

use shop_auth::Verifier;
use shop_testing::{
    TestTokens,
    forgeries::{forgeries, genuine},
};

#[test]
fn no_forgery_is_taken_for_a_token_and_all_are_refused_in_the_same_words() {
    let tokens = TestTokens::create();
    let verifier = Verifier::from_config(&tokens.config()).unwrap();
    assert!(verifier.verify(&genuine(&tokens)).is_ok(), "the forger's hands make good tokens too");
    for (what, token) in forgeries(&tokens) {
        let fault = verifier.verify(&token).expect_err(&what);
        assert_eq!(fault.public(), "The access token is not valid; log in again", "{what}");
        assert!(fault.cause().is_some(), "{what}: the log has the reason");
    }
}

#[test]
fn a_header_that_is_no_bearer_token_is_refused() {
    let tokens = TestTokens::create();
    let verifier = Verifier::from_config(&tokens.config()).unwrap();
    let good = genuine(&tokens);
    assert!(verifier.verify_header(Some(&format!("Bearer {good}"))).is_ok());
    for value in [good.clone(), format!("Basic {good}"), format!("Bearer{good}"), "Bearer".to_owned(), String::new()] {
        assert!(verifier.verify_header(Some(&value)).is_err(), "{value}");
    }
    assert!(verifier.verify_header(None).is_err());
}
