//! The upstream is hard down under full traffic, and comes back weak: what reaches it, and what clients see.
//!
//! A thousand requests a second over two workers, half of them for pages that are kept, half for one client alone each.

use crate::support::circuit::OPENED;
use crate::support::client::Request;
use crate::support::crowd::by_worker;
use crate::support::envoy::Envoy;
use crate::support::fragile::{Fragile, SLICE, Slice, WEAK_FOR};
use crate::support::load::{Sample, statuses};
use crate::support::origin::Seen;
use crate::support::recipe::Recipe;
use crate::support::reply::Reply;
use crate::support::steady::Steady;
use crate::support::{eventually, percentile, turn};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

const RATE: u32 = 1_000;
const PAGES: usize = 50;
/// What the upstream is made for: all of it.
const FULL: usize = RATE as usize;
/// What reaches it when all is well: half of the requests, and each page once a second.
const USUAL: usize = RATE as usize / 2 + PAGES;
/// The default `breaker.open_for`.
const OPEN_FOR: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_millis(1500);
/// What is sent when it begins is answered when it is over.
const MARGIN: Duration = Duration::from_millis(250);

fn request(number: usize) -> Request {
    if is_kept(number) {
        Request::get(format!("/kept/{}", number / 2 % PAGES))
    } else {
        Request::get(format!("/live/{number}"))
    }
}

fn is_kept(number: usize) -> bool {
    number.is_multiple_of(2)
}

fn page(seen: &Seen) -> Reply {
    let kept = seen.path().starts_with("/kept/");
    Reply::ok("page").header("cache-control", if kept { "max-age=1, stale-if-error=600" } else { "no-store" })
}

/// Requests that were sent to the upstream while it is down.
async fn refused(envoy: &Envoy) -> u64 {
    envoy.stat("cluster.origin.upstream_cx_connect_fail").await
}

/// The upstream's traffic since it is back, in shares of the usual one, half-second by half-second.
fn shares(slices: &[Slice]) -> Vec<f64> {
    const HALF_SECOND: usize = 5;
    let (whole, _) = slices.as_chunks::<HALF_SECOND>();
    let usual = USUAL as f64 * SLICE.as_secs_f64() * HALF_SECOND as f64;
    whole
        .iter()
        .map(|slices| slices.iter().map(|slice| slice.arrived).sum::<usize>() as f64 / usual)
        .collect()
}

/// Of the samples sent from then to then, those of pages that are kept, and the others.
fn sent(samples: &[Sample], begin: Instant, end: Instant) -> [Vec<Sample>; 2] {
    let then = samples.iter().filter(|sample| (begin..end).contains(&sample.at));
    let (kept, live) = then.copied().partition(|sample| is_kept(sample.number));
    [kept, live]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_is_hard_down_is_left_in_peace_and_taken_back_gently() {
    let _turn = turn::alone().await;
    let mut upstream = Fragile::start(FULL, page).await;
    // Probes that fail do not make the circuit stay open longer: the next one comes while the upstream is weak.
    let breaker = json!({"open_for": "5s", "max_open_for": "5s"});
    let patch = json!({"l2": null, "l3": null, "defaults": {"breaker": breaker}});
    let envoy = Recipe::shipped().origin(upstream.address()).plugin(&patch).start().await;
    let clients = by_worker(&envoy, 8).await.into_iter().flatten();
    let traffic = Steady::start(envoy.address(), clients, RATE, request);

    // All is well, and the client can do it.
    eventually("the pages are kept", async || upstream.total() >= USUAL).await;
    let well = Instant::now();
    sleep_until(well + MEASURED + MARGIN).await;

    upstream.stop().await;
    let down = Instant::now();
    eventually("the circuit opens", async || envoy.stat(OPENED).await > 0).await;
    let open = Instant::now();
    let at_open = refused(&envoy).await;
    // Nothing but probes from here on.
    sleep_until(open + Duration::from_secs(1)).await;
    let silent = refused(&envoy).await;
    eventually("a probe fails", async || refused(&envoy).await > silent).await;
    let probed = Instant::now();
    sleep_until(open + Duration::from_secs(5)).await;
    let after_open = refused(&envoy).await - at_open;

    // Right before the next probe, which is due a tenth of `open_for` early at the earliest.
    sleep_until(probed + OPEN_FOR * 85 / 100).await;
    upstream.restart();
    let back = Instant::now();
    sleep_until(back + OPEN_FOR * 3 + MEASURED).await;
    let end = Instant::now();
    let slices = upstream.slices();
    let samples = traffic.stop().await;

    let shares = shares(&slices);
    let failed: usize = slices.iter().map(|slice| slice.failed).sum();
    let [kept, live] = sent(&samples, well, well + MEASURED);
    let [latency, _] = [&kept, &live].map(|samples| percentile(samples.iter().map(|s| s.latency), 0.99));
    eprintln!("before: {} and {} requests, pages' p99 {latency:?}", kept.len(), live.len());
    eprintln!("open after {:?}, {at_open} requests by then, {after_open} in the next 5 s", open - down);
    eprintln!("upstream's share of its usual load, by half-second since it is back: {shares:.2?}");
    eprintln!("requests that it failed in its weak {WEAK_FOR:?}: {failed}");
    let [kept_all, live_all] = sent(&samples, well, end);
    eprintln!("kept: {:?}; live: {:?}", statuses(&kept_all), statuses(&live_all));

    let wanted = MEASURED.as_millis() as usize * RATE as usize / 1_000;
    assert!(kept.len() + live.len() >= wanted * 99 / 100, "the client keeps up");
    assert!([kept, live].iter().flatten().all(|sample| sample.status == 200), "all was well before");
    assert!(open - down < Duration::from_secs(1), "open within a second: {:?}", open - down);
    assert!(after_open <= 20, "at most 20 more requests in the next 5 s: {after_open}");
    assert_eq!(statuses(&kept_all).keys().collect::<Vec<_>>(), [&200], "a kept page is always answered");

    let [_, recovered] = sent(&samples, back + OPEN_FOR * 3, end);
    assert_eq!(statuses(&recovered).keys().collect::<Vec<_>>(), [&200], "full traffic within 3 x open_for");
    // No second dip: when half of the traffic has come, it never gets less again.
    let risen = shares.iter().position(|share| *share >= 0.5).expect("the traffic comes back");
    assert!(shares[risen..].iter().all(|share| *share >= 0.45), "a second dip: {shares:.2?}");
    // Nor does the upstream fall over again: it fails fewer than would open the circuit. (None would be too strict: a
    // fifth of the traffic is now and then a little more in a tenth of a second.)
    assert!(failed < 5, "requests that the weak upstream had to fail: {failed}");
    assert_eq!(envoy.vm_failures().await, 0);
}
