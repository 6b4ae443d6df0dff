//! Does memory stay where it was, however many URLs come by?
//!
//! Half of the URLs fill what there is to fill: L1, the VMs' memory, Envoy's pools. The other half, none of them seen
//! before, must find the same room. `make soak-memory` asks for 500,000 URLs; `BREAKWATER_SOAK_URLS` for another number.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects, clippy::print_stderr, clippy::disallowed_methods)]

#[path = "support/mod.rs"]
mod support;

use serde_json::json;
use std::time::Instant;
use support::client::Request;
use support::envoy::Envoy;
use support::load::{Load, statuses};
use support::origin::Origin;
use support::recipe::Recipe;
use support::redis::Redis;
use support::reply::Reply;

const CONNECTIONS: usize = 32;
const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_after_the_second_half_of_many_urls_is_what_it_was_after_the_first() {
    let urls = std::env::var("BREAKWATER_SOAK_URLS").map_or(500_000, |urls| urls.parse().expect("a number"));
    let redis = Redis::start().await;
    // Redis' own memory is not what is asked about.
    for setting in [["maxmemory", "64mb"], ["maxmemory-policy", "allkeys-lru"]] {
        assert_eq!(redis.command(&["CONFIG", "SET", setting[0], setting[1]]).await, "+OK\r\n");
    }
    let origin = Origin::start(|seen| {
        // From 0 to 4 KiB, by the URL.
        let size = seen.path().bytes().fold(7, |sum: usize, byte| (sum * 31 + usize::from(byte)) % 4096);
        Reply::ok(vec![b'x'; size]).header("cache-control", "max-age=60")
    })
    .await;
    let envoy = Recipe::shipped()
        .origin(origin.address())
        .redis(redis.address())
        .plugin(&json!({"l1": {"max_bytes": "32MiB"}}))
        .start()
        .await;
    let before = envoy.resident();

    let first = visit(&envoy, 0, urls / 2).await;
    let second = visit(&envoy, urls / 2, urls / 2).await;

    eprintln!(
        "resident memory at the start {} MiB, after {} URLs {} MiB, after as many more {} MiB",
        before / MIB,
        urls / 2,
        first / MIB,
        second / MIB
    );
    assert_eq!(origin.total(), urls, "each URL was new");
    let evicted = envoy.stat("wasmcustom.breakwater.l1.evicted").await;
    assert!(evicted > 0, "L1 was never full: too few URLs to tell");
    assert!(second <= first + first / 20, "{first} bytes, then {second}");
    assert!(second < 200_000_000, "{second} bytes");
    assert_eq!(envoy.vm_failures().await, 0);
}

/// Asks for `count` URLs that begin at `from`; resident memory thereafter.
async fn visit(envoy: &Envoy, from: usize, count: usize) -> u64 {
    let started = Instant::now();
    let load = Load::bounded(envoy.address(), CONNECTIONS, count, move |n| {
        Request::get(format!("/page/{}?session={}", from + n, n % 97))
    });
    assert_eq!(statuses(&load.wait().await), [(200, count)].into());
    let rate = count as f64 / started.elapsed().as_secs_f64();
    eprintln!("{count} URLs at {rate:.0} a second: resident {} MiB", envoy.resident() / MIB);
    envoy.resident()
}
