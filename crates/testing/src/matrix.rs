//! Who may call what: a table with a row for every route and a column for everybody who may come.
//!
//! ```text
//!                                nobody  buyer  other-buyer  seller  other-seller  admin
//! GET /api/v1/products/{id} draft  404    404      404         ok        404         ok
//! ```
//!
//! A row is a route, what it is called on where that matters, and what everybody gets: `ok`, or the status of the refusal.
//! A route of the service without a row fails the test, and so does a row without a route.

use std::collections::BTreeSet;

use serde_json::Value;
use shop_auth::Role;
use tonic::{Code, Response, Status};

/// Somebody who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Without a token.
    Nobody,
    /// Whose things they are, where they are a buyer's.
    Buyer,
    /// A buyer whose things they are not.
    OtherBuyer,
    /// Whose things they are, where they are a seller's.
    Seller,
    /// A seller whose things they are not.
    OtherSeller,
    /// May manage the shop.
    Admin,
}

impl Who {
    /// Everybody, in the order of a table's columns.
    pub const ALL: [Self; 6] =
        [Self::Nobody, Self::Buyer, Self::OtherBuyer, Self::Seller, Self::OtherSeller, Self::Admin];

    /// What they may do; `None` of who has no token.
    #[must_use]
    pub const fn roles(self) -> Option<&'static [Role]> {
        match self {
            Self::Nobody => None,
            Self::Buyer | Self::OtherBuyer => Some(&[Role::Buyer]),
            Self::Seller | Self::OtherSeller => Some(&[Role::Buyer, Role::Seller]),
            Self::Admin => Some(&[Role::Buyer, Role::Admin]),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Buyer => "buyer",
            Self::OtherBuyer => "other-buyer",
            Self::Seller => "seller",
            Self::OtherSeller => "other-seller",
            Self::Admin => "admin",
        }
    }
}

/// One cell of a table: who calls what on what.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// An HTTP method, or `RPC`.
    pub method: &'a str,
    /// The route's template, or the method's name.
    pub path: &'a str,
    /// What the route is called on, where one route has several rows; else empty.
    pub case: &'a str,
    /// Who calls.
    pub who: Who,
}

/// Calls every cell of `table` and panics with all that differ from it. `routes` is what the service has.
pub async fn check(table: &str, routes: &BTreeSet<String>, call: impl AsyncFn(Cell<'_>) -> String) {
    let mut lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    let columns: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(columns, Who::ALL.map(Who::name), "the table's first line names its columns");
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    let known = rows.iter().map(|row| row[..2].join(" ")).collect::<BTreeSet<_>>();
    assert_eq!(&known, routes, "left: routes with a row, right: routes of the service");

    let mut wrong = Vec::new();
    for row in &rows {
        let Some((start, expected)) = row.split_last_chunk::<6>() else { panic!("six answers in {row:?}") };
        let [method, path, case @ ..] = start else { panic!("a method and a path in {row:?}") };
        let case = case.first().copied().unwrap_or_default();
        for (who, expected) in Who::ALL.into_iter().zip(expected) {
            let answer = call(Cell { method, path, case, who }).await;
            if answer != *expected {
                wrong.push(format!("{method} {path} {case} by {}: {answer} and not {expected}", who.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every route of an OpenAPI document, as `GET /path`.
#[must_use]
pub fn routes(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let methods = paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase());
        let known = methods.filter(|method| ["GET", "PUT", "POST", "DELETE", "PATCH"].contains(&method.as_str()));
        known.map(move |method| format!("{method} {path}"))
    });
    methods.collect()
}

/// Every method of the services in a `.proto` file, as `RPC Name`.
#[must_use]
pub fn methods(proto: &str) -> BTreeSet<String> {
    let declared = proto.lines().filter_map(|line| line.trim().strip_prefix("rpc "));
    declared.filter_map(|rest| rest.split('(').next()).map(|name| format!("RPC {name}")).collect()
}

/// What an HTTP status says about who may call.
#[must_use]
pub fn told(status: u16) -> String {
    if (200..300).contains(&status) { "ok".to_owned() } else { status.to_string() }
}

/// What a gRPC answer says about who may call, in the words of HTTP.
pub fn told_by_rpc<T>(answer: &Result<Response<T>, Status>) -> String {
    match answer.as_ref().map_err(Status::code) {
        Ok(_) => "ok".to_owned(),
        Err(Code::Unauthenticated) => "401".to_owned(),
        Err(Code::PermissionDenied) => "403".to_owned(),
        Err(Code::NotFound) => "404".to_owned(),
        Err(Code::FailedPrecondition) => "409".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}
