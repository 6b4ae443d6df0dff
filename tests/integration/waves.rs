//! Waves of identical requests, over two workers: what they cost the upstream, and how long they take.
//!
//! How long is told by the same wave through the same Envoy without the plugin, right before: a machine that is slow
//! for the one is slow for the other.

use crate::support::client::{Answer, Request, wave, wave_of};
use crate::support::envoy::Envoy;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::{Hold, Reply};
use crate::support::{percentile, turn};
use serde_json::json;
use std::time::Duration;

const WAVE: usize = 1000;
const UPSTREAM: Duration = Duration::from_millis(200);
const PAGE: [u8; 2048] = [b'p'; 2048];

/// The shipped configuration, with a Redis.
async fn wall(origin: &Origin) -> (Envoy, Redis) {
    let redis = Redis::start().await;
    let envoy = Recipe::shipped().origin(origin.address()).redis(redis.address()).start().await;
    (envoy, redis)
}

fn refresh(path: &str, cache_control: &str) -> Request {
    Request::get(path).header("cache-control", cache_control)
}

/// How long nearly all of a wave take when each request goes to the upstream.
async fn without_the_wall(origin: &Origin) -> Duration {
    let envoy = Recipe::shipped().origin(origin.address()).without_plugin().start().await;
    let answers = wave(envoy.address(), WAVE, &Request::get("/page")).await;
    assert_eq!(origin.total(), WAVE, "nothing else kept them from the upstream");
    origin.forget();
    let most = percentile(answers.iter().map(|answer| answer.latency), 0.99);
    eprintln!("without the plugin: p99 {most:?}");
    most
}

/// Each answer is the same page, and nearly all came about as soon as without the plugin: what is left of room is for
/// a machine that stalls in the one wave only, and less than a lock that is polled would need (nginx: 500 ms).
fn assert_one_page(name: &str, answers: &[Answer], page: &[u8], without: Duration) {
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == page));
    let [half, most] = [0.5, 0.99].map(|share| percentile(answers.iter().map(|a| a.latency), share));
    eprintln!("{name}: {} answers, p50 {half:?}, p99 {most:?}", answers.len());
    assert!(most <= without * 3 / 2, "{name}: p99 {most:?}, and {without:?} without the plugin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wave_of_cold_gets_costs_one_upstream_request() {
    let _turn = turn::alone().await;
    let origin =
        Origin::start(|_| Reply::ok(PAGE).header("cache-control", "max-age=60").after(UPSTREAM)).await;
    let without = without_the_wall(&origin).await;
    let (envoy, _redis) = wall(&origin).await;

    let answers = wave(envoy.address(), WAVE, &Request::get("/page")).await;

    assert_eq!(origin.total(), 1);
    assert_one_page("cold", &answers, &PAGE, without);
    let workers = envoy.stats("worker_").await;
    let busy = workers.iter().filter(|(name, count)| {
        name.starts_with("listener.127.0.0.1")
            && name.ends_with("downstream_cx_total")
            && **count > WAVE as u64 / 4
    });
    assert_eq!(busy.count(), 2, "both workers took part: {workers:?}");
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_a_lifetime_are_shared_by_a_wave_and_not_kept_for_the_next() {
    let _turn = turn::alone().await;
    let origin =
        Origin::start(|_| Reply::ok(PAGE).header("cache-control", "max-age=0").after(UPSTREAM)).await;
    let without = without_the_wall(&origin).await;
    let (envoy, redis) = wall(&origin).await;

    for round in 1..=2 {
        let answers = wave(envoy.address(), WAVE, &Request::get("/page")).await;
        assert_eq!(origin.total(), round);
        assert_one_page("max-age=0", &answers, &PAGE, without);
    }
    assert!(redis.keys().await.is_empty());
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_answers_go_to_their_own_clients_all_at_the_same_time() {
    let _turn = turn::alone().await;
    let origin = Origin::start(|seen| {
        let whose = seen.head.combined("cookie");
        Reply::ok(whose)
            .header("cache-control", "private, max-age=60")
            .after(UPSTREAM)
            .then(Hold::InFlight(WAVE))
    })
    .await;
    let (envoy, _redis) = wall(&origin).await;
    let requests: Vec<Request> =
        (0..WAVE).map(|n| Request::get("/page").header("cookie", format!("user={n}"))).collect();
    let own = |answers: &[Answer]| {
        answers.iter().enumerate().all(|(n, a)| a.status == 200 && a.text() == format!("user={n}"))
    };

    let answers = wave_of(envoy.address(), requests.clone()).await;
    assert!(own(&answers));
    assert_eq!((origin.total(), origin.peak()), (WAVE, WAVE));
    eprintln!("private: slowest {:?}", percentile(answers.iter().map(|a| a.latency), 1.0));

    // Now not even heads come before all requests are there: who waited for another's answer would wait in vain.
    origin.forget();
    origin.answer(|seen| {
        let whose = seen.head.combined("cookie");
        Reply::ok(whose).header("cache-control", "private").head(Hold::InFlight(WAVE))
    });
    let answers = wave_of(envoy.address(), requests).await;
    assert!(own(&answers));
    assert_eq!((origin.total(), origin.peak()), (WAVE, WAVE));
    let slowest = percentile(answers.iter().map(|a| a.latency), 1.0);
    eprintln!("private, remembered: slowest {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "within coalesce.wait_timeout: {slowest:?}");
    let statuses: Vec<String> = answers.iter().map(|answer| answer.header("cache-status")).collect();
    assert!(statuses.iter().all(|status| status.starts_with("breakwater; fwd=miss")), "{:?}", &statuses[..9]);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshing_browsers_do_not_pierce_the_wall() {
    let _turn = turn::alone().await;
    let origin =
        Origin::start(|_| Reply::ok(PAGE).header("cache-control", "max-age=60").after(UPSTREAM)).await;
    let without = without_the_wall(&origin).await;
    let redis = Redis::start().await;
    let recipe = Recipe::shipped().origin(origin.address()).redis(redis.address());
    let envoy = recipe.plugin(&json!({"l1": {"ttl": "10m"}})).start().await;

    for (round, directive) in ["max-age=0", "no-cache", "max-age=0"].into_iter().enumerate() {
        let answers = wave(envoy.address(), WAVE, &refresh("/page", directive)).await;
        assert_one_page(&format!("refresh {round} with {directive}"), &answers, &PAGE, without);
        assert_eq!(origin.total(), 1, "{directive}");
    }
    assert_eq!(envoy.vm_failures().await, 0);
}
