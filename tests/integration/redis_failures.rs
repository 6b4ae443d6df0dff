//! Redis is never needed: dead or frozen under load, it costs `l2.timeout` once and then nothing.

use crate::support::client::Request;
use crate::support::envoy::Envoy;
use crate::support::eventually;
use crate::support::load::{Load, Sample, statuses};
use crate::support::origin::Origin;
use crate::support::percentile;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::turn;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

const CONNECTIONS: usize = 16;

/// Half of the requests ask for a few pages that L1 gives up every 100 ms, half for pages nobody has asked for yet:
/// both ask Redis.
async fn load_on(envoy: &Envoy) -> Load {
    Load::start(envoy.address(), CONNECTIONS, |n| {
        if n % 2 == 0 { Request::get(format!("/hot/{}", n % 20)) } else { Request::get(format!("/cold/{n}")) }
    })
}

async fn page() -> Origin {
    Origin::start(|seen| Reply::ok(seen.path()).header("cache-control", "max-age=600")).await
}

/// Waits until this stat has at least this value.
async fn reaches(envoy: &Envoy, stat: &str, value: u64) {
    eventually(stat, async || envoy.stat(&format!("wasmcustom.breakwater.l2.{stat}")).await >= value).await;
}

fn slowest(samples: &[Sample], from: Instant, to: Instant) -> Duration {
    percentile(samples.iter().filter(|s| s.at >= from && s.at < to).map(|s| s.latency), 1.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_freezes_costs_its_timeout_once_and_comes_back_when_it_thaws() {
    const TIMEOUT: Duration = Duration::from_millis(500);
    let _turn = turn::alone().await;
    let origin = page().await;
    let mut redis = Redis::start().await;
    // So long that it is told from a busy machine; redis_proxy's own timeout, which is shorter, must not hide it.
    let envoy = Recipe::shipped()
        .origin(origin.address())
        .redis(redis.address())
        .plugin(&json!({"l2": {"timeout": "500ms"}}))
        .redis_op_timeout("10s")
        .start()
        .await;
    let load = load_on(&envoy).await;
    load.more(2_000).await;

    let frozen = Instant::now();
    redis.freeze();
    // Both workers notice; from then on nobody waits.
    reaches(&envoy, "down", 2).await;
    load.more(CONNECTIONS).await;
    let noticed = Instant::now();
    load.more(2_000).await;
    let thawed = Instant::now();
    redis.thaw();
    reaches(&envoy, "up", 2).await;
    load.more(2_000).await;
    let hits = envoy.stat("wasmcustom.breakwater.requests.hit-l2.rule.default").await;
    eventually("L2 answers again", async || {
        envoy.stat("wasmcustom.breakwater.requests.hit-l2.rule.default").await > hits
    })
    .await;
    let samples = load.stop().await;

    let at_first = slowest(&samples, frozen, noticed);
    let then = slowest(&samples, noticed, thawed);
    eprintln!(
        "Redis frozen: slowest before {:?}, at first {at_first:?} (timeout {TIMEOUT:?}), then {then:?}; {:?}",
        slowest(&samples, samples[0].at, frozen),
        statuses(&samples)
    );
    assert_eq!(statuses(&samples), [(200, samples.len())].into());
    assert!(at_first >= TIMEOUT - Duration::from_millis(50), "it was felt: {at_first:?}");
    assert!(at_first < TIMEOUT + Duration::from_millis(250), "and no longer than its timeout: {at_first:?}");
    assert!(then < TIMEOUT / 2, "nobody waits for it then: {then:?}");
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_dies_is_not_missed_and_is_used_again_when_it_is_back() {
    let _turn = turn::alone().await;
    let origin = page().await;
    let mut redis = Redis::start().await;
    let envoy = Recipe::shipped().origin(origin.address()).redis(redis.address()).start().await;
    let load = load_on(&envoy).await;
    load.more(2_000).await;
    let ups = envoy.stat("wasmcustom.breakwater.l2.up").await;

    let killed = Instant::now();
    redis.kill();
    reaches(&envoy, "down", 2).await;
    load.more(CONNECTIONS).await;
    let noticed = Instant::now();
    load.more(2_000).await;
    let back = Instant::now();
    redis.restart().await;
    reaches(&envoy, "up", ups + 2).await;
    eventually("what is fetched is stored again", async || !redis.keys().await.is_empty()).await;
    let samples = load.stop().await;

    eprintln!(
        "Redis killed: slowest before {:?}, at first {:?}, then {:?}; {:?}",
        slowest(&samples, samples[0].at, killed),
        slowest(&samples, killed, noticed),
        slowest(&samples, noticed, back),
        statuses(&samples)
    );
    assert_eq!(statuses(&samples), [(200, samples.len())].into());
    assert!(slowest(&samples, killed, back) < Duration::from_millis(250));
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_that_never_saw_its_redis_serves_and_finds_it_later() {
    let _turn = turn::shared().await;
    let origin = page().await;
    let mut redis = Redis::start().await;
    redis.kill();
    let envoy = Recipe::shipped().origin(origin.address()).redis(redis.address()).start().await;
    let samples =
        Load::bounded(envoy.address(), 4, 200, |n| Request::get(format!("/{}", n % 50))).wait().await;
    assert_eq!(statuses(&samples), [(200, 200)].into());
    assert_eq!(origin.total(), 50, "L1 serves alone, for as long as the answers live");
    let counted = envoy.stat("wasmcustom.breakwater.l2.failed").await;
    assert!(counted > 0);

    redis.restart().await;
    reaches(&envoy, "up", 1).await;
    let load = Load::start(envoy.address(), 4, |n| Request::get(format!("/later/{n}")));
    eventually("what is fetched is stored", async || !redis.keys().await.is_empty()).await;
    assert!(statuses(&load.stop().await).keys().all(|status| *status == 200));
    assert_eq!(envoy.vm_failures().await, 0);
}
