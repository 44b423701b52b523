//! Logging in, and who is known by a token.

use std::{hint::black_box, time::Duration};

use anyhow::Context as _;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use http::Method;
use serde_json::{Value, json};
use shop_auth::Verifier;
use tokio::task::spawn_blocking;

use super::{
    Bench, CONNECTIONS, Flow, Number, Target,
    asks::{Ask, Asker},
};
use crate::{
    http::{Connection, Request},
    process,
};

const EMAIL: &str = "bench@shop.test";
const PASSWORD: &str = "correct horse battery staple";
const HASHES: u32 = 40;
const VERIFICATIONS: u32 = 20_000;

/// Measures the user service, and the check of a token that every service makes.
pub async fn measure(bench: &mut Bench, say: fn(&str)) -> anyhow::Result<()> {
    say("login");
    let token = sign_up(bench).await?;
    let hash_ms = hash_cost().await?;
    let ask = |_| Ask::post("/api/v1/auth/login", json!({"email": EMAIL, "password": PASSWORD}));
    let askers = Asker::all(bench, "user", CONNECTIONS, ask);
    let span = "request sent to answer read; two hashes at once at most, so most of the time is waiting in line";
    let flow = Flow { name: "login", span, target_cpu_ms: Some(hash_ms + 1.0), plan: bench.closed_loop() };
    bench.measure(flow, askers).await?;
    let login_ms = bench.figures.flows.last().map_or(0.0, |figure| figure.cpu_ms.values().sum());
    bench.figures.numbers.push(Number {
        name: "login without its hash",
        span: format!("CPU of a login less {hash_ms:.2} ms, the CPU of one Argon2id (19 MiB, t=2, p=1) two at once"),
        value: login_ms - hash_ms,
        unit: "ms",
        target: Some(Target::AtMost(1.0)),
        limit: None,
    });

    say("who am I");
    let askers = Asker::all(bench, "user", CONNECTIONS, move |_| Ask::get("/api/v1/users/me".to_owned()).by(&token));
    let span = "request sent to answer read";
    let flow = Flow { name: "users/me", span, target_cpu_ms: None, plan: bench.closed_loop() };
    bench.measure(flow, askers).await?;

    say("token verification");
    let micros = verification(bench).await?;
    bench.figures.numbers.push(Number {
        name: "token verification",
        span: format!("{VERIFICATIONS} access tokens one after the other in one thread, as every service does it"),
        value: micros,
        unit: "CPU microseconds",
        target: None,
        limit: None,
    });
    Ok(())
}

/// A verified account; gives back its access token.
async fn sign_up(bench: &Bench) -> anyhow::Result<String> {
    let connection = Connection::to(&bench.services.url("user"), &bench.tls);
    let who = json!({"email": EMAIL, "password": PASSWORD, "first_name": "Load", "last_name": "Tester"});
    connection.json(Request::new(Method::POST, "/api/v1/auth/register").with(&who)).await?;
    let link = mailed_link(bench).await?;
    connection.json(Request::new(Method::GET, &link)).await?;
    let pair = connection.json(Request::new(Method::POST, "/api/v1/auth/login").with(&who)).await?;
    Ok(pair["accessToken"].as_str().context("a login brings an accessToken")?.to_owned())
}

/// Path and query of the link in the mail, which is a line of the service's output.
async fn mailed_link(bench: &Bench) -> anyhow::Result<String> {
    for _ in 0..100 {
        let written = bench.services.written("user")?;
        let mut lines = written.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(mail) = lines.rfind(|line| line["to"] == EMAIL) {
            let url: http::Uri = mail["url"].as_str().unwrap_or_default().parse()?;
            return Ok(url.path_and_query().context("a link has a path")?.to_string());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("the user service sent no mail")
}

/// CPU milliseconds of one hash, with memory that is there already, two at once as in the service.
async fn hash_cost() -> anyhow::Result<f64> {
    let before = process::cpu(std::process::id())?;
    let hashes = || spawn_blocking(|| (0..HASHES / 2).try_for_each(|_| hash_once()));
    let (one, other) = tokio::join!(hashes(), hashes());
    one??;
    other??;
    let worked = process::cpu(std::process::id())?.saturating_sub(before);
    Ok(worked.as_secs_f64() * 1_000.0 / f64::from(HASHES))
}

fn hash_once() -> anyhow::Result<()> {
    let params = Params::new(19 * 1024, 2, 1, None)?;
    let mut memory = vec![Block::default(); params.block_count()];
    let mut hash = [0; 32];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into_with_memory(PASSWORD.as_bytes(), b"sixteen bytes ok", &mut hash, &mut memory)?;
    black_box(hash);
    Ok(())
}

async fn verification(bench: &Bench) -> anyhow::Result<f64> {
    let verifier = Verifier::from_config(&bench.tokens.config())?;
    let token = bench.buyers(1)[0].clone();
    let before = process::cpu(std::process::id())?;
    spawn_blocking(move || {
        (0..VERIFICATIONS).try_for_each(|_| verifier.verify(&token).map(|caller| drop(black_box(caller))))
    })
    .await??;
    let worked = process::cpu(std::process::id())?.saturating_sub(before);
    Ok(worked.as_secs_f64() * 1_000_000.0 / f64::from(VERIFICATIONS))
}
