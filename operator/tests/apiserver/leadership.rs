//! Which of several operators works.

use kube::runtime::wait::Condition;
use shopkeeper_operator::leader::Election;
use shopkeeper_testing::Scene;

use crate::scene::with_scene;

fn candidate(scene: &Scene, name: &str) -> Election {
    Election::new(scene.client.clone(), &scene.namespace, name.to_owned())
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
        second.win().await;
        assert!(second.fence().is_open());
    })
    .await;
}

#[tokio::test]
async fn an_operator_that_was_killed_is_followed_when_its_lease_has_run_out() {
    with_scene(async |scene, _| {
        let (killed, second) = (candidate(&scene, "killed"), candidate(&scene, "second"));
        // Nobody renews it, as after SIGKILL, or while the process is frozen.
        killed.win().await;
        second.win().await;
        assert!(!killed.fence().is_open(), "whoever wakes up later writes nothing");
        assert!(second.fence().is_open());
    })
    .await;
}

/// Waits until the Lease was renewed so many times.
async fn renewals(scene: &Scene, count: usize) {
    use k8s_openapi::api::coordination::v1::Lease;
    let mut times = std::collections::BTreeSet::new();
    let renewed = move |lease: Option<&Lease>| {
        times.extend(lease.and_then(|lease| Some(lease.spec.as_ref()?.renew_time.as_ref()?.0)));
        times.len() > count
    };
    scene.until("shopkeeper-operator", "is renewed", Watching(std::sync::Mutex::new(renewed))).await;
}

/// A condition with a memory.
struct Watching<F>(std::sync::Mutex<F>);

impl<K, F: FnMut(Option<&K>) -> bool> Condition<K> for Watching<F> {
    fn matches_object(&self, object: Option<&K>) -> bool {
        (self.0.lock().expect("no panic while looking"))(object)
    }
}
