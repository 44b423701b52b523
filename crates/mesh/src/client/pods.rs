//! The pods of a neighbour, and which of them gets the next call: of two picked at random the one that would take less time
//! (power of two choices). A pod that keeps failing is left alone for a while.

mod health;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use super::dice::Dice;
use health::{Health, Latency};

/// All pods of a neighbour as DNS has them.
pub(super) type Pods = Arc<[Arc<Pod>]>;

/// Pods of which one gets a try.
pub(super) struct Pool {
    pub(super) pods: Pods,
    /// So many of them may be left alone at once.
    spare: usize,
}

/// One address of a neighbour, and what we think of it.
pub(super) struct Pod {
    pub(super) address: SocketAddr,
    endpoint: Endpoint,
    state: Mutex<State>,
}

struct State {
    channel: Channel,
    under_way: u32,
    latency: Latency,
    health: Health,
}

/// A try that is under way at a pod, until it is dropped.
pub(super) struct Try {
    pod: Arc<Pod>,
    started: Instant,
    over: bool,
}

impl Pod {
    /// Connects with the first try.
    pub(super) fn new(address: SocketAddr, endpoint: Endpoint, now: Instant) -> Arc<Self> {
        let channel = endpoint.connect_lazy();
        let state = State { channel, under_way: 0, latency: Latency::unknown(now), health: Health::default() };
        Arc::new(Self { address, endpoint, state: Mutex::new(state) })
    }

    /// Begins a try, over the channel that comes with it.
    pub(super) fn begin(self: &Arc<Self>, now: Instant) -> (Try, Channel) {
        let mut state = self.state();
        state.under_way += 1;
        (Try { pod: Arc::clone(self), started: now, over: false }, state.channel.clone())
    }

    fn is_ejected(&self, now: Instant) -> bool {
        self.state().health.is_ejected(now)
    }

    /// How long a call would take here, as far as one can tell.
    fn cost(&self, now: Instant) -> f64 {
        let state = self.state();
        state.latency.now(now) * f64::from(state.under_way + 1)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn learn(&mut self, took: Duration, now: Instant, served: bool) {
        // What was under way at an ejection is forgotten with what led to it.
        if !self.health.is_ejected(now) {
            self.latency.observe(took, now, served);
        }
    }
}

impl Try {
    /// The pod answered. Whether it `served` the call or was too busy for it: a refusal is quick, and says nothing of how long an
    /// answer takes.
    pub(super) fn answered(mut self, served: bool) {
        let now = Instant::now();
        self.over = true;
        let mut state = self.pod.state();
        state.learn(now - self.started, now, served);
        state.health.answered();
    }

    /// The pod did not answer. Says whether it is left alone for that.
    pub(super) fn failed(mut self, pool: &Pool, now: Instant) -> bool {
        let ejected = pool.pods.iter().filter(|pod| pod.is_ejected(now)).count();
        let may_eject = ejected < pool.spare;
        self.over = true;
        let mut state = self.pod.state();
        state.learn(now - self.started, now, false);
        if !state.health.failed_too_often(now) {
            return false;
        }
        // Whatever is wrong may be wrong with the connection; and a pod that cannot be left alone deserves a new one.
        state.channel = self.pod.endpoint.connect_lazy();
        if may_eject {
            state.health.eject(now);
            // When it comes back it is asked like a new one, and one more failure is too many.
            state.latency = Latency::unknown(now);
        }
        may_eject
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.pod.state();
        state.under_way -= 1;
        if !self.over {
            state.learn(now - self.started, now, false);
        }
    }
}

impl Pool {
    /// The only ones there are: half of them stay, whatever they do.
    pub(super) fn of(pods: Pods) -> Self {
        Self { spare: pods.len() / 2, pods }
    }

