//! Fetching anew in the background: one request, the plugin's own, and nobody else's.

use crate::support::client::{Request, send, wave};
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::{Cut, Hold, Reply};
use crate::support::turn;
use serde_json::json;
use std::time::Duration;

const MARK: &str = "x-breakwater-refresh";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_is_for_one_caller_and_what_it_brings_for_those_it_permits() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let caller =
            seen.head.field("authorization").map_or("nobody".to_owned(), |caller| caller.to_string());
        let reply = Reply::ok(format!("{caller} {}", seen.earlier));
        // For everybody at first, for its caller alone from then on.
        let cache_control =
            if seen.earlier == 0 { "public, max-age=0, stale-while-revalidate=60" } else { "max-age=60" };
        reply.header("cache-control", cache_control).header("etag", format!("\"{}\"", seen.earlier))
    })
    .await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let page = Request::get("/page");
    assert_eq!(send(envoy.address(), &page).await.text(), "nobody 0");
    let alice = page.clone().header("authorization", "alice");
    assert_eq!(send(envoy.address(), &alice).await.text(), "nobody 0");
    eventually("it is fetched anew as alice", async || origin.hits("/page") == 2).await;
    for answer in wave(envoy.address(), 20, &page).await {
        assert!(!answer.text().starts_with("alice"), "{:?}", answer.head);
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mark_of_a_refresh_reaches_nobody_and_is_nothing_in_others_hands() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let cache_control =
            if seen.path() == "/fresh" { "max-age=60" } else { "stale-while-revalidate=60, max-age=0" };
        Reply::ok(format!("{}", seen.earlier))
            .header("cache-control", cache_control)
            .header("etag", "\"one\"")
    })
    .await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    for _ in 0..2 {
        assert_eq!(send(envoy.address(), &Request::get("/stale")).await.text(), "0");
    }
    eventually("a refresh has come", async || origin.hits("/stale") == 2).await;
    for forged in ["", "0", "00000000000000000000000000000000"] {
        let fresh = Request::get("/fresh").header(MARK, forged).header(MARK, forged);
        assert_eq!(send(envoy.address(), &fresh).await.text(), "0", "answered like any other");
        send(envoy.address(), &Request::new("OPTIONS", "/options").header(MARK, forged)).await;
        send(envoy.address(), &Request::get("/upgrade").header("upgrade", "x").header(MARK, forged)).await;
    }
    let marked = origin.heads().into_iter().find(|head| head.fields.iter().any(|(name, _)| name == MARK));
    assert!(marked.is_none(), "{marked:?}");
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_answered_stale_at_once_while_one_request_fetches_it_anew_for_every_tier() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| match seen.earlier {
        0 => Reply::ok("old")
            .header("cache-control", "max-age=0, stale-while-revalidate=600")
            .header("etag", "\"1\""),
        _ => Reply::ok("new").header("cache-control", "max-age=600").head(Hold::At(held.clone())),
    })
    .await;
    let redis = Redis::start().await;
    let recipe = Recipe::shipped()
        .origin(origin.address())
        .patient_redis(redis.address())
        .plugin(&json!({"l1": {"ttl": "10m"}}));
    let (first, second) = (recipe.clone().start().await, recipe.start().await);
    let get = Request::get("/page");
    assert_eq!(send(first.address(), &get).await.text(), "old");
    for answer in wave(first.address(), 100, &get).await {
        let told = answer.told();
        assert_eq!((answer.status, answer.text().as_str(), told.hit), (200, "old", true), "{told:?}");
        assert!(told.ttl <= Some(0), "{told:?}");
    }
    origin.until("it is fetched anew", |o| o.in_flight() == 1).await;
    // Also who comes now is not held up, on either worker, and asks nobody.
    assert!(wave(first.address(), 100, &get).await.iter().all(|answer| answer.text() == "old"));
    assert_eq!(origin.total(), 2);

    gate.open();
    eventually("what came is served", async || send(first.address(), &get).await.text() == "new").await;
    for answer in wave(first.address(), 100, &get).await {
        assert_eq!((answer.text().as_str(), answer.told().hit), ("new", true), "{:?}", answer.head);
    }
    eventually("it is in Redis", async || {
        let key = redis.keys().await.into_iter().find(|key| key.starts_with("bw:2:"));
        key.is_some() && redis.command(&["GET", &key.unwrap()]).await.contains("new")
    })
    .await;
    let elsewhere = send(second.address(), &get).await;
    assert_eq!((elsewhere.text().as_str(), elsewhere.told().detail.as_deref()), ("new", Some("l2")));
    assert_eq!(origin.total(), 2);
    assert_eq!((first.vm_failures().await, second.vm_failures().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_fails_reaches_no_client_and_is_tried_again() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| match seen.earlier {
        0 => Reply::ok("old")
            .header("cache-control", "max-age=0, stale-while-revalidate=600")
            .header("etag", "\"1\""),
        1 => Reply::with(503, "failing").header("cache-control", "max-age=600"),
        2 => Reply::ok("broken off").header("cache-control", "max-age=600").cut(Cut::MidBody),
        3 => Reply::ok("refused").cut(Cut::BeforeHead),
        _ => Reply::ok("new").header("cache-control", "max-age=600"),
    })
    .await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let get = Request::get("/page");
    eventually("it is fetched anew in the end", async || {
        let answer = send(envoy.address(), &get).await;
        let text = answer.text();
        assert!(answer.status == 200 && ["old", "new"].contains(&text.as_str()), "{:?}: {text}", answer.head);
        text == "new"
    })
    .await;
    let count = async |what: &str| envoy.stat(&format!("wasmcustom.breakwater.refreshes.{what}")).await;
    eventually("they are counted", async || count("begun").await >= 4 && count("failed").await == 3).await;
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_its_window_nobody_is_answered_stale() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| match (seen.earlier, seen.path()) {
        (0, "/stated") => Reply::ok("old")
            .header("cache-control", "max-age=0, stale-while-revalidate=1")
            .header("etag", "\"1\""),
        (0, _) => Reply::ok("old").header("cache-control", "max-age=0").header("etag", "\"1\""),
        _ => Reply::ok("new").header("cache-control", "max-age=600").head(Hold::At(held.clone())),
    })
    .await;
    // What the response does not say, the rule says.
    let window = json!({"defaults": {"cache": {"stale_while_revalidate": "1s"}}, "l1": {"ttl": "10m"}});
    let envoy = Recipe::shipped().plugin(&window).origin(origin.address()).start().await;
    for path in ["/stated", "/by-the-rule"] {
        let get = Request::get(path);
        let began = tokio::time::Instant::now();
        assert_eq!(send(envoy.address(), &get).await.text(), "old");
        // The refresh does not end before the window does; from then on it is waited for.
        let mut stale = 0;
        let waited = loop {
            match tokio::time::timeout(Duration::from_millis(500), send(envoy.address(), &get)).await {
                Ok(answer) if origin.hits(path) <= 2 => {
                    assert_eq!((answer.text().as_str(), answer.told().hit), ("old", true), "{path}");
                    stale += 1;
                }
                Ok(answer) => panic!("{path}: asked for apart from the refresh: {:?}", answer.head),
                Err(_) => break began.elapsed(),
            }
        };
        assert!(stale > 0 && waited >= Duration::from_secs(1), "{path}: {stale} until {waited:?}");
    }
    gate.open();
    for path in ["/stated", "/by-the-rule"] {
        assert_eq!(send(envoy.address(), &Request::get(path)).await.text(), "new", "{path}");
        assert_eq!(origin.hits(path), 2);
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_refresh_comes_before_the_end_and_nobody_meets_the_end() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let lifetime = if seen.earlier == 0 { "max-age=3" } else { "max-age=600" };
        let reply = Reply::ok(format!("{}", seen.earlier)).header("cache-control", lifetime);
        reply.after(Duration::from_millis(100))
    })
    .await;
    // On the average a second ahead.
    let early = json!({"defaults": {"cache": {"early_refresh": 10}}, "l1": {"ttl": "10m"}});
    let envoy = Recipe::shipped().plugin(&early).origin(origin.address()).start().await;
    let get = Request::get("/page");
    send(envoy.address(), &get).await;
    eventually("it is fetched anew", async || {
        let answer = send(envoy.address(), &get).await;
        let told = answer.told();
        assert!(told.hit && told.ttl >= Some(0), "{told:?}");
        answer.text() == "1"
    })
    .await;
    // Each worker draws by itself.
    assert!(origin.total() <= 3, "{}", origin.total());
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_way_back_nothing_is_fetched_in_the_background() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let lifetime =
            if seen.path() == "/stale" { "max-age=0, stale-while-revalidate=600" } else { "max-age=1" };
        let reply = Reply::ok(format!("{}", seen.earlier)).header("cache-control", lifetime);
        reply.header("etag", format!("\"{}\"", seen.earlier)).after(Duration::from_millis(100))
    })
    .await;
    let early = json!({"defaults": {"cache": {"early_refresh": 10}}});
    let envoy = Recipe::minimal().plugin(&early).origin(origin.address()).start().await;
    for earlier in 0..3 {
        let answer = send(envoy.address(), &Request::get("/stale")).await;
        assert_eq!((answer.text(), answer.told().hit), (format!("{earlier}"), false));
    }
    let get = Request::get("/early");
    send(envoy.address(), &get).await;
    eventually("its lifetime ends", async || {
        let answer = send(envoy.address(), &get).await;
        let told = answer.told();
        let asked = told.fwd.as_deref() == Some("stale");
        assert_eq!(
            (origin.hits("/early"), answer.text() == "1"),
            (1 + usize::from(asked), asked),
            "{told:?}"
        );
        asked
    })
    .await;
    assert_eq!(envoy.stat("wasmcustom.breakwater.refreshes.begun").await, 0);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_holds_nobody_up_however_long_it_takes() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| match (seen.earlier, seen.path()) {
        (0, "/stale") => Reply::ok("old")
            .header("cache-control", "max-age=0, stale-while-revalidate=600")
            .header("etag", "\"1\""),
        // Early refresh: due at once, for the fetch took half of the lifetime.
        (0, _) => Reply::ok("old").header("cache-control", "max-age=4").after(Duration::from_secs(2)),
        _ => Reply::ok("new").header("cache-control", "max-age=600").head(Hold::At(held.clone())),
    })
    .await;
    let redis = Redis::start().await;
    let early = json!({"defaults": {"cache": {"early_refresh": 10}}});
    let recipe = Recipe::shipped().origin(origin.address()).plugin(&early);
    let envoy = recipe.patient_redis(redis.address()).start().await;
    for path in ["/stale", "/early"] {
        let get = Request::get(path);
        assert_eq!(send(envoy.address(), &get).await.text(), "old");
        eventually("the refresh is under way", async || {
            send(envoy.address(), &get).await;
            origin.hits(path) == 2
        })
        .await;
        // Longer than `l1.ttl`.
        let began = tokio::time::Instant::now();
        while began.elapsed() < Duration::from_millis(500) {
            let answer = tokio::time::timeout(Duration::from_secs(1), send(envoy.address(), &get)).await;
            let answer = answer
                .unwrap_or_else(|_| panic!("{path}: held up {:?} after the refresh began", began.elapsed()));
            assert_eq!(
                (answer.text().as_str(), answer.told().hit),
                ("old", true),
                "{path}: {:?}",
                answer.head
            );
        }
    }
    gate.open();
    assert_eq!(envoy.vm_failures().await, 0);
}
