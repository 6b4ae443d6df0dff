//! Who decides: the gradual mode, circuits that are only watched or forced, what operators say at run time, and hints.

use crate::support::client::{Answer, Client, Request, send, wave_of};
use crate::support::crowd::by_worker;
use crate::support::envoy::Envoy;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::{eventually, turn};
use serde_json::{Value, json};

fn circuit(breaker: &Value) -> Value {
    json!({"defaults": {"breaker": breaker}})
}

fn page(body: &str, lifetime: &str) -> Reply {
    Reply::ok(body).header("cache-control", lifetime)
}

async fn transitions(envoy: &Envoy, cause: &str) -> u64 {
    envoy.stat(&format!("wasmcustom.breakwater.transitions.{cause}.rule.default")).await
}

fn ends(answer: &Answer, reason: &str) -> bool {
    answer.header("cache-status").ends_with(&format!("detail={reason}"))
}

async fn get(envoy: &Envoy, path: impl Into<String>) -> Answer {
    send(envoy.address(), &Request::get(path)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gradual_mode_sheds_what_the_upstream_fails_and_stops_by_itself() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| Reply::with(500, "bad")).await;
    let breaker = json!({"mode": "gradual", "window": "1s", "min_requests": 10});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let mut number = 0;
    let mut wave = async || {
        number += 1;
        wave_of(envoy.address(), (0..40).map(|n| Request::get(format!("/{number}/{n}"))).collect()).await
    };
    eventually("most are shed", async || {
        let answers = wave().await;
        answers.iter().filter(|answer| ends(answer, "shed") && answer.status == 503).count() >= 30
    })
    .await;
    origin.answer(|_| page("well", "no-store"));
    eventually("none is shed", async || wave().await.iter().all(|answer| answer.text() == "well")).await;
    eventually("the cause is counted", async || {
        transitions(&envoy, "failure-rate").await >= 1 && transitions(&envoy, "rate-fell").await >= 1
    })
    .await;
    assert_eq!(envoy.stat("wasmcustom.breakwater.breaker.opened").await, 0);
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
    eventually("the access log says so", async || {
        envoy.access_log().iter().any(|line| line["breaker"] == "observed-open")
    })
    .await;
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
}

/// Sends a command; the status and what it says.
async fn command(envoy: &Envoy, body: &Value) -> (u16, Value) {
    let request = Request::new("POST", "/.breakwater/breaker").body(body.to_string());
    let answer = send(envoy.address(), &request).await;
    (answer.status, serde_json::from_str(&answer.text()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_decides_for_all_workers_until_a_time_that_has_to_be_said() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("page", "no-store")).await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let mut clients: Vec<Client> = by_worker(&envoy, 1).await.into_iter().flatten().collect();
    let all = async |clients: &mut Vec<Client>, is_so: fn(&Answer) -> bool| {
        let mut so = true;
        for client in clients {
            so &= is_so(&client.send(&Request::get("/x")).await.unwrap());
        }
        so
    };
    assert!(all(&mut clients, |answer| answer.status == 200).await);
    let (status, said) = command(&envoy, &json!({"rule": "default", "state": "open", "for": "2s"})).await;
    assert_eq!((status, &said["for_ms"]), (200, &json!(2_000)), "{said}");
    eventually("all are refused", async || all(&mut clients, |answer| ends(answer, "breaker-forced")).await)
        .await;
    let shown = get(&envoy, "/.breakwater/breaker").await;
    let shown: Value = serde_json::from_str(&shown.text()).unwrap();
    let circuit = &shown["circuits"][0];
    assert_eq!((&circuit["rule"], &circuit["decided_by"]), (&json!("default"), &json!("open")), "{shown}");
    assert_eq!((&circuit["state"], &circuit["circuit"]), (&json!("closed"), &json!("default to origin")));
    eventually("its time is over", async || all(&mut clients, |answer| answer.status == 200).await).await;
    command(&envoy, &json!({"rule": "default", "state": "open", "for": "1h"})).await;
    eventually("all are refused", async || all(&mut clients, |answer| ends(answer, "breaker-forced")).await)
        .await;
    assert_eq!(command(&envoy, &json!({"rule": "default", "state": "auto"})).await.0, 200);
    eventually("it is taken back", async || all(&mut clients, |answer| answer.status == 200).await).await;
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_command_is_told_what_is_wrong_and_reaches_no_upstream() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("page", "max-age=600")).await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let (status, said) = command(&envoy, &json!({"rule": "default", "state": "opne", "until": 1})).await;
    assert_eq!((status, said["errors"].as_array().map(Vec::len)), (400, Some(2)), "{said}");
    let (status, said) = command(&envoy, &json!({"rule": "nobody", "state": "auto"})).await;
    assert_eq!((status, &said["rules"]), (404, &json!(["chat-history", "default"])));
    assert_eq!(command(&envoy, &json!({"rule": "x".repeat(5_000)})).await.0, 413);
    for (method, path, status) in [("PUT", "breaker", 405), ("GET", "nothing", 404), ("GET", "", 404)] {
        let answer = send(envoy.address(), &Request::new(method, format!("/.breakwater/{path}"))).await;
        assert_eq!((answer.status, answer.header("cache-control").as_str()), (status, "no-store"));
    }
    assert_eq!(origin.total(), 0);
    let ordinary = Recipe::minimal().origin(origin.address()).start().await;
    assert_eq!(get(&ordinary, "/.breakwater/breaker").await.text(), "page", "without admin.path");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_endpoint_is_locked_for_outsiders() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("page", "max-age=600")).await;
    // Who comes from elsewhere: the same, with the address that is let in being another.
    let text = std::fs::read_to_string(crate::support::root().join("envoy/envoy.yaml")).unwrap();
    let elsewhere = text.replace("address_prefix: 127.0.0.0", "address_prefix: 10.0.0.0");
    assert_ne!(text, elsewhere);
    let envoy = Recipe::from_yaml(&elsewhere)
        .redis(crate::support::ports::unused())
        .traces(crate::support::ports::unused())
        .origin(origin.address());
    let envoy = envoy.start().await;
    assert_eq!(get(&envoy, "/.breakwater/breaker").await.status, 403);
    assert_eq!(get(&envoy, "/page").await.status, 200);
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
