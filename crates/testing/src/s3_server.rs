//! A server that speaks as much of S3 as pictures need, and takes nothing that is not signed (AWS Signature Version 4). It keeps
//! objects in memory, and can go away.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
};
use ring::hmac;
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, task::JoinHandle};

/// Who signs what the server takes.
pub const KEY: &str = "acorn";
/// With what.
pub const SECRET: &str = "not-for-squirrels";
/// For which region.
pub const REGION: &str = "forest-1";
/// Its one bucket.
pub const BUCKET: &str = "pictures";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// One object.
#[derive(Clone)]
pub struct Object {
    /// Its media type, if it was told.
    pub content_type: Option<String>,
    /// Its content.
    pub bytes: Bytes,
}

type Objects = Arc<Mutex<BTreeMap<String, Object>>>;

/// The server; it is gone with the value.
pub struct S3Server {
    address: SocketAddr,
    objects: Objects,
    serving: JoinHandle<()>,
}

impl S3Server {
    /// Listens on a free port of an address.
    pub async fn start(ip: IpAddr) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let objects = Objects::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&objects));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, objects, serving }
    }

    /// From now on nobody listens.
    pub async fn go_away(&mut self) {
        self.serving.abort();
        assert!((&mut self.serving).await.is_err_and(|end| end.is_cancelled()));
    }

    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has under this name.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<Object> {
        self.objects.lock().expect("no panic while it is held").get(key).cloned()
    }

    /// Gives it an object that nobody sent.
    pub fn put(&self, key: &str, bytes: Bytes) {
        let object = Object { content_type: None, bytes };
        self.objects.lock().expect("no panic while it is held").insert(key.to_owned(), object);
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(objects): State<Objects>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a whole body");
    let signed = Signed { method: &head.method, path: head.uri.path(), headers: &head.headers, body: &body };
    let (query, key) = (head.uri.query(), signed.path.strip_prefix(&format!("/{BUCKET}/")));
    let mut objects = objects.lock().expect("no panic while it is held");
    match (&head.method, key, query) {
        _ if !signed.is_by(KEY, SECRET) => refusal(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", SECRET),
        (&Method::PUT, Some(key), None) => {
            let content_type = signed.header("content-type").map(str::to_owned);
            objects.insert(key.to_owned(), Object { content_type, bytes: body });
            ok(Body::empty())
        }
        (&Method::GET, Some(key), None) => match objects.get(key) {
            Some(object) => ok(object.bytes.clone().into()),
            None => refusal(StatusCode::NOT_FOUND, "NoSuchKey", key),
        },
        _ => refusal(StatusCode::NOT_IMPLEMENTED, "NotImplemented", signed.path),
    }
}

fn ok(body: Body) -> Response {
    // So that no connection outlives the server.
    let answer = Response::builder().header(header::CONNECTION, "close").header(header::ETAG, "\"1\"");
    answer.header(header::LAST_MODIFIED, "Thu, 01 Jan 2026 00:00:00 GMT").body(body).expect("an answer")
}

/// As a server does that says too much.
fn refusal(status: StatusCode, code: &str, detail: &str) -> Response {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{detail}</Message></Error>");
    let answer = Response::builder().status(status).header(header::CONNECTION, "close");
    answer.body(text.into()).expect("an answer")
}

struct Signed<'a> {
    method: &'a Method,
    path: &'a str,
    headers: &'a HeaderMap,
    body: &'a [u8],
}

impl Signed<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether head and body are what somebody with this key signed.
    fn is_by(&self, key: &str, secret: &str) -> bool {
        self.check(key, secret).unwrap_or(false)
    }

    fn check(&self, key: &str, secret: &str) -> Option<bool> {
        let part = |name: &str| {
            let parts = self.header("authorization")?.strip_prefix(ALGORITHM)?.split(',');
            parts.map(str::trim).find_map(|part| part.strip_prefix(name))
        };
        let (names, signature) = (part("SignedHeaders=")?, part("Signature=")?);
        let (claimed, scope) = part("Credential=")?.split_once('/')?;
        let (date, digest) = (self.header("x-amz-date")?, self.header("x-amz-content-sha256")?);
        let headers: Option<String> =
            names.split(';').map(|name| Some(format!("{name}:{}\n", self.header(name)?.trim()))).collect();
        let request = format!("{}\n{}\n\n{}\n{names}\n{digest}", self.method, self.path, headers?);
        let text = format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex(&Sha256::digest(request)));
        let steps = [date.get(..8)?, REGION, "s3", "aws4_request"];
        let signing = steps.iter().fold(format!("AWS4{secret}").into_bytes(), |key, step| sign(&key, step));
        Some(
            claimed == key
                && scope == steps.join("/")
                && ["host", "x-amz-date", "x-amz-content-sha256"]
                    .iter()
                    .all(|name| names.split(';').any(|n| n == *name))
                && digest == hex(&Sha256::digest(self.body))
                && signature == hex(&sign(&signing, &text)),
        )
    }
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
