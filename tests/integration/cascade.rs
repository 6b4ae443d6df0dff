//! One service hangs, and those that call it: how far does it come up the chain?
//!
//! The same traffic through the same three Envoys without the plugin and with it. See `tests/support/chain.rs`.

use crate::support::chain::{Chain, Figures, LAST_TIMEOUT, PAGES};
use crate::support::turn;
use std::time::Duration;
use tokio::time::Instant;

const HEALTHY: Duration = Duration::from_millis(1500);
/// Less than the default `breaker.open_for`.
const HANGING: Duration = Duration::from_secs(4);
/// Time for the circuit to open once the first calls have ended.
const OPENING: Duration = Duration::from_secs(1);

/// What clients of the first service saw before the last one hung, and while it did: of its pages, and of what it
/// answers alone.
struct Seen {
    before: [Figures; 2],
    during: [Figures; 2],
    /// From when the circuit must be open.
    later: [Figures; 2],
}

/// Warms up, lets the last service hang under traffic, and asks what clients saw.
async fn hang_under_traffic(chain: &Chain, name: &str) -> Seen {
    let traffic = chain.traffic().await;
    // Each page has been made, in each service.
    chain.services[2].origin.until("all pages were made", |origin| origin.total() >= PAGES).await;
    let warm = Instant::now() + Duration::from_millis(500);
    // What is under way when it hangs was not sent before.
    let begun = warm + HEALTHY;
    tokio::time::sleep_until(begun + Duration::from_millis(200)).await;
    let hung = Instant::now();
    chain.hang(true);
    tokio::time::sleep_until(hung + HANGING).await;
    let reached = chain.reached_last();
    let idle = chain.services[0].idle();
    let end = Instant::now();
    let seen = traffic.stop().await;
    let (before, during) = (seen.between(warm, begun), seen.between(hung, end));
    let seen = Seen { before, during, later: seen.between(hung + LAST_TIMEOUT + OPENING, end) };
    for (what, place) in [("pages", 0), ("made alone", 1)] {
        eprintln!(
            "{name}, {what}: before {}; while the last one hangs {}",
            seen.before[place], seen.during[place]
        );
    }
    eprintln!("{name}: {reached} requests reached the last service, {idle} threads of the first were idle");
    assert!(seen.before.iter().all(|figures| figures.failed == 0), "{name}: it was well before");
    chain.hang(false);
    seen
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
    let mut opened = Vec::new();
    for envoy in &chain.envoys {
        opened.push(envoy.stat("wasmcustom.breakwater.breaker.opened").await);
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
    let without = hang_under_traffic(&chain, "without the plugin").await;
    drop(chain);
    for (before, during) in without.before.iter().zip(&without.during) {
        let exploded = during.latency(0.99) >= before.latency(0.99) * 10 && during.failed_share() > 0.5;
        assert!(exploded, "without the plugin: before {before}; then {during}");
    }

    let chain = Chain::start(true, lifetime).await;
    let with = hang_under_traffic(&chain, "with it").await;
    assert_hardly_any_errors(&with.during);
    assert_kept("pages", &with.before[0], &with.during[0]);
    assert_kept("made alone", &with.before[1], &with.during[1]);
    assert_opened_at_the_end(&chain).await;
}

/// Pages that nobody may answer stale while they are fetched: who asks first when one has expired waits for what comes
/// of it, until the circuit is open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_wait_for_their_refresh_are_late_only_until_the_circuit_opens() {
    let _turn = turn::alone().await;
    let chain = Chain::start(true, "max-age=1, stale-if-error=600").await;
    let with = hang_under_traffic(&chain, "without stale-while-revalidate").await;
    assert_hardly_any_errors(&with.during);
    // The last Envoy's time, and not the first one's.
    let [pages, alone] = &with.during;
    assert!(pages.latency(1.0) < LAST_TIMEOUT + Duration::from_millis(500), "{pages}");
    assert_kept("made alone", &with.before[1], alone);
    assert_kept("pages, once the circuit is open", &with.before[0], &with.later[0]);
    assert_opened_at_the_end(&chain).await;
}
