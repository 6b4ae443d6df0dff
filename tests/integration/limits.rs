//! The limits of waiting: who finds no place, and how those go that waited for what was not for them.

use crate::support::client::{Answer, Client, Request, send, wave};
use crate::support::crowd::{WAITERS, leader, waiters};
use crate::support::envoy::Envoy;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::reply::{Hold, Reply};
use crate::support::{eventually, percentile, turn};
use serde_json::{Value, json};
use std::time::Duration;

fn lasting(body: impl Into<Vec<u8>>) -> Reply {
    Reply::ok(body).header("cache-control", "max-age=60")
}

fn private(body: impl Into<Vec<u8>>) -> Reply {
    Reply::ok(body).header("cache-control", "private")
}

/// An Envoy of so many workers, whose plugin is configured so.
async fn wall(origin: &Origin, workers: usize, plugin: &Value) -> Envoy {
    Recipe::minimal().workers(workers).origin(origin.address()).plugin(plugin).start().await
}

/// Held at a gate, whatever is asked for.
async fn held(reply: fn(Vec<u8>) -> Reply) -> (Origin, Gate) {
    let gate = Gate::new();
    let closed = gate.clone();
    let origin =
        Origin::start(move |seen| reply(seen.path().as_bytes().to_vec()).head(Hold::At(closed.clone())))
            .await;
    (origin, gate)
}

fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, 503);
    let told =
        ["retry-after", "cache-status", "proxy-status", "cache-control"].map(|name| answer.header(name));
    let why = "breakwater; error=proxy_internal_response; details=\"too many wait for the same\"";
    assert_eq!(told, ["1", "breakwater; detail=too-many-waiters", why, "no-store"]);
    assert!(answer.text().starts_with("Too many requests wait"), "{:?}", answer.text());
}