    /// Others would do as well as these.
    pub(super) fn beside_others(pods: Pods) -> Self {
        Self { spare: pods.len(), pods }
    }
}

/// The pod for the next try, if there is one that is not left alone.
pub(super) fn pick_healthy(pods: &Pods, now: Instant, dice: &Dice) -> Option<Arc<Pod>> {
    best_of_two(pods, |pod| !pod.is_ejected(now), now, dice)
}

/// The pod for the next try: not `tried`, if there is another one.
pub(super) fn pick(pods: &Pods, tried: Option<&Arc<Pod>>, now: Instant, dice: &Dice) -> Option<Arc<Pod>> {
    let was_tried = |pod: &Arc<Pod>| tried.is_some_and(|tried| Arc::ptr_eq(tried, pod));
    let fresh = |pod: &Arc<Pod>| !was_tried(pod) && !pod.is_ejected(now);
    best_of_two(pods, fresh, now, dice)
        .or_else(|| pick_healthy(pods, now, dice))
        // The healthy ones went away since the others were ejected.
        .or_else(|| best_of_two(pods, |_| true, now, dice))
}

fn best_of_two(pods: &Pods, usable: impl Fn(&Arc<Pod>) -> bool, now: Instant, dice: &Dice) -> Option<Arc<Pod>> {
    let next_from = |start: usize, but: Option<&Arc<Pod>>| {
        let (before, after) = pods.split_at_checked(start)?;
        after.iter().chain(before).find(|pod| usable(pod) && !but.is_some_and(|but| Arc::ptr_eq(but, pod)))
    };
    let one = next_from(dice.below(0, pods.len()), None)?;
    let other = next_from(dice.below(1, pods.len()), Some(one)).unwrap_or(one);
    let best = if other.cost(now) < one.cost(now) { other } else { one };
    Some(Arc::clone(best))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(count: u16, now: Instant) -> Pods {
        let pod = |port: u16| {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            Pod::new(address, Endpoint::from_shared(format!("http://{address}")).unwrap(), now)
        };
        (1..=count).map(pod).collect()
    }

    /// Every pick that the dice allow.
    fn picks(pods: &Pods, tried: Option<&Arc<Pod>>, now: Instant) -> Vec<u16> {
        let rolls = (0..8).flat_map(|one| (0..8).map(move |other| Dice::showing([one, other, 0, 0])));
        let mut ports: Vec<_> = rolls.map(|dice| pick(pods, tried, now, &dice).unwrap().address.port()).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    fn eject_from(pool: &Pool, pod: usize, now: Instant) -> bool {
        (0..20).any(|_| pool.pods[pod].begin(now).0.failed(pool, now))
    }

    fn eject(pods: &Pods, pod: usize, now: Instant) -> bool {
        eject_from(&Pool::of(Arc::clone(pods)), pod, now)
    }

    #[tokio::test]
    async fn a_busy_pod_gets_nothing_and_all_are_used_while_they_are_equal() {
        let now = Instant::now();
        let pods = pods(3, now);
        assert_eq!(picks(&pods, None, now), [1, 2, 3]);
        let _under_way: Vec<_> = (0..5).map(|_| pods[1].begin(now)).collect();
        assert_eq!(picks(&pods, None, now), [1, 3]);
    }

    #[tokio::test]
    async fn another_try_goes_to_another_pod_and_to_the_same_one_where_there_is_no_other() {
        let now = Instant::now();
        let pair = pods(2, now);
        assert_eq!(picks(&pair, Some(&pair[0]), now), [2]);
        let single = pods(1, now);
        assert_eq!(picks(&single, Some(&single[0]), now), [1]);
        assert!(pick(&pods(0, now), None, now, &Dice::showing([7; 4])).is_none());
    }

    #[tokio::test]
    async fn at_most_half_of_the_pods_are_ejected_and_a_single_one_never_is() {
        let now = Instant::now();
        let three = pods(3, now);
        assert!(eject(&three, 0, now));
        assert!(!eject(&three, 1, now));
        assert_eq!(picks(&three, None, now), [2, 3]);
        assert!(!eject(&pods(1, now), 0, now));
        assert_eq!(picks(&three, None, now + Duration::from_mins(1)), [1, 2, 3]);
    }

    #[tokio::test]
    async fn pods_beside_others_may_all_be_ejected_and_then_none_is_picked() {
        let now = Instant::now();
        let pair = Pool::beside_others(pods(2, now));
        assert!(eject_from(&pair, 0, now) && eject_from(&pair, 1, now));
        assert!(pick_healthy(&pair.pods, now, &Dice::showing([7; 4])).is_none());
        let later = now + Duration::from_mins(1);
        assert!(pick_healthy(&pair.pods, later, &Dice::showing([7; 4])).is_some());
    }

    #[tokio::test]
    async fn when_only_ejected_pods_are_left_they_are_used() {
        let now = Instant::now();
        let two = pods(2, now);
        assert!(eject(&two, 0, now));
        let left: Pods = two.iter().take(1).cloned().collect();
        assert_eq!(picks(&left, None, now), [1]);
    }
}
