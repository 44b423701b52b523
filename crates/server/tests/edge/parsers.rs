//! Bodies and queries from nowhere: read into a value that keeps its rules, or refused as invalid.

use axum::extract::FromRequestParts as _;
use futures::executor::block_on;
use garde::Validate;
use proptest::{prelude::*, string::string_regex};
use serde::Deserialize;
use shop_core::Kind;
use shop_server::http::{Params, parse};

#[derive(Debug, Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Order {
    #[garde(length(min = 1, max = 3), dive)]
    lines: Vec<Line>,
    #[garde(inner(length(chars, max = 10)))]
    note_text: Option<String>,
}

#[derive(Debug, Deserialize, Validate)]
struct Line {
    #[garde(range(min = 1, max = 999))]
    quantity: u32,
    #[garde(skip)]
    price: f64,
}

#[derive(Debug, Deserialize, Validate)]
struct Page {
    #[garde(inner(range(min = 1, max = 100)))]
    limit: Option<u32>,
    #[garde(inner(length(chars, max = 10)))]
    q: Option<String>,
}

const LINE: &str = r#"\{"quantity":(1|0|-1|1e9|999|"1"|null),"price":(1|1e308|-0|1e999)\}"#;

/// Texts that look like JSON more often than not.
fn json() -> impl Strategy<Value = Vec<u8>> {
    let order = [r#"\{"(lines|liens)":\[("#, LINE, r#",?){0,4}\](,"noteText":"[a-z]{0,12}")?\}?"#].concat();
    prop_oneof![
        any::<Vec<u8>>(),
        r#"[\[\]{}":,0-9a-z\\u]{0,200}"#.prop_map(String::into_bytes),
        string_regex(&order).expect("a regular expression").prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn any_body_is_a_value_that_keeps_its_rules_or_is_invalid(body in json()) {
        match parse::<Order>(&body) {
            Ok(order) => {
                prop_assert!((1..=3).contains(&order.lines.len()));
                prop_assert!(order.lines.iter().all(|line| (1..=999).contains(&line.quantity) && line.price.is_finite()));
            }
            Err(fault) => prop_assert_eq!(fault.kind(), Kind::Invalid),
        }
    }

    #[test]
    fn nesting_is_refused_however_deep(depth in 1_usize..100_000, open in prop_oneof![Just("["), Just("{\"a\":"), Just("{\"lines\":[")]) {
        prop_assert!(parse::<Order>(open.repeat(depth).as_bytes()).is_err());
    }

    #[test]
    fn any_query_is_a_page_within_its_limits_or_a_problem(query in "(limit|q|page|%6cimit)=[0-9a-z%+&=-]{0,30}|[!-~&&[^#<>\"]]{0,60}") {
        let Ok(uri) = format!("/search?{query}").parse::<http::Uri>() else { return Ok(()) };
        let (mut parts, ()) = http::Request::get(uri).body(()).unwrap().into_parts();
        if let Ok(Params(page)) = block_on(Params::<Page>::from_request_parts(&mut parts, &())) {
            prop_assert!(page.limit.is_none_or(|limit| (1..=100).contains(&limit)));
            prop_assert!(page.q.is_none_or(|q| q.chars().count() <= 10));
        }
    }
}
