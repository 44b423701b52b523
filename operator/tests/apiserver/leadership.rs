//! Which of several operators works, and how the next one follows.

mod silence;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use futures::FutureExt;
use futures::future::join;
use http::{Method, Request, StatusCode};
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::DeleteParams;
use kube::client::ClientBuilder;
use kube::runtime::reflector;
use kube::runtime::wait::Condition;
use serde_json::json;
use shopkeeper_operator::controller::Context;
use shopkeeper_operator::health;
use shopkeeper_operator::leader::{Election, Standing};
use shopkeeper_testing::{Scene, rights, unrenewed};
use tokio::pin;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;
use tower::util::MapRequestLayer;

use self::silence::{Heard, Silence};
use crate::scene::{config, with_scene};

const LEASE: &str = "oak-operator";
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A Lease that was not renewed for so long has run out.
const RUNS_OUT: SignedDuration = SignedDuration::from_secs(15);
/// Whoever stands by follows within so long, also when nobody gave up the Lease: it lasts 15 seconds.
const FOLLOWS_WITHIN: SignedDuration = SignedDuration::from_secs(20);
const PATIENCE: Duration = Duration::from_mins(2);

fn candidate(scene: &Scene, name: &str) -> Election {
    Election::new(scene.client.clone(), &scene.namespace, LEASE, name.to_owned())
}

#[tokio::test]
async fn the_second_operator_stands_by_until_the_first_one_leaves() {
    with_scene(async |scene, _| {
        let (first, second) = (candidate(&scene, "first"), candidate(&scene, "second"));
        let lease = first.win().await;
        tokio::select! {
            () = first.hold(lease) => panic!("the first operator lost the Lease"),
            _ = second.win() => panic!("two operators hold the Lease"),
            () = renewals(&scene, 2) => {}
        }
        assert!(first.fence().is_open() && !second.fence().is_open());
        first.resign().await;
        assert!(!first.fence().is_open(), "who resigned writes nothing more");
        follows(&scene, &second).await;
        assert!(second.fence().is_open());
    })
    .await;
}

