//! Known values, hidden in every way that somebody may write them.

use std::sync::LazyLock;

use k8s_openapi::ByteString;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// To compile them takes longer than all that is done with them.
static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| Patterns::new().unwrap());

fn known(key: &str, value: &str) -> Known {
    let data = [(key.to_owned(), ByteString(value.as_bytes().to_vec()))];
    let secret = Secret { data: Some(data.into()), ..Secret::default() };
    Known::new(&[secret], &PATTERNS).unwrap()
}

/// Every way to write a value that people and programs have.
fn ways(value: &str) -> Vec<String> {
    let json = json!({"is": value}).to_string();
    let upper = in_url(value, "-._~");
    vec![
        value.to_owned(),
        format!("amqp://order:{upper}@acorn-rabbitmq:5672/shop"),
        format!("redirect?to={}", lower_case(&upper)),
        json!({"log": &json}).to_string(),
        json,
        STANDARD.encode(value),
        STANDARD.encode(format!("{value}\n")),
    ]
}

proptest! {
    #[test]
    fn a_value_is_taken_out_however_it_is_written(
        value in "[!-)+-~]{8,40}", before in "[ -~]{0,20}", after in "[ -~]{0,20}",
    ) {
        let known = known("password", &value);
        for way in ways(&value) {
            let hidden = known.hide(&format!("{before}{way}{after}"));
            prop_assert!(hidden.contains(HIDDEN), "{} in {}", way, hidden);
            prop_assert!(!hidden.contains(&value) && !hidden.contains(&way), "{} in {}", way, hidden);
        }
    }

    #[test]
    fn a_value_is_taken_out_of_something_larger_in_base64(
        value in "[!-~]{8,40}", before in "[ -~]{0,20}", after in "[ -~]{0,20}",
    ) {
        let larger = STANDARD.encode(format!("{before}{value}{after}"));
        let hidden = known("password", &value).hide(&larger);
        prop_assert!(hidden.contains(HIDDEN), "{}", hidden);
        // Of the value itself at most the first and the last character depend on what is beside it, by a few bits each.
        prop_assert!(hidden.len() <= STANDARD.encode(format!("{before}{after}")).len() + HIDDEN.len() + 8, "{}", hidden);
    }

    #[test]
    fn the_password_in_a_known_address_is_taken_out_without_the_address(password in "[!-)+-~]{8,40}") {
        let address = format!("postgres://order:{}@acorn-postgres:5432/order", in_url(&password, "-._~"));
        let hidden = known("SHOP_POSTGRES__URL", &address).hide(&format!("tried {password} in vain"));
        prop_assert!(!hidden.contains(&password), "{}", hidden);
    }

    #[test]
    fn nothing_else_is_touched(value in "[A-Z]{8,40}", text in "[a-z ]{0,80}") {
        prop_assert_eq!(known("password", &value).hide(&text), text);
    }
}

#[test]
fn a_key_is_taken_out_line_by_line_however_its_lines_are_joined() {
    let lines = ["MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsxElHFLuX", "MpkZVwMrGq5X4YAq"];
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    let known = known("jwt-signing.pem", &pem);
    for text in [pem.clone(), json!({"key": pem}).to_string(), lines.join("\r\n"), lines.concat(), lines[1].to_owned()]
    {
        let hidden = known.hide(&text);
        assert!(lines.iter().all(|line| !hidden.contains(line)), "{hidden}");
    }
}

#[test]
fn of_json_the_fields_count_that_are_called_secret() {
    let login =
        json!({"auths": {"registry.test": {"username": "puller", "password": "pull-me-1", "auth": "cHVsbGVyOng="}}});
    let hidden =
        known(".dockerconfigjson", &login.to_string()).hide("puller said pull-me-1, cHVsbGVyOng= to registry.test");
    assert_eq!(hidden, "puller said ***, *** to registry.test");
}

#[test]
fn a_short_password_is_hidden_as_a_word_and_what_is_none_stays() {
    let passwords = known("smtp-password", "hunter2");
    assert_eq!(passwords.hide("with hunter2, not hunter22"), "with ***, not hunter22");
    assert_eq!(known("log-level", "info").hide("info: ready"), "info: ready");
    assert_eq!(known("username", "postgres").hide("postgres starts"), "postgres starts", "a user's name is no secret");
    assert_eq!(known("redis-url", "redis://:abc12@h").hide("not abc12 again"), "not *** again");
}

#[test]
fn bytes_that_are_no_text_are_found_in_base64() {
    let bytes = [0xff_u8, 0, 1, 2, 3, 4, 5, 0xfe, 7, 8];
    let data = [("key".to_owned(), ByteString(bytes.to_vec()))];
    let secret = Secret { data: Some(data.into()), ..Secret::default() };
    let known = Known::new(&[secret], &PATTERNS).unwrap();
    assert_eq!(known.hide(&format!("key {}.", STANDARD.encode(bytes))), "key ***.");
}
