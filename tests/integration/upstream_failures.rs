//! A failing upstream: the last good answer stands in, the circuit opens, and closes again when the upstream is well.

use crate::support::client::{Answer, Client, Request, send, try_wave_of};
use crate::support::envoy::Envoy;
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::reply::{Cut, Hold, Reply};
use crate::support::turn;
use serde_json::{Value, json};

/// Answers that are stale after a second, and may stand in for an hour.
fn good(body: &str) -> Reply {
    Reply::ok(body).header("cache-control", "max-age=1").header("etag", "\"1\"")
}

/// Without a circuit: each failure is asked for.
fn unbroken() -> Value {
    json!({"defaults": {"breaker": {"enabled": false}}})
}

/// A circuit that opens for a second.
fn broken_for_a_second(more: &Value) -> Value {
    let mut breaker = json!({"open_for": "1s"});
    for (key, value) in more.as_object().unwrap() {
        breaker[key] = value.clone();
    }
    json!({"defaults": {"breaker": breaker}})
}

/// Asks until what is stored is stale and the upstream has failed.
async fn until_stale(envoy: &Envoy, path: &str) -> Answer {
    let mut last = None;
    eventually("a stale answer", async || {
        let answer = send(envoy.address(), &Request::get(path)).await;
        let stale = answer.header("cache-status").contains("fwd=stale");
        last = Some(answer);
        stale
    })
    .await;
    last.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_good_answer_stands_in_for_every_kind_of_failure() {
    let _turn = turn::shared().await;
    let never = Gate::new();
    let mut origin = Origin::start(|seen| good(&format!("good {}", seen.path()))).await;
    let envoy =
        Recipe::minimal().origin(origin.address()).plugin(&unbroken()).route_timeout("0.3s").start().await;
    let paths = ["/500", "/502", "/503", "/504", "/reset", "/timeout", "/refused"];
    for path in paths {
        assert_eq!(send(envoy.address(), &Request::get(path)).await.status, 200);
    }

    let held = never.clone();
    origin.answer(move |seen| match seen.path() {
        "/reset" => Reply::ok("half").cut(Cut::BeforeHead),
        "/timeout" => Reply::ok("late").head(Hold::At(held.clone())),
        status => Reply::with(status[1..].parse().unwrap(), "bad").header("x-bad", "yes"),
    });
    for path in paths {
        if path == "/refused" {
            origin.stop().await;
        }
        let answer = until_stale(&envoy, path).await;
        assert_eq!((answer.status, answer.text()), (200, format!("good {path}")), "{path}");
        assert_eq!(answer.header("x-bad"), "", "nothing of the failure is left: {:?}", answer.head);
        assert_eq!(
            (answer.header("etag").as_str(), answer.header("content-length")),
            ("\"1\"", (5 + path.len()).to_string())
        );
        let status = answer.header("cache-status");
        let code = match path {
            "/reset" | "/refused" => "503",
            "/timeout" => "504",
            other => &other[1..],
        };
        assert!(
            // At the very moment of expiry nothing is left, and nothing is owed yet.
            ["-", "0;"].iter().any(|ttl| {
                status.starts_with(&format!("breakwater; fwd=stale; fwd-status={code}; ttl={ttl}"))
            }) && status.ends_with("; detail=upstream-failed"),
            "{path}: {status}"
        );
        assert!(answer.header("age").parse::<u64>().unwrap() >= 1, "{path}");
    }
    never.open();
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_stale_if_error_the_failure_is_shown_as_it_is() {
    let _turn = turn::shared().await;
    let origin =
        Origin::start(|_| Reply::ok("good").header("cache-control", "max-age=1, stale-if-error=1")).await;
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&unbroken()).start().await;
    let get = Request::get("/");
    send(envoy.address(), &get).await;
    origin.answer(|_| Reply::with(503, "as it is").header("x-why", "tired").header("retry-after", "7"));

    let mut stale = 0;
    let mut failed = None;
    eventually("the failure is shown", async || {
        let answer = send(envoy.address(), &get).await;
        stale += usize::from(answer.header("cache-status").contains("fwd=stale; fwd-status=503"));
        failed = (answer.status == 503).then_some(answer);
        failed.is_some()
    })
    .await;
    let failed = failed.unwrap();
    assert!(stale > 0);
    assert_eq!((failed.text().as_str(), failed.header("x-why").as_str()), ("as it is", "tired"));
    assert_eq!(failed.header("retry-after"), "7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_be_revalidated_never_stands_in() {
    let _turn = turn::shared().await;
    let origin =
        Origin::start(|_| Reply::ok("good").header("cache-control", "max-age=1, must-revalidate")).await;
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&unbroken()).start().await;
    let get = Request::get("/");
    send(envoy.address(), &get).await;
    origin.answer(|_| Reply::with(500, "bad"));
    eventually("the failure is shown", async || {
        let answer = send(envoy.address(), &get).await;
        assert!(!answer.header("cache-status").contains("fwd-status"), "{:?}", answer.head);
        answer.status == 500
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_in_a_row_open_the_circuit_in_every_worker_and_a_recovered_upstream_closes_it() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| good("good")).await;
    let envoy =
        Recipe::minimal().origin(origin.address()).plugin(&broken_for_a_second(&json!({}))).start().await;
    send(envoy.address(), &Request::get("/kept")).await;
    origin.answer(|_| Reply::with(500, "bad"));
    until_stale(&envoy, "/kept").await;
    origin.forget();

    // One connection, so one worker: the fifth failure in a row is the last that is asked for. (One was counted.)
    let mut client = Client::connect(envoy.address()).await.unwrap();
    let mut failures = 0;
    let refused = loop {
        let answer = client.send(&Request::get(format!("/lost/{failures}"))).await.unwrap();
        if answer.status == 503 {
            break answer;
        }
        assert_eq!((answer.status, answer.text().as_str()), (500, "bad"));
        failures += 1;
        assert!(failures <= 5, "the circuit does not open");
    };
    assert!(failures >= 4, "{failures}");
    // A second, spread a little and rounded up.
    assert!(["1", "2"].contains(&refused.header("retry-after").as_str()), "{:?}", refused.head);
    assert_eq!(
        refused.header("proxy-status"),
        "breakwater; error=destination_unavailable; details=\"circuit open\""
    );
    assert!(refused.header("cache-status").ends_with("; detail=breaker-open"), "{:?}", refused.head);

    // All workers know, and what is kept still serves.
    eventually("every worker refuses", async || {
        let requests = (0..32).map(|n| Request::get(format!("/peers/{n}"))).collect();
        let answers = try_wave_of(envoy.address(), requests).await;
        answers
            .iter()
            .all(|a| a.as_ref().is_ok_and(|a| a.status == 503 && !a.header("retry-after").is_empty()))
    })
    .await;
    let kept = send(envoy.address(), &Request::get("/kept")).await;
    assert_eq!((kept.status, kept.text().as_str()), (200, "good"));
    let status = kept.header("cache-status");
    assert!(
        status.starts_with("breakwater; hit; ttl=-") && status.ends_with("; detail=breaker-open"),
        "{status}"
    );

    // The upstream is well again: probes find out, and then everybody passes.
    origin.answer(|_| good("well"));
    eventually("the circuit closes", async || {
        send(envoy.address(), &Request::get("/probe")).await;
        envoy.stat("wasmcustom.breakwater.breaker.closed").await > 0
    })
    .await;
    // The other worker learns it on its tick, or from probes of its own.
    eventually("every worker lets pass", async || {
        let requests = (0..32).map(|n| Request::get(format!("/after/{n}"))).collect();
        let answers = try_wave_of(envoy.address(), requests).await;
        answers.iter().all(|a| a.as_ref().is_ok_and(|a| a.status == 200 && a.text() == "well"))
    })
    .await;
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_circuit_leaves_the_upstream_in_peace_but_for_its_probes() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| Reply::with(503, "bad")).await;
    let circuit = broken_for_a_second(&json!({"open_for": "10m", "max_open_for": "10m"}));
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit).start().await;
    eventually("the circuit opens in every worker", async || {
        let requests = (0..16).map(|n| Request::get(format!("/{n}"))).collect();
        let answers = try_wave_of(envoy.address(), requests).await;
        answers.iter().all(|a| a.as_ref().is_ok_and(|a| !a.header("proxy-status").is_empty()))
    })
    .await;
    origin.forget();
    let requests = (0..300).map(|n| Request::get(format!("/more/{n}"))).collect();
    for answer in try_wave_of(envoy.address(), requests).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 503);
        // About ten minutes, spread a little so that not all come back at once.
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=720).contains(&seconds), "{seconds}");
    }
    // A POST is refused as well; nothing of it reaches the upstream.
    let post = send(envoy.address(), &Request::new("POST", "/").body("x")).await;
    assert_eq!((post.status, post.header("proxy-status").is_empty()), (503, false));
    assert_eq!(origin.total(), 0);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_high_failure_rate_opens_the_circuit_without_a_row_of_failures() {
    let _turn = turn::shared().await;
    // Three of five fail, never four in a row.
    let origin = Origin::start(|seen| {
        let number: usize = seen.path()[1..].parse().unwrap();
        if number % 5 < 3 { Reply::with(500, "bad") } else { Reply::ok("good") }
    })
    .await;
    let envoy =
        Recipe::minimal().origin(origin.address()).plugin(&broken_for_a_second(&json!({}))).start().await;
    let mut client = Client::connect(envoy.address()).await.unwrap();
    let mut asked = 0;
    while client.send(&Request::get(format!("/{asked}"))).await.unwrap().header("proxy-status").is_empty() {
        asked += 1;
        assert!(asked < 100, "it never opened");
    }
    // Not before the fortieth request, soon thereafter.
    assert!((40..=45).contains(&asked), "{asked}");
    assert_eq!(origin.total(), asked);
    eventually("it is counted", async || envoy.stat("wasmcustom.breakwater.breaker.opened").await == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_rule_s_circuit_is_not_another_s() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        if seen.path().starts_with("/bad/") { Reply::with(500, "bad") } else { Reply::ok("good") }
    })
    .await;
    let rules = json!({"rules": [
        {"name": "bad", "match": {"path": {"prefix": "/bad/"}}, "breaker": {"open_for": "10m", "max_open_for": "10m"}},
    ]});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&rules).start().await;
    let mut client = Client::connect(envoy.address()).await.unwrap();
    for n in 0..6 {
        let answer = client.send(&Request::get(format!("/bad/{n}"))).await.unwrap();
        assert_eq!(answer.status, if n < 5 { 500 } else { 503 }, "{n}");
    }
    for n in 0..6 {
        assert_eq!(client.send(&Request::get(format!("/good/{n}"))).await.unwrap().status, 200);
    }
}
