//! The services' edges without what is behind them: no store and no neighbour answers, and time passes as soon as somebody
//! waits for it. Whatever a client sends must end in an answer, and never in one that says that we are at fault.

use std::{cell::LazyCell, collections::HashMap, net::SocketAddr, path::Path};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use shop_auth::Role;
use shop_server::{Edge, Host, Service};
use shop_testing::TestTokens;
use tokio::runtime::{Builder, Runtime};
use tonic::service::Routes;
use tower::ServiceExt as _;
use uuid::Uuid;

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:9";
const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4711);

thread_local! {
    static SHOP: LazyCell<Shop> = LazyCell::new(Shop::open);
}

/// Has the shop answer a request over HTTP. It is written as the protocol has it, except that lines end in `\n` and that
/// `as: seller` stands for the token of a seller.
pub fn http(input: &[u8]) -> Option<StatusCode> {
    SHOP.with(|shop| {
        let mut request = shop.request(input)?.map(Body::from);
        request.extensions_mut().insert(ConnectInfo(CLIENT));
        Some(shop.runtime.block_on(shop.http.clone().oneshot(request)).expect("a router answers").status())
    })
}

/// The same for a call over gRPC; the message is framed here. What comes back are the headers, with the status in them when
/// the call has failed.
pub fn grpc(input: &[u8]) -> Option<HeaderMap> {
    SHOP.with(|shop| {
        let mut request = shop.request(input)?.map(|message| {
            let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
            tonic::body::Body::new(Body::from([&[0], &length[..], &message].concat()))
        });
        *request.method_mut() = http::Method::POST;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let service = request.uri().path().split('/').nth(1)?;
        let routes = if service.starts_with("shop.") { &shop.catalog } else { &shop.orders };
        let answer: Response<_> = shop.runtime.block_on(routes.clone().oneshot(request)).expect("a router answers");
        Some(answer.headers().clone())
    })
}

/// Lines of `name: value`, up to an empty one, and what comes after it.
pub fn lines(input: &[u8]) -> Option<(Vec<(&str, &str)>, &[u8])> {
    let end = input.windows(2).position(|pair| pair == b"\n\n")?;
    let head = str::from_utf8(&input[..end]).ok()?;
    let lines = head.lines().map(|line| line.split_once(": ").unwrap_or((line, ""))).collect();
    Some((lines, &input[end + 2..]))
}

struct Shop {
    runtime: Runtime,
    http: Router,
    orders: Routes,
    catalog: Routes,
    tokens: TestTokens,
}

impl Shop {
    fn open() -> Self {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        let tokens = TestTokens::create();
        let signing = std::env::temp_dir().join(Uuid::new_v4().simple().to_string());
        std::fs::create_dir(&signing).expect("a temporary folder");
        std::fs::write(signing.join("0001.pem"), &tokens.signing_key).expect("a temporary file");
        let environment = environment(&tokens, &signing);
        let (user, product, cart, order) = runtime.block_on(async {
            (
                edge::<shop_user::App>(&environment).await,
                edge::<shop_product::App>(&environment).await,
                edge::<shop_cart::App>(&environment).await,
                edge::<shop_order::App>(&environment).await,
            )
        });
        // Keys that were read stay, and this process is never told that it ends.
        std::fs::remove_dir_all(signing).expect("our own folder");
        std::fs::remove_file(tokens.config().jwks_file).expect("our own file");
        let routes = |edge: Option<shop_mesh::Grpc>| edge.expect("it has gRPC methods").routes;
        let (orders, catalog) = (routes(order.grpc), routes(product.grpc));
        let parts = [user.http, product.http, cart.http, order.http].map(|part| part.split_for_parts().0);
        let http = parts.into_iter().fold(Router::new(), Router::merge);
        Self { runtime, http, orders, catalog, tokens }
    }

    fn request(&self, input: &[u8]) -> Option<Request<Vec<u8>>> {
        let (lines, body) = lines(input)?;
        let (&(line, _), headers) = lines.split_first()?;
        let (method, target) = line.split_once(' ')?;
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            let role = match (*name, *value) {
                ("as", "buyer") => Some(Role::Buyer),
                ("as", "seller") => Some(Role::Seller),
                ("as", "admin") => Some(Role::Admin),
                _ => None,
            };
            request = match role {
                Some(role) => {
                    let token = self.tokens.mint(Uuid::max(), &[role]);
                    request.header(header::AUTHORIZATION, format!("Bearer {token}"))
                }
                None => request.header(*name, *value),
            };
        }
        request.body(body.to_vec()).ok()
    }
}

/// A service whose background work is over before it began.
async fn edge<S: Service>(environment: &HashMap<String, String>) -> Edge {
    let host = Host::system();
    host.shutdown.cancel();
    let config = shop_config::load_from(environment.clone()).expect("its settings");
    S::build(config, &host).await.expect("it builds")
}

fn environment(tokens: &TestTokens, signing: &Path) -> HashMap<String, String> {
    let auth = tokens.config();
    let peer = format!("http://{NOBODY}");
    let variables = [
        ("SHOP_AUTH__JWKS_FILE", auth.jwks_file.display().to_string()),
        ("SHOP_AUTH__ISSUER", auth.issuer),
        ("SHOP_AUTH__AUDIENCE", auth.audience),
        ("SHOP_SIGNING__FOLDER", signing.display().to_string()),
        ("SHOP_POSTGRES__URL", format!("postgres://nobody@{NOBODY}/nothing")),
        ("SHOP_REDIS__URL", format!("redis://{NOBODY}/0")),
        ("SHOP_MONGODB__URL", format!("mongodb://{NOBODY}/nothing")),
        ("SHOP_AMQP__URL", format!("amqp://{NOBODY}")),
        ("SHOP_CATALOG__URL", peer.clone()),
        ("SHOP_ORDERS__URL", peer),
        ("SHOP_CURRENCY", "USD".to_owned()),
        ("SHOP_UNPAID_EXPIRY", "10m".to_owned()),
        ("SHOP_PUBLIC_URL", "https://shop.example".to_owned()),
        ("SHOP_MAIL__KIND", "log".to_owned()),
    ];
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