async fn stat(envoy: &Envoy, name: &str) -> u64 {
    envoy.stat(&format!("wasmcustom.breakwater.{name}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_as_may_wait_for_a_key_do_and_one_more_is_refused() {
    let _turn = turn::shared().await;
    let (origin, gate) = held(lasting).await;
    let limit = json!({"defaults": {"coalesce": {"max_waiters": WAITERS, "overflow": "refuse"}}});
    let envoy = wall(&origin, 1, &limit).await;
    let mut first = leader(&envoy, &origin, &Request::get("/page")).await;
    let waiters = waiters(&envoy, &Request::get("/page")).await;
    eventually("all wait", async || stat(&envoy, "waiters").await == WAITERS as u64).await;

    assert_refused(&send(envoy.address(), &Request::get("/page")).await);
    assert_eq!(origin.total(), 1);
    gate.open();
    assert_eq!(first.answer().await.unwrap().text(), "/page");
    assert!(waiters.join_all().await.iter().all(|answer| answer.status == 200 && answer.text() == "/page"));
    eventually("nobody waits", async || stat(&envoy, "waiters").await == 0).await;
    let counted = async |name: &str| stat(&envoy, &format!("{name}.rule.default")).await;
    eventually("it is counted", async || counted("requests.refused").await == 1).await;
    assert_eq!(counted("reasons.too-many-waiters").await, 1);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_as_may_wait_in_a_worker_do_and_one_more_finds_no_place() {
    let _turn = turn::shared().await;
    let (origin, gate) = held(lasting).await;
    let limit = json!({
        "max_waiters": WAITERS + 1,
        "rules": [{"name": "spared", "match": {"path": {"prefix": "/spared"}}, "coalesce": {"overflow": "refuse"}}],
    });
    let envoy = wall(&origin, 1, &limit).await;
    let mut clients = vec![leader(&envoy, &origin, &Request::get("/page")).await];
    let begin = async |path: &str| {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        client.begin(&Request::get(path)).await.unwrap();
        client
    };
    let waiters = waiters(&envoy, &Request::get("/page")).await;
    // Others lead as ever; there is room for one more to wait, whatever it asks for.
    clients.push(begin("/other").await);
    clients.push(begin("/spared").await);
    origin.until("the others lead", |o| o.in_flight() == 3).await;
    clients.push(begin("/other").await);
    eventually("one more waits", async || stat(&envoy, "waiters").await == WAITERS as u64 + 1).await;

    assert_refused(&send(envoy.address(), &Request::get("/spared")).await);
    clients.push(begin("/page").await);
    origin.until("what finds no place asks too", |o| o.in_flight() == 4).await;
    gate.open();
    assert!(waiters.join_all().await.iter().all(|answer| answer.text() == "/page"));
    let mut statuses = Vec::new();
    for mut client in clients {
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 200);
        statuses.push(answer.header("cache-status"));
    }
    let collapsed = statuses.iter().map(|status| status.contains("collapsed")).collect::<Vec<_>>();
    assert_eq!(collapsed, [false, false, false, true, true], "{statuses:?}");
    assert!(statuses[4].contains("collapsed=?0"), "{statuses:?}");
    assert_eq!(origin.total(), 4);
    assert_eq!(envoy.vm_failures().await, 0);
}

/// Each released request is held at a gate of its own, so that it is known how many may have come at any time: as many
/// as were let go, and those that are out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_waited_in_vain_go_by_turns_three_of_a_worker_at_a_time() {
    let _turn = turn::shared().await;
    for workers in [1, 2] {
        let gates: Vec<Gate> = (0..=WAITERS).map(|_| Gate::new()).collect();
        let closed = gates.clone();
        let origin =
            Origin::start(move |seen| private("own").head(Hold::At(closed[seen.earlier].clone()))).await;
        let by_turns = json!({"defaults": {"coalesce": {"release": {"parallel": 3}, "wait_timeout": "1m"}}});
        let envoy = wall(&origin, workers, &by_turns).await;
        let mut first = leader(&envoy, &origin, &Request::get("/page")).await;
        let waiters = waiters(&envoy, &Request::get("/page")).await;

        let all = 1 + WAITERS;
        for (gone, gate) in (1..).zip(&gates) {
            gate.open();
            // Over two workers they may be spread in any way; the next one comes at the least.
            let next = if workers == 1 { gone + 3 } else { gone + 1 };
            origin.until("the next ones come", |o| o.total() >= next.min(all)).await;
            assert!(origin.total() <= gone + 3 * workers, "{} came when {gone} were let go", origin.total());
        }
        assert_eq!(first.answer().await.unwrap().text(), "own");
        for answer in waiters.join_all().await {
            let status = answer.header("cache-status");
            assert_eq!((answer.status, answer.text().as_str()), (200, "own"));
            assert_eq!(status, "breakwater; fwd=miss; collapsed=?0; detail=private");
        }
        assert_eq!(origin.total(), all);
        origin.until("all are answered", |o| o.in_flight() == 0).await;
        let delayed = async || stat(&envoy, "releases.delayed").await;
        let at_least = (WAITERS - 3 * workers) as u64;
        eventually("the delayed are counted", async || delayed().await >= at_least).await;
        eventually("nobody waits", async || stat(&envoy, "waiters").await == 0).await;
        assert_eq!(envoy.vm_failures().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_released_client_that_leaves_makes_room_for_the_next() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::start(move |seen| match seen.earlier {
        0 => private("own").head(Hold::At(closed.clone())),
        _ => private("never").head(Hold::At(Gate::new())),
    })
    .await;
    let by_turns = json!({"defaults": {"coalesce": {"release": {"parallel": 1}, "wait_timeout": "1m"}}});
    let envoy = wall(&origin, 1, &by_turns).await;
    let mut first = leader(&envoy, &origin, &Request::get("/page")).await;
    let mut clients = Vec::new();
    for number in 0..5 {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        client.begin(&Request::get("/page").header("x-number", number.to_string())).await.unwrap();
        clients.push(Some(client));
    }
    eventually("all wait", async || stat(&envoy, "waiters").await == 5).await;
    gate.open();
    assert_eq!(first.answer().await.unwrap().text(), "own");
    // One that stays leaves too: it has no turn.
    origin.until("one is out", |o| o.total() == 2).await;
    let out = |nth: usize| origin.heads()[nth].combined("x-number").parse::<usize>().unwrap();
    let staying = (out(1) + 1) % 5;
    clients[staying] = None;
    eventually("one less stays", async || stat(&envoy, "waiters").await == 3).await;
    for nth in 1..=4 {
        origin.until("the next has its turn", |o| o.total() == nth + 1).await;
        assert_eq!(origin.in_flight(), 1);
        clients[out(nth)] = None;
        origin.until("it is gone", |o| o.abandoned() == nth).await;
    }
    eventually("nobody waits", async || stat(&envoy, "waiters").await == 0).await;
    assert_eq!(origin.total(), 5);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_stayed_long_enough_goes_beside_the_others() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::start(move |seen| {
        let reply = private("own");
        // Those released come back when all of them are out.
        if seen.earlier == 0 {
            reply.head(Hold::At(closed.clone()))
        } else {
            reply.head(Hold::InFlight(WAITERS))
        }
    })
    .await;
    let by_turns = json!({"defaults": {"coalesce": {"release": {"parallel": 1}, "wait_timeout": "2s"}}});
    let envoy = wall(&origin, 1, &by_turns).await;
    let mut first = leader(&envoy, &origin, &Request::get("/page")).await;
    let waiters = waiters(&envoy, &Request::get("/page")).await;
    gate.open();
    assert_eq!(first.answer().await.unwrap().text(), "own");
    assert!(waiters.join_all().await.iter().all(|answer| answer.status == 200 && answer.text() == "own"));
    assert_eq!(origin.total(), 1 + WAITERS);
    assert_eq!(envoy.vm_failures().await, 0);
}

/// The heads come at once and say that nothing is to be shared; what takes time are the bodies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_limit_all_go_at_once_and_take_no_longer_than_without_the_plugin() {
    const WAVE: usize = 500;
    let _turn = turn::alone().await;
    let origin = Origin::start(|_| {
        let slow = Hold::For(Duration::from_millis(300));
        private("own").then(slow).then(Hold::InFlight(WAVE))
    })
    .await;
    let slowest = |answers: &[Answer]| {
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "own"));
        percentile(answers.iter().map(|answer| answer.latency), 0.99)
    };
    let plain = Recipe::minimal().origin(origin.address()).without_plugin().start().await;
    let without = slowest(&wave(plain.address(), WAVE, &Request::get("/page")).await);
    drop(plain);
    origin.forget();
    let envoy = wall(&origin, 2, &json!({})).await;
    let with = slowest(&wave(envoy.address(), WAVE, &Request::get("/page")).await);
    eprintln!("uncacheable, all at once: p99 {with:?}, without the plugin {without:?}");
    assert!(with <= without * 3 / 2, "p99 {with:?}, and {without:?} without the plugin");
    assert_eq!((origin.total(), origin.peak()), (WAVE, WAVE));
    assert_eq!(stat(&envoy, "releases.delayed").await, 0);
    assert_eq!(envoy.vm_failures().await, 0);
}
