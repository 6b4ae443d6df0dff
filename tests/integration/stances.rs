//! Who decides: the gradual mode, circuits that are only watched or forced, and hints of the fleet.

use crate::support::circuit::{circuit, ends, get, page, transitions};
use crate::support::client::{Answer, Client, Request, send, wave_of};
use crate::support::crowd::{by_worker, leader, waiters};
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::{Hold, Reply};
use crate::support::{eventually, turn};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gradual_mode_sheds_the_share_of_its_formula_and_stops_by_itself() {
    let _turn = turn::alone().await;
    let arrived = AtomicUsize::new(0);
    let origin = Origin::start(move |seen| {
        // Three of five fail, in turn, over all paths.
        let fails = arrived.fetch_add(1, Ordering::Relaxed) % 5 < 3;
        match (seen.path(), seen.earlier) {
            ("/kept", 0) => page("kept", "max-age=1, stale-if-error=600"),
            _ if fails => Reply::with(500, "bad"),
            _ => page("good", "no-store"),
        }
    })
    .await;
    let breaker = json!({"mode": "gradual", "failure_rate": 0.25, "window": "1s", "min_requests": 10});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    assert_eq!(get(&envoy, "/kept").await.text(), "kept");
    let mut number = 0;
    let mut wave = async || {
        number += 1;
        wave_of(envoy.address(), (0..40).map(|n| Request::get(format!("/{number}/{n}"))).collect()).await
    };
    let is_shed = |answer: &Answer| answer.status == 503 && ends(answer, "shed");
    eventually("some are shed", async || wave().await.iter().any(is_shed)).await;
    // The window fills with calls under shedding.
    for _ in 0..20 {
        wave().await;
    }
    let reached = origin.total();
    let (mut sent, mut shed) = (0, 0);
    let since = Instant::now();
    while sent < 2_000 || since.elapsed() < Duration::from_secs(1) {
        let answers = wave().await;
        sent += answers.len();
        shed += answers.iter().filter(|answer| is_shed(answer)).count();
    }
    assert_eq!(origin.total() - reached, sent - shed, "who is shed is not sent, all others are");
    // n - s / (1 - 0.25) of n + 1, where s is two fifths of n, and n is large.
    let (share, formula) = (shed as f64 / sent as f64, 1.0 - 0.4 / 0.75);
    eprintln!("shed {shed} of {sent}: {:.1} %; the formula says {:.1} %", share * 100.0, formula * 100.0);
    // Four standard deviations of so many, and what the edges of the window do.
    assert!((share - formula).abs() < 0.07, "{share} is not {formula}");

    eventually("what is kept stands in for who is shed", async || {
        wave().await;
        let answer = get(&envoy, "/kept").await;
        // A good answer of the upstream is one too.
        assert_eq!(answer.status, 200, "{:?}", answer.head);
        ends(&answer, "shed") && answer.text() == "kept"
    })
    .await;

    origin.answer(|_| page("well", "no-store"));
    eventually("none is shed", async || wave().await.iter().all(|answer| answer.text() == "well")).await;
    eventually("each cause is counted and logged", async || {
        let log = envoy.log();
        let told = |line| log.contains(&format!("circuit default to origin: {line}"));
        transitions(&envoy, "failure-rate").await >= 1
            && transitions(&envoy, "rate-fell").await >= 1
            && told("closed -> shedding (failure-rate)")
            && told("shedding -> closed (rate-fell)")
    })
    .await;
    assert_eq!(envoy.stat("wasmcustom.breakwater.breaker.opened").await, 0);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_that_is_only_watched_refuses_nobody_and_says_what_it_would_do() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| Reply::with(500, "bad")).await;
    let breaker = json!({"state": "observe", "open_for": "10m", "max_open_for": "10m"});
    let envoy = Recipe::shipped().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let mut asked = 0;
    eventually("it would have refused some", async || {
        asked += 1;
        let answer = get(&envoy, format!("/{asked}")).await;
        assert_eq!((answer.status, answer.text().as_str()), (500, "bad"));
        envoy.stat("wasmcustom.breakwater.breaker.spared").await >= 3
    })
    .await;
    assert_eq!(origin.total(), asked);
    assert_eq!(transitions(&envoy, "consecutive-failures").await, 1);
    eventually("the log says so", async || {
        let opens = |line: &str| line.contains("circuit default to origin: closed -> open for ");
        envoy.log().lines().any(|line| opens(line) && line.contains(" ms (consecutive-failures)"))
    })
    .await;
    eventually("the access log says so", async || {
        envoy.access_log().iter().any(|line| line["breaker"] == "observed-open")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_fetch_gets_what_comes_when_a_circuit_that_is_only_watched_opens_under_it() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let origin = Origin::start(|_| page("old", "max-age=1, stale-if-error=600")).await;
    let breaker = json!({"state": "observe", "slow_call": "1s", "consecutive_failures": 1,
        "open_for": "10m", "max_open_for": "10m"});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let request = Request::get("/page");
    send(envoy.address(), &request).await;
    let held = gate.clone();
    origin.answer(move |seen| match seen.path() {
        "/page" => page("new", "max-age=600").head(Hold::At(held.clone())),
        _ => page("other", "no-store"),
    });
    eventually("it is stale", async || {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        client.begin(&request).await.unwrap();
        let is_at_upstream = async { origin.until("it is asked", |origin| origin.in_flight() == 1).await };
        tokio::select! {
            _ = client.answer() => false,
            () = is_at_upstream => true,
        }
    })
    .await;
    // That one has left: who comes now leads a fetch of its own.
    origin.until("it has left", |origin| origin.in_flight() == 0).await;
    let mut first = leader(&envoy, &origin, &request).await;
    let waiting = waiters(&envoy, &request).await;
    eventually("it opens", async || transitions(&envoy, "slow-calls").await == 1).await;
    // What that sets off in a worker is done when it has answered others.
    for mut client in by_worker(&envoy, 1).await.into_iter().flatten() {
        assert_eq!(client.send(&Request::get("/other")).await.unwrap().text(), "other");
    }
    gate.open();
    for answer in waiting.join_all().await {
        assert_eq!((answer.status, answer.text().as_str()), (200, "new"), "{:?}", answer.head);
    }
    let first = first.answer().await.unwrap();
    assert_eq!((first.status, first.text().as_str()), (200, "new"), "{:?}", first.head);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_circuit_asks_nobody() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("page", "max-age=600")).await;
    let rules = json!({"rules": [
        {"name": "off", "match": {"path": {"prefix": "/off/"}}, "breaker": {"state": "open"}},
        {"name": "on", "match": {"path": {"prefix": "/on/"}}, "breaker": {"state": "closed"}},
    ]});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&rules).start().await;
    let refused = get(&envoy, "/off/1").await;
    assert!(refused.status == 503 && ends(&refused, "breaker-forced"), "{:?}", refused.head);
    assert_eq!(origin.total(), 0);
    origin.answer(|_| Reply::with(500, "bad"));
    for number in 0..50 {
        assert_eq!(get(&envoy, format!("/on/{number}")).await.text(), "bad");
    }
    assert_eq!(envoy.stat("wasmcustom.breakwater.breaker.opened").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_circuit_elsewhere_in_the_fleet_is_a_hint_and_no_order() {
    let _turn = turn::shared().await;
    let redis = Redis::start().await;
    let origin = Origin::start(|_| page("page", "no-store")).await;
    let broken = Origin::start(|_| Reply::with(500, "bad")).await;
    let breaker =
        json!({"fleet_hint": true, "consecutive_failures": 10, "open_for": "10m", "max_open_for": "10m"});
    let envoy = |upstream: &Origin| {
        Recipe::shipped()
            .origin(upstream.address())
            .patient_redis(redis.address())
            .plugin(&circuit(&breaker))
            .workers(1)
    };
    let (here, elsewhere) = (envoy(&origin).start().await, envoy(&broken).start().await);
    assert_eq!(get(&here, "/well").await.status, 200);
    let mut asked = 0;
    eventually("it opens elsewhere", async || {
        asked += 1;
        ends(&get(&elsewhere, format!("/{asked}")).await, "breaker-open")
    })
    .await;
    eventually("the hint comes", async || {
        assert_eq!(get(&here, "/well").await.status, 200, "it opens nothing by itself");
        here.stat("wasmcustom.breakwater.breaker.hinted").await > 0
    })
    .await;
    origin.answer(|_| Reply::with(500, "bad"));
    let mut client = Client::connect(here.address()).await.unwrap();
    let mut failed = 0;
    while !ends(&client.send(&Request::get(format!("/{failed}"))).await.unwrap(), "breaker-open") {
        failed += 1;
        assert!(failed < 10, "half as many are enough");
    }
    assert_eq!(failed, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_there_are_no_hints_and_circuits_are_as_they_were() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("page", "no-store")).await;
    let breaker =
        json!({"fleet_hint": true, "consecutive_failures": 10, "open_for": "10m", "max_open_for": "10m"});
    // Nobody listens where its Redis is to be.
    let envoy =
        Recipe::shipped().origin(origin.address()).plugin(&circuit(&breaker)).workers(1).start().await;
    let mut client = Client::connect(envoy.address()).await.unwrap();
    eventually("Redis is found to be away", async || {
        assert_eq!(client.send(&Request::get("/well")).await.unwrap().status, 200);
        envoy.stat("wasmcustom.breakwater.l2.down").await > 0
    })
    .await;
    origin.answer(|_| Reply::with(500, "bad"));
    let mut failed = 0;
    while !ends(&client.send(&Request::get(format!("/{failed}"))).await.unwrap(), "breaker-open") {
        failed += 1;
        assert!(failed <= 10, "it never opens");
    }
    assert_eq!(failed, 10);
    assert_eq!(envoy.stat("wasmcustom.breakwater.breaker.hinted").await, 0);
    assert_eq!(envoy.vm_failures().await, 0);
}