#[tokio::test]
async fn who_stands_by_follows_at_its_next_look_when_the_lease_is_given_up() {
    with_scene(async |scene, _| {
        let looks = Arc::new(AtomicUsize::new(0));
        let seen = looks.clone();
        let counting = MapRequestLayer::new(move |request: Request<kube::client::Body>| {
            seen.fetch_add(usize::from(request.method() == Method::GET), Ordering::SeqCst);
            request
        });
        let client = ClientBuilder::try_from(config().await).expect("a client").with_layer(&counting).build();
        let first = candidate(&scene, "first");
        let second = Election::new(client, &scene.namespace, LEASE, "second".to_owned());
        let lease = first.win().await;
        let standing_by = second.win();
        pin!(standing_by);
        tokio::select! {
            () = first.hold(lease) => panic!("the first operator lost the Lease"),
            _ = &mut standing_by => panic!("two operators hold the Lease"),
            _ = until_told(&scene, &second, "standing by") => {}
        }
        first.resign().await;
        let before = looks.load(Ordering::SeqCst);
        timeout(PATIENCE, standing_by).await.expect("nobody follows");
        // The second one is for an answer that took longer than it is waited for.
        let since = looks.load(Ordering::SeqCst) - before;
        assert!(since <= 2, "it looked {since} times, as if the Lease had to run out");
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_somebody_deletes_stays_with_its_holder_and_is_nobody_elses_before_it_would_have_run_out() {
    with_scene(async |scene, _| {
        let (first, second) = (candidate(&scene, "first"), candidate(&scene, "second"));
        let lease = first.win().await;
        let standing_by = second.win();
        pin!(standing_by);
        let made_again = async {
            until_told(&scene, &second, "standing by").await;
            delete_the_lease(&scene).await;
            renewals(&scene, 2).await;
        };
        tokio::select! {
            () = first.hold(lease) => panic!("the first operator lost the Lease"),
            _ = &mut standing_by => panic!("two operators hold the Lease"),
            () = made_again => {}
        }

        // From here on nobody renews it.
        let left: Lease = scene.api().get(LEASE).await.expect("the Lease");
        delete_the_lease(&scene).await;
        let taken = timeout(PATIENCE, standing_by).await.expect("nobody follows");
        assert!(!first.fence().is_open(), "both could write");
        let since = unrenewed(&left, &taken).expect("the times of a Lease");
        assert!(since >= RUNS_OUT, "it was renewed {since:?} before somebody else made it");
    })
    .await;
}

async fn delete_the_lease(scene: &Scene) {
    scene.api::<Lease>().delete(LEASE, &DeleteParams::default()).await.expect("a deletion");
}

#[tokio::test]
async fn an_operator_that_was_killed_is_followed_when_its_lease_has_run_out() {
    with_scene(async |scene, _| {
        let (killed, second) = (candidate(&scene, "killed"), candidate(&scene, "second"));
        // Nobody renews it, as after SIGKILL, or while the process is frozen.
        killed.win().await;
        follows(&scene, &second).await;
        assert!(!killed.fence().is_open(), "whoever wakes up later writes nothing");
        assert!(second.fence().is_open());
    })
    .await;
}

#[tokio::test]
async fn operators_of_two_releases_in_one_namespace_do_not_wait_for_each_other() {
    with_scene(async |scene, _| {
        let other = Election::new(scene.client.clone(), &scene.namespace, "elm-operator", "first of elm".to_owned());
        let first = candidate(&scene, "first of oak");
        let (lease, _) = join(first.win(), other.win()).await;
        assert!(first.fence().is_open() && other.fence().is_open());
        assert_eq!(lease.metadata.name.as_deref(), Some(LEASE));
    })
    .await;
}

#[tokio::test]
async fn an_operator_that_is_asked_to_stop_while_it_stands_by_ends_and_leaves_the_lease_to_its_holder() {
    with_scene(async |scene, _| {
        let (first, second) = (candidate(&scene, "first"), candidate(&scene, "second"));
        first.win().await;
        let (ask, asked) = oneshot::channel::<()>();
        let standing_by = second.lead(scene.work(scene.client.clone(), second.won(), asked.map(drop)));
        let asking = async {
            until_told(&scene, &second, "standing by").await;
            ask.send(()).expect("it stands by");
        };
        let (ended, ()) = timeout(PATIENCE, join(standing_by, asking)).await.expect("it goes on");
        ended.expect("it was asked to");
        let lease: Lease = scene.api().get(LEASE).await.expect("the Lease");
        assert_eq!(lease.spec.and_then(|spec| spec.holder_identity).as_deref(), Some("first"));
    })
    .await;
}

#[tokio::test]
async fn an_operator_that_is_asked_to_stop_gives_the_lease_up_though_a_write_of_it_is_never_answered() {
    /// Far less than a reconcile may take.
    const WITHIN: Duration = Duration::from_secs(30);
    with_scene(async |scene, _| {
        let (first, second) = (candidate(&scene, "first"), candidate(&scene, "second"));
        let (silence, mut heard) = Silence::new();
        let builder = ClientBuilder::try_from(rights::of_operator(config().await)).expect("a client");
        let client = builder.with_layer(&silence).with_layer(&first.fence()).build();
        scene.create(&json!({"host": "acorn.test"})).await.expect("a Shop");

        let (ask, asked) = oneshot::channel::<()>();
        let leading = first.lead(scene.work(client, first.won(), asked.map(drop)));
        pin!(leading);
        tokio::select! {
            _ = &mut leading => panic!("nobody asked it to stop"),
            begun = heard.recv() => assert_eq!(begun, Some(Heard::Write)),
        }
        ask.send(()).expect("it works");
        let led = timeout(WITHIN, leading).await.expect("it waits for the answer");
        led.expect("it kept the Lease to the end");
        follows(&scene, &second).await;
        let mut since = Vec::new();
        while let Ok(what) = heard.try_recv() {
            since.push(what);
        }
        assert_eq!(since, [Heard::GivenUp], "the write was dropped, and no other one was begun");
    })
    .await;
}

#[tokio::test]
async fn an_operator_that_stands_by_is_ready_only_if_it_could_follow_at_once_and_else_says_why() {
    with_scene(async |scene, _| {
        let (first, second) = (candidate(&scene, "first"), candidate(&scene, "second"));
        first.win().await;
        let (status, told) = readiness(scene.context(), second.standing()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "it has not looked yet: {told}");
        assert_eq!(stand_until_told(&scene, &second, "standing by").await, StatusCode::OK);

        let mut unprepared = scene.context();
        unprepared.shops.push(reflector::store().0);
        let (status, told) = readiness(unprepared, second.standing()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(told.contains("the first list of Shops is missing"), "{told}");

        // The rules for Shops allow nothing of Leases.
        let stranger = Client::try_from(rights::of_operator(config().await)).expect("a client");
        let stranger = Election::new(stranger, &scene.namespace, LEASE, "stranger".to_owned());
        let refused = r#""oak-operator" is forbidden"#;
        assert_eq!(stand_until_told(&scene, &stranger, refused).await, StatusCode::SERVICE_UNAVAILABLE);
    })
    .await;
}

/// Lets a candidate stand for election until its probe says something, and answers with how.
async fn stand_until_told(scene: &Scene, candidate: &Election, wanted: &str) -> StatusCode {
    tokio::select! {
        _ = candidate.win() => panic!("somebody else holds the Lease"),
        status = until_told(scene, candidate, wanted) => status,
    }
}

/// Waits until the probe of a candidate says something, and answers with how.
async fn until_told(scene: &Scene, candidate: &Election, wanted: &str) -> StatusCode {
    loop {
        let (status, told) = readiness(scene.context(), candidate.standing()).await;
        if told.contains(wanted) {
            return status;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What the kubelet hears.
async fn readiness(context: Context, standing: Standing) -> (StatusCode, String) {
    let question = Request::get("/readyz").body(Body::empty()).expect("a request");
    let answer = health::routes(Arc::new(context), standing).oneshot(question).await.expect("an answer");
    let (head, body) = answer.into_parts();
    let told = to_bytes(body, usize::MAX).await.expect("a text");
    (head.status, String::from_utf8_lossy(&told).into_owned())
}

/// Waits until a candidate leads that stood by, while nobody renews the Lease.
async fn follows(scene: &Scene, candidate: &Election) {
    let left: Lease = scene.api().get(LEASE).await.expect("the Lease");
    let taken = timeout(PATIENCE, candidate.win()).await.expect("nobody follows");
    let since = unrenewed(&left, &taken).expect("the times of a Lease");
    assert!(since <= FOLLOWS_WITHIN, "nobody had renewed it for {since:?}");
}

/// Waits until the Lease was renewed so many times.
async fn renewals(scene: &Scene, count: usize) {
    let mut times = std::collections::BTreeSet::new();
    let renewed = move |lease: Option<&Lease>| {
        times.extend(lease.and_then(|lease| Some(lease.spec.as_ref()?.renew_time.as_ref()?.0)));
        times.len() > count
    };
    scene.until(LEASE, "is renewed", Watching(std::sync::Mutex::new(renewed))).await;
}

/// A condition with a memory.
struct Watching<F>(std::sync::Mutex<F>);

impl<K, F: FnMut(Option<&K>) -> bool> Condition<K> for Watching<F> {
    fn matches_object(&self, object: Option<&K>) -> bool {
        (self.0.lock().expect("no panic while looking"))(object)
    }
}
