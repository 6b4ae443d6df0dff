//! One service hangs, and those that call it: how far does it come up the chain?
//!
//! The same traffic through the same three Envoys without the plugin and with it. See `tests/support/chain.rs`.

use crate::support::chain::{Chain, Course, Figures, LAST_TIMEOUT};
use crate::support::turn;
use std::time::Duration;

const WELL: Duration = Duration::from_millis(1500);
/// Less than the default `breaker.open_for`.
const HUNG: Duration = Duration::from_secs(4);
/// Time for the circuit to open once the first calls have ended.
const OPENING: Duration = Duration::from_secs(1);

/// The chain's course in figures that are shown; all was well before.
async fn course(chain: &Chain, name: &str) -> Course {
    let course = chain.course(WELL, HUNG).await;
    let [before, during] = [course.before(), course.during()];
    for (what, place) in [("pages", 0), ("made alone", 1)] {
        eprintln!("{name}, {what}: before {}; while the last one hangs {}", before[place], during[place]);
    }
    eprintln!(
        "{name}: {:?} requests reached the last service, {} threads of the first were idle",
        course.reached_last, course.idle
    );
    assert!(before.iter().all(|figures| figures.failed == 0), "{name}: it was well before");
    course
}

/// As long as before: three times that, or what a request may lose on a busy machine.
fn assert_kept(what: &str, before: &Figures, during: &Figures) {
    let most = before.latency(0.99) * 3 + Duration::from_millis(20);
    assert!(during.latency(0.99) <= most, "{what}: before {before}; then {during}");
}

fn assert_hardly_any_errors(during: &[Figures; 2]) {
    let failed: usize = during.iter().map(|figures| figures.failed).sum();
    let sent: usize = during.iter().map(|figures| figures.sent).sum();
    assert!(failed * 100 < sent, "under 1 % of errors: {failed} of {sent}");
}

/// The circuit opens where the failure is, whatever the others make of the time that it takes.
async fn assert_opened_at_the_end(chain: &Chain) {
    let opened = chain.opened().await;
    for envoy in &chain.envoys {
        assert_eq!(envoy.vm_failures().await, 0);
    }
    eprintln!("times that the circuits opened, first to last: {opened:?}");
    assert!(opened[2] > 0, "{opened:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hangs_at_the_end_of_a_chain_is_not_felt_at_its_beginning() {
    let _turn = turn::alone().await;
    let lifetime = "max-age=1, stale-while-revalidate=60, stale-if-error=600";
    let chain = Chain::start(false, lifetime).await;
    let without = course(&chain, "without the plugin").await;
    drop(chain);
    for (before, during) in without.before().iter().zip(&without.during()) {
        let exploded = during.latency(0.99) >= before.latency(0.99) * 10 && during.failed_share() > 0.5;
        assert!(exploded, "without the plugin: before {before}; then {during}");
    }

    let chain = Chain::start(true, lifetime).await;
    let with = course(&chain, "with it").await;
    let [before, during] = [with.before(), with.during()];
    assert_hardly_any_errors(&during);
    assert_kept("pages", &before[0], &during[0]);
    assert_kept("made alone", &before[1], &during[1]);
    assert_opened_at_the_end(&chain).await;
}

/// Pages that nobody may answer stale while they are fetched: who asks first when one has expired waits for what comes
/// of it, until the circuit is open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_wait_for_their_refresh_are_late_only_until_the_circuit_opens() {
    let _turn = turn::alone().await;
    let chain = Chain::start(true, "max-age=1, stale-if-error=600").await;
    let with = course(&chain, "without stale-while-revalidate").await;
    let [before, during] = [with.before(), with.during()];
    assert_hardly_any_errors(&during);
    // The last Envoy's time, and not the first one's.
    assert!(during[0].latency(1.0) < LAST_TIMEOUT + Duration::from_millis(500), "{}", during[0]);
    assert_kept("made alone", &before[1], &during[1]);
    let [open, _] = with.later(LAST_TIMEOUT + OPENING);
    assert_kept("pages, once the circuit is open", &before[0], &open);
    assert_opened_at_the_end(&chain).await;
}
