//! Who acts when cache, flight, circuit, and Envoy's own retries, limits and timeouts meet: the rows of the table in
//! docs/breaker.md that no other test is about.

use crate::support::circuit::{OPENED, open};
use crate::support::client::{Client, Request, send, wave};
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::{Recipe, named};
use crate::support::redis::Redis;
use crate::support::reply::{Hold, Reply};
use crate::support::turn;
use serde_json::{Value, json};

/// A circuit that opens with the third failure in a row, and stays open.
fn brittle() -> Value {
    json!({"defaults": {"breaker": {"consecutive_failures": 3, "open_for": "10m", "max_open_for": "10m"}}})
}

fn page(lifetime: &str) -> Reply {
    Reply::ok("page").header("cache-control", lifetime).header("etag", "\"1\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_fresh_is_answered_and_the_circuit_not_asked() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("max-age=600")).await;
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&brittle()).start().await;
    send(envoy.address(), &Request::get("/fresh")).await;
    open(&envoy, &origin).await;
    let answer = send(envoy.address(), &Request::get("/fresh")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "page"));
    assert!(answer.header("cache-status").ends_with("detail=l1"), "{:?}", answer.head);
    assert_eq!(origin.total(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_with_a_leader_that_is_refused_is_refused_with_it() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("max-age=600")).await;
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&brittle()).start().await;
    open(&envoy, &origin).await;
    for answer in wave(envoy.address(), 40, &Request::get("/never-seen")).await {
        assert_eq!((answer.status, answer.header("retry-after").is_empty()), (503, false));
        assert!(answer.header("cache-status").contains("detail=breaker-open"), "{:?}", answer.head);
    }
    assert_eq!(origin.total(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_circuit_is_open_redis_is_read_for_what_may_stand_in() {
    let _turn = turn::shared().await;
    let redis = Redis::start().await;
    let origin = Origin::start(|_| page("max-age=1, stale-if-error=600")).await;
    let recipe =
        || Recipe::shipped().origin(origin.address()).patient_redis(redis.address()).plugin(&brittle());
    let (one, other) = (recipe().start().await, recipe().start().await);
    send(one.address(), &Request::get("/kept")).await;
    eventually("it is in Redis", async || !redis.keys().await.is_empty()).await;
    open(&other, &origin).await;
    eventually("it is stale", async || {
        let answer = send(other.address(), &Request::get("/kept")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "page"));
        answer.header("cache-status").ends_with("detail=breaker-open")
    })
    .await;
    assert_eq!(origin.hits("/kept"), 0, "this Envoy has never asked for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoys_retries_are_one_call_to_the_circuit() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| Reply::with(500, "bad")).await;
    let envoy = Recipe::shipped().origin(origin.address()).plugin(&brittle()).edit(|config| {
        let cluster = named(&mut config["static_resources"]["clusters"], "origin");
        cluster.as_object_mut().unwrap().remove("outlier_detection");
        for listener in ["edge", "breakwater_loop"] {
            let listener = named(&mut config["static_resources"]["listeners"], listener);
            let http = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
            let route = &mut http["route_config"]["virtual_hosts"][0]["routes"][0]["route"];
            route["retry_policy"] = json!({"retry_on": "5xx", "num_retries": 1});
        }
    });
    let envoy = envoy.start().await;
    let mut client = Client::connect(envoy.address()).await.unwrap();
    for number in 0..3 {
        let answer = client.send(&Request::get(format!("/{number}"))).await.unwrap();
        assert_eq!((answer.status, answer.header("retry-after").as_str()), (500, ""), "{number}");
    }
    assert_eq!(origin.total(), 6, "each was tried twice");
    let refused = client.send(&Request::get("/3")).await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after").is_empty()), (503, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_envoys_own_limits_refuse_says_nothing_of_the_upstream() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| page("no-store").head(Hold::At(held.clone()))).await;
    let envoy = Recipe::shipped().origin(origin.address()).plugin(&brittle()).edit(|config| {
        let cluster = named(&mut config["static_resources"]["clusters"], "origin");
        cluster["circuit_breakers"] = json!({"thresholds": [{"max_requests": 1, "max_connections": 1,
            "max_pending_requests": 1}]});
    });
    let envoy = envoy.workers(1).start().await;
    let mut first = Client::connect(envoy.address()).await.unwrap();
    first.begin(&Request::get("/first")).await.unwrap();
    origin.until("it is at the upstream", |origin| origin.in_flight() == 1).await;
    let mut second = Client::connect(envoy.address()).await.unwrap();
    second.begin(&Request::get("/second")).await.unwrap();
    eventually("one waits for a connection", async || {
        envoy.stat("cluster.origin.upstream_rq_pending_active").await == 1
    })
    .await;
    for number in 0..10 {
        let answer = send(envoy.address(), &Request::get(format!("/over/{number}"))).await;
        assert_eq!((answer.status, answer.header("retry-after").as_str()), (503, ""), "Envoy's own");
    }
    gate.open();
    assert_eq!(first.answer().await.unwrap().status, 200);
    assert_eq!(second.answer().await.unwrap().status, 200);
    assert_eq!(envoy.stat(OPENED).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_say_nothing_of_the_upstream() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| page("no-store").head(Hold::At(held.clone()))).await;
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&brittle()).start().await;
    for number in 0..10 {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        client.begin(&Request::get(format!("/{number}"))).await.unwrap();
        origin.until("it is at the upstream", |origin| origin.hits(&format!("/{number}")) == 1).await;
    }
    origin.until("all have left", |origin| origin.abandoned() == 10).await;
    gate.open();
    assert_eq!(send(envoy.address(), &Request::get("/after")).await.status, 200);
    assert_eq!(envoy.stat(OPENED).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_fails_is_a_failure_though_no_client_sees_it() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("max-age=1, stale-while-revalidate=600")).await;
    let envoy = Recipe::shipped().origin(origin.address()).plugin(&brittle()).start().await;
    for number in 0..3 {
        send(envoy.address(), &Request::get(format!("/{number}"))).await;
    }
    origin.answer(|_| Reply::with(500, "bad"));
    eventually("the circuit opens", async || {
        for number in 0..3 {
            let answer = send(envoy.address(), &Request::get(format!("/{number}"))).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "page"));
        }
        envoy.stat(OPENED).await > 0
    })
    .await;
}
