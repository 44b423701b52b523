//! Who may call what of the user service.

use reqwest::Method;
use serde_json::{Value, json};
use shop_auth::Role;
use shop_testing::matrix::{Cell, Who, check, routes, told};

use crate::harness::{ADMIN_PASSWORD, PASSWORD, Shop, address};

/// What proves itself by a password or by a token of a mail or session is open to everybody who has that.
const HTTP: &str = "
                                                nobody  buyer  other-buyer  seller  other-seller  admin
    POST /api/v1/auth/register                    ok      ok       ok         ok        ok          ok
    POST /api/v1/auth/verify-email/request        ok      ok       ok         ok        ok          ok
    GET  /api/v1/auth/verify-email                ok      ok       ok         ok        ok          ok
    POST /api/v1/auth/login                       ok      ok       ok         ok        ok          ok
    POST /api/v1/auth/refresh                     ok      ok       ok         ok        ok          ok
    POST /api/v1/auth/logout                      ok      ok       ok         ok        ok          ok
    POST /api/v1/auth/password/forgot             ok      ok       ok         ok        ok          ok
    POST /api/v1/auth/password/reset              ok      ok       ok         ok        ok          ok
    GET  /api/v1/users/me                         401     ok       ok         ok        ok          ok
    PUT  /api/v1/users/me/password                401     ok       ok         ok        ok          ok
    PUT  /api/v1/users/apply-seller               401     ok       ok         ok        ok          ok
    GET  /api/v1/users                            401     403      403        403       403         ok
    PUT  /api/v1/users/{id}/promote-admin         401     403      403        403       403         ok
    GET  /.well-known/jwks.json                   ok      ok       ok         ok        ok          ok
";

/// An account of the service's own making, with a token that carries its roles.
struct Member {
    id: String,
    token: String,
    password: &'static str,
}

async fn member(shop: &Shop, who: Who) -> Option<Member> {
    let roles = who.roles()?;
    let (pair, password) = match who {
        Who::Admin => (shop.admin_session().await, ADMIN_PASSWORD),
        _ => (shop.user().await.1, PASSWORD),
    };
    let pair = if roles.contains(&Role::Seller) {
        assert_eq!(shop.put("/api/v1/users/apply-seller", &pair.access).await.status, 200);
        shop.refresh(&pair.refresh).await.pair()
    } else {
        pair
    };
    let me = shop.me(&pair.access).await;
    assert_eq!(me["roles"], json!(roles), "{me}");
    Some(Member { id: me["id"].as_str().expect("a user has an id").to_owned(), token: pair.access, password })
}

/// The query and the body of a call that is fine whoever makes it; for each call somebody new is registered.
async fn request(shop: &Shop, path: &str, caller: Option<&Member>) -> (String, Value) {
    let email = address("target");
    if path.contains("/auth/") && !path.ends_with("/register") {
        assert_eq!(shop.register(&email, PASSWORD).await.status, 201);
    }
    let body = match path.trim_start_matches("/api/v1") {
        "/auth/register" => json!({"email": email, "password": PASSWORD, "first_name": "Ada", "last_name": "Lovelace"}),
        "/auth/verify-email/request" | "/auth/password/forgot" => json!({"email": email}),
        "/auth/verify-email" => return (format!("?token={}", shop.mailed_token(&email, 1).await), Value::Null),
        "/auth/login" | "/auth/refresh" | "/auth/logout" => {
            let token = shop.mailed_token(&email, 1).await;
            assert_eq!(shop.verify(&token).await.status, 200);
            if path.ends_with("login") {
                json!({"email": email, "password": PASSWORD})
            } else {
                json!({"refresh_token": shop.login(&email, PASSWORD).await.refresh})
            }
        }
        "/auth/password/reset" => {
            shop.mailed_token(&email, 1).await;
            assert_eq!(shop.post("/api/v1/auth/password/forgot", json!({"email": email})).await.status, 200);
            json!({"token": shop.mailed_token(&email, 2).await, "password": PASSWORD})
        }
        "/users/me/password" => {
            let password = caller.map_or(PASSWORD, |caller| caller.password);
            json!({"current": password, "new": password})
        }
        _ => Value::Null,
    };
    (String::new(), body)
}

#[tokio::test]
async fn every_route_answers_whom_it_should_and_nobody_else() {
    let shop = Shop::open().await;
    let mut people = Vec::new();
    for who in Who::ALL {
        people.push(member(&shop, who).await);
    }
    let target = people[Who::OtherBuyer as usize].as_ref().expect("a buyer has a token").id.clone();
    let document = shop.running.document().await;

    let call = async |cell: Cell<'_>| {
        let caller = people[cell.who as usize].as_ref();
        let (query, body) = request(&shop, cell.path, caller).await;
        let path = cell.path.replace("{id}", &target) + &query;
        let method = Method::from_bytes(cell.method.as_bytes()).expect("a method");
        let token = caller.map(|caller| caller.token.as_str());
        let answer = shop.send(method, &path, token, Some(body).filter(|body| !body.is_null())).await;
        told(answer.status.as_u16())
    };
    check(HTTP, &routes(&document), call).await;
}
