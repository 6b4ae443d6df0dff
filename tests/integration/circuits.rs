//! Circuits on real Envoy: what opens them, how soon all workers know, and how they come back.

use crate::support::circuit::{CLOSED, OPENED, circuit, is_refused, page, transitions};
use crate::support::client::{Answer, Client, Request, send, wave_of};
use crate::support::crowd::{by_worker, waiters};
use crate::support::envoy::Envoy;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::reply::{Cut, Hold, Reply};
use crate::support::{eventually, percentile, turn};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

async fn ask(client: &mut Client, path: impl Into<String>) -> Answer {
    client.send(&Request::get(path)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_workers_know_of_a_transition_within_50_milliseconds() {
    let _turn = turn::alone().await;
    let origin = Origin::start(|seen| {
        if seen.path().starts_with("/bad") { Reply::with(500, "bad") } else { page("good", "no-store") }
    })
    .await;
    // Short stays, so that each round begins with a closed circuit.
    let breaker = json!({"open_for": "300ms", "max_open_for": "300ms", "consecutive_failures": 3,
        "half_open_probes": 1});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let mut clients: Vec<Client> = by_worker(&envoy, 1).await.into_iter().flatten().collect();
    let mut took = Vec::new();
    for round in 0..10 {
        let (one, other) = clients.split_at_mut(1);
        let (one, other) =
            if round % 2 == 0 { (&mut one[0], &mut other[0]) } else { (&mut other[0], &mut one[0]) };
        // A fraction of the window's calls, so that the row counts.
        while !is_refused(&ask(one, format!("/bad/{round}")).await) {}
        let since = Instant::now();
        while !is_refused(&ask(other, format!("/good/{round}")).await) {}
        took.push(since.elapsed());
        // Two workers may close it at once, and both count that.
        let closed = envoy.stat(CLOSED).await;
        eventually("it is closed again", async || {
            for client in [&mut *one, &mut *other] {
                ask(client, "/good").await;
            }
            envoy.stat(CLOSED).await > closed
        })
        .await;
    }
    let [half, most] = [0.5, 1.0].map(|share| percentile(took.iter().copied(), share));
    eprintln!("the other worker refuses after {half:?} at the median, {most:?} at most, of {}", took.len());
    assert!(half < Duration::from_millis(50), "{took:?}");
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_failures_over_all_workers_opens_the_circuit() {
    let _turn = turn::shared().await;
    // Longer than from one tick to the next.
    let origin = Origin::start(|_| Reply::with(500, "bad").after(Duration::from_millis(60))).await;
    let breaker = json!({"consecutive_failures": 6, "open_for": "10m", "max_open_for": "10m"});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let mut clients: Vec<Client> = by_worker(&envoy, 1).await.into_iter().flatten().collect();
    let mut asked = 0;
    while !is_refused(&ask(&mut clients[asked % 2], format!("/{asked}")).await) {
        asked += 1;
        assert!(asked <= 8, "it never opens");
    }
    // Neither worker alone has seen a row of six; the last ones may meet the next tick.
    eprintln!("open after {asked} failures, {} a worker", asked / 2);
    assert!(asked >= 6, "{asked}");
    eventually("it is counted", async || transitions(&envoy, "consecutive-failures").await == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_hangs_opens_the_circuit_before_any_call_ends() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| page("late", "no-store").head(Hold::At(held.clone()))).await;
    let breaker = json!({"slow_call": "200ms", "open_for": "10m", "max_open_for": "10m"});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let mut hanging = Vec::new();
    for number in 0..6 {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        client.begin(&Request::get(format!("/{number}"))).await.unwrap();
        hanging.push(client);
    }
    origin.until("all are at the upstream", |origin| origin.in_flight() == 6).await;
    eventually("it opens", async || transitions(&envoy, "slow-calls").await == 1).await;
    assert_eq!(origin.in_flight(), 6, "none has ended");
    assert!(is_refused(&send(envoy.address(), &Request::get("/7")).await));
    gate.open();
    for mut client in hanging {
        assert_eq!(client.answer().await.unwrap().status, 200, "whoever was let by gets what comes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_fetch_is_answered_stale_when_the_circuit_opens_under_it() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let origin = Origin::start(|_| page("old", "max-age=1, stale-if-error=600")).await;
    let breaker = json!({"consecutive_failures": 3, "open_for": "10m", "max_open_for": "10m"});
    let patch = json!({"defaults": {"breaker": breaker, "coalesce": {"wait_timeout": "60s"}}});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&patch).start().await;
    let request = Request::get("/page");
    send(envoy.address(), &request).await;
    let held = gate.clone();
    origin.answer(move |seen| match seen.path() {
        "/page" => page("new", "max-age=600").head(Hold::At(held.clone())),
        _ => Reply::with(500, "bad"),
    });
    // As soon as it is stale, one asks the upstream.
    let mut first = loop {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        client.begin(&request).await.unwrap();
        let is_answered = tokio::select! {
            _ = client.answer() => true,
            () = origin.until("it is at the upstream", |origin| origin.in_flight() == 1) => false,
        };
        if !is_answered {
            break client;
        }
    };
    let mut waiting = waiters(&envoy, &request).await;
    assert_eq!(origin.hits("/page"), 2, "all the others wait for that one");
    let mut asked = 0;
    eventually("the circuit opens", async || {
        asked += 1;
        is_refused(&send(envoy.address(), &Request::get(format!("/{asked}"))).await)
    })
    .await;
    while let Some(answer) = waiting.join_next().await {
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
        assert!(answer.header("cache-status").contains("detail=breaker-open"), "{:?}", answer.head);
    }
    gate.open();
    assert_eq!(first.answer().await.unwrap().text(), "new", "the leader's client gets what comes");
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_that_break_off_are_failures() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("half of it comes", "no-store").cut(Cut::MidBody)).await;
    let breaker =
        json!({"consecutive_failures": 1000000, "min_requests": 5, "open_for": "10m", "max_open_for": "10m"});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let mut asked = 0;
    eventually("it opens", async || {
        asked += 1;
        let mut client = Client::connect(envoy.address()).await.unwrap();
        // The client sees the connection cut.
        let _ = client.send(&Request::get(format!("/{asked}"))).await;
        envoy.stat(OPENED).await == 1
    })
    .await;
    eventually("its cause too", async || transitions(&envoy, "failure-rate").await == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_that_break_off_are_a_row_of_failures_too() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let page = page("half of it comes", "no-store");
        if seen.path() == "/whole" { page } else { page.cut(Cut::MidBody) }
    })
    .await;
    let breaker = json!({"open_for": "10m", "max_open_for": "10m"});
    let envoy =
        Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).workers(1).start().await;
    let break_off = async |count: usize| {
        for number in 0..count {
            let mut client = Client::connect(envoy.address()).await.unwrap();
            // The client sees the connection cut.
            client.send(&Request::get(format!("/{number}"))).await.unwrap_err();
        }
    };
    break_off(4).await;
    let whole = send(envoy.address(), &Request::get("/whole")).await;
    assert_eq!(whole.text(), "half of it comes", "four are no row yet, and this one ends it");
    break_off(5).await;
    assert!(is_refused(&send(envoy.address(), &Request::get("/whole")).await));
    eventually("it is counted", async || transitions(&envoy, "consecutive-failures").await == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_upstreams_retry_after_says_how_long_it_is_left_alone() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| Reply::with(429, "slowly").header("retry-after", "120")).await;
    let breaker = json!({"failure_statuses": ["5xx", 429], "consecutive_failures": 2});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let mut client = Client::connect(envoy.address()).await.unwrap();
    for number in 0..2 {
        assert_eq!(ask(&mut client, format!("/{number}")).await.status, 429);
    }
    let refused = ask(&mut client, "/2").await;
    assert!(is_refused(&refused), "{:?}", refused.head);
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((118..=120).contains(&seconds), "{seconds}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_stale_the_rules_own_answer_stands_in() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("kept", "max-age=1, stale-if-error=600")).await;
    let answer = json!({"status": "200", "content_type": "text/html; charset=utf-8", "body": "<p>We are back soon.</p>"});
    let breaker = json!({"open_for": "10m", "max_open_for": "10m", "answer": answer});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    send(envoy.address(), &Request::get("/kept")).await;
    origin.answer(|_| Reply::with(500, "bad"));
    let mut asked = 0;
    let own = loop {
        asked += 1;
        let answer = send(envoy.address(), &Request::get(format!("/{asked}"))).await;
        if answer.status == 200 {
            break answer;
        }
    };
    assert_eq!(own.text(), "<p>We are back soon.</p>");
    assert_eq!(own.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(
        (own.header("cache-control").as_str(), own.header("retry-after").is_empty()),
        ("no-store", false)
    );
    assert_eq!(send(envoy.address(), &Request::get("/kept")).await.text(), "kept", "stale goes first");
}

fn some_requests() -> Vec<Request> {
    (0..20).map(|number| Request::get(format!("/{number}"))).collect()
}

/// An Envoy whose circuit has learnt how fast this upstream usually is.
async fn learnt(origin: &Origin) -> Envoy {
    // Laps of 0.4 s; twelve are learnt from.
    let breaker = json!({"window": "1s", "open_for": "10m", "max_open_for": "10m"});
    let recipe = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker));
    let envoy = recipe.plugin(&json!({"admin": {"path": "/.breakwater/"}})).start().await;
    eventually("it knows what is usual", async || {
        wave_of(envoy.address(), some_requests()).await;
        let shown = send(envoy.address(), &Request::get("/.breakwater/breaker")).await.text();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        // (A worker that nobody has asked yet knows of no circuit.)
        shown["circuits"].as_array().unwrap().iter().any(|circuit| circuit["usual"]["latency_ms"].is_u64())
    })
    .await;
    assert_eq!(envoy.stat(OPENED).await, 0);
    envoy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_configured_a_hang_is_seen_by_what_is_usual() {
    const CALLS: usize = 40;
    let _turn = turn::alone().await;
    let origin = Origin::start(|_| page("soon", "no-store").after(Duration::from_millis(20))).await;
    let envoy = learnt(&origin).await;
    let gate = Gate::new();
    let held = gate.clone();
    origin.answer(move |_| page("late", "no-store").head(Hold::At(held.clone())));
    let since = Instant::now();
    let mut hanging = Vec::new();
    for number in 0..CALLS {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        client.begin(&Request::get(format!("/hangs/{number}"))).await.unwrap();
        hanging.push(client);
    }
    eventually("it opens", async || transitions(&envoy, "slow-calls").await == 1).await;
    let took = since.elapsed();
    assert_eq!(origin.in_flight(), CALLS, "none has ended");
    assert!(took >= Duration::from_millis(500), "no pause is an outage so soon: {took:?}");
    eprintln!("open {took:?} after the first of the calls that hang");
    assert!(is_refused(&send(envoy.address(), &Request::get("/next")).await));
    gate.open();
    for mut client in hanging {
        assert_eq!(client.answer().await.unwrap().text(), "late");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_latency_outside_of_what_is_usual_opens_the_circuit() {
    let _turn = turn::alone().await;
    let origin = Origin::start(|_| page("soon", "no-store").after(Duration::from_millis(20))).await;
    let envoy = learnt(&origin).await;
    origin.answer(|_| page("late", "no-store").after(Duration::from_millis(150)));
    let since = Instant::now();
    eventually("it opens", async || {
        wave_of(envoy.address(), some_requests()).await;
        envoy.stat(OPENED).await > 0
    })
    .await;
    eprintln!("open {:?} after the latency rose", since.elapsed());
    eventually("its cause too", async || transitions(&envoy, "latency-outlier").await == 1).await;
}
