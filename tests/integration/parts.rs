//! Are the parts themselves right? What other tests conclude rests on these: Envoy without the plugin passes a wave
//! through one to one, a stopped upstream refuses, a frozen Redis is silent.

use crate::support::client::{self, Client, Request};
use crate::support::fragile::Fragile;
use crate::support::gate::Gate;
use crate::support::load::{Load, statuses};
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::{FakeRedis, Redis, Say};
use crate::support::reply::{Cut, Hold, Reply};
use crate::support::service::Service;
use crate::support::steady::Steady;
use crate::support::{percentile, turn};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wave_without_the_plugin_reaches_the_upstream_whole_and_at_once() {
    let _turn = turn::alone().await;
    let origin = Origin::start(|seen| {
        let reply = Reply::ok(seen.path().as_bytes()).header("cache-control", "private");
        reply.after(SHORT).then(Hold::InFlight(1000))
    })
    .await;
    let envoy = Recipe::shipped().without_plugin().origin(origin.address()).start().await;

    let requests = (0..1000).map(|n| Request::get(format!("/user/{n}"))).collect();
    let answers = client::wave_of(envoy.address(), requests).await;

    assert!(answers.iter().enumerate().all(|(n, a)| a.status == 200 && a.text() == format!("/user/{n}")));
    assert_eq!((origin.total(), origin.peak(), origin.in_flight()), (1000, 1000, 0));
    let slowest = percentile(answers.iter().map(|answer| answer.latency), 0.99);
    eprintln!("1,000 requests through Envoy alone: p99 {slowest:?}, upstream {SHORT:?}");
    assert!(slowest >= SHORT);
    assert!(envoy.resident() > 10_000_000);
    assert_eq!(envoy.stat("http.edge.downstream_rq_2xx").await, 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_stopped_refuses_and_comes_back_at_the_same_address() {
    let _turn = turn::shared().await;
    let mut origin = Origin::start(|seen| Reply::ok(format!("{} before", seen.earlier)).chunked()).await;
    let envoy = Recipe::minimal().without_plugin().origin(origin.address()).start().await;
    let get = Request::get("/");

    assert_eq!(client::send(envoy.address(), &get).await.text(), "0 before");
    origin.stop().await;
    assert_eq!(client::send(envoy.address(), &get).await.status, 503);
    origin.restart();
    assert_eq!(client::send(envoy.address(), &get).await.text(), "1 before");
    origin.answer(|_| Reply::with(500, "no").header("x-why", b"\xff"));
    let answer = client::send(envoy.address(), &get.header("x-odd", b"\xff")).await;
    assert_eq!((answer.status, answer.head.fields.iter().any(|(_, v)| v == b"\xff")), (500, true));
    assert!(origin.heads()[2].fields.contains(&("x-odd".to_owned(), vec![0xff])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_reply_goes_on_when_its_gate_opens_and_a_client_may_leave_before() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("late").then(Hold::At(held.clone()))).await;
    let envoy = Recipe::minimal().without_plugin().origin(origin.address()).start().await;

    let mut leaver = Client::connect(envoy.address()).await.expect("a connection");
    leaver.begin(&Request::get("/")).await.expect("a request");
    let head = leaver.head().await.expect("the head comes before the body");
    assert_eq!(head.word(1), "200");
    let mut stayer = Client::connect(envoy.address()).await.expect("a connection");
    stayer.begin(&Request::get("/")).await.expect("a request");
    origin.until("two requests in flight", |o| o.in_flight() == 2).await;
    drop(leaver);
    origin.until("the leaver's request is abandoned", |o| o.abandoned() == 1).await;
    assert_eq!(origin.in_flight(), 1);
    gate.open();
    assert_eq!(stayer.answer().await.expect("an answer").text(), "late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_is_told_from_an_answer() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let cut = if seen.path() == "/head" { Cut::BeforeHead } else { Cut::MidBody };
        Reply::ok("0123456789").cut(cut)
    })
    .await;
    let envoy = Recipe::minimal().without_plugin().origin(origin.address()).start().await;

    assert_eq!(client::send(envoy.address(), &Request::get("/head")).await.status, 503);
    assert!(client::try_send(envoy.address(), &Request::get("/body")).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_goes_on_until_it_is_stopped_and_counts_what_failed() {
    let _turn = turn::shared().await;
    let mut origin = Origin::start(|_| Reply::ok("x")).await;
    let envoy = Recipe::minimal().without_plugin().origin(origin.address()).start().await;

    let load = Load::start(envoy.address(), 4, |n| Request::get(format!("/{n}")));
    load.more(100).await;
    origin.stop().await;
    load.more(20).await;
    let counts = statuses(&load.stop().await);
    assert!(counts[&200] >= 90 && counts[&503] >= 10 && !counts.contains_key(&0), "{counts:?}");

    origin.restart();
    let samples = Load::bounded(envoy.address(), 4, 50, |n| Request::get(format!("/{n}"))).wait().await;
    assert_eq!(statuses(&samples), [(200, 50)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steady_traffic_goes_on_by_the_clock_whether_or_not_anybody_answers() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| Reply::ok("late").head(Hold::At(held.clone()))).await;
    let begin = Instant::now();
    let traffic = Steady::start(origin.address(), None, 200, |n| Request::get(format!("/{n}")));
    origin.until("a crowd waits", |o| o.in_flight() >= 60).await;
    let grown = begin.elapsed();
    assert!(grown >= Duration::from_secs(1) * 59 / 200, "not sooner than by the clock: {grown:?}");
    gate.open();
    let samples = traffic.stop().await;
    assert_eq!((statuses(&samples), origin.total()), ([(200, samples.len())].into(), samples.len()));
    assert!(samples.iter().enumerate().all(|(place, sample)| sample.number == place));
    // Who was to be sent first has waited longest.
    assert!(samples[0].latency > samples[59].latency);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fragile_upstream_fails_what_is_above_a_fifth_of_its_load_when_it_has_just_started() {
    let _turn = turn::shared().await;
    let mut upstream = Fragile::start(1000, |_| Reply::ok("well")).await;
    let failures = async |address| {
        let answers = client::wave(address, 100, &Request::get("/")).await;
        answers.iter().filter(|answer| answer.status == 503).count()
    };
    assert_eq!(failures(upstream.address()).await, 0, "it started long ago");
    upstream.stop().await;
    upstream.restart();
    let failed = failures(upstream.address()).await;
    let slices = upstream.slices();
    // Each slice of a tenth of a second bears twenty.
    let expected: usize = slices.iter().map(|slice| slice.arrived.saturating_sub(20)).sum();
    assert!(failed > 0 && failed == expected, "{failed}: {slices:?}");
    assert_eq!(slices.iter().map(|slice| slice.arrived).sum::<usize>(), 100);
    assert_eq!(slices.iter().map(|slice| slice.failed).sum::<usize>(), failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_hangs_holds_up_the_threads_of_the_one_that_calls_it() {
    let _turn = turn::shared().await;
    let last = Service::start(8, None, "max-age=1").await;
    let first = Service::start(2, Some(last.origin.address()), "max-age=1").await;
    let [page, alone] = ["/pages/1", "/alone"].map(Request::get);
    assert_eq!(client::send(first.origin.address(), &page).await.text(), "<</pages/1 0>>");
    assert_eq!(client::send(first.origin.address(), &alone).await.text(), "made alone");

    last.hang();
    let mut pages = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(first.origin.address()).await.expect("a connection");
        client.begin(&page).await.expect("a request");
        pages.push(client);
    }
    last.origin.until("both threads call", |origin| origin.in_flight() == 2).await;
    assert_eq!(first.idle(), 0);
    let mut other = Client::connect(first.origin.address()).await.expect("a connection");
    other.begin(&alone).await.expect("a request");
    // Clients that go away free no thread.
    pages.clear();
    first.origin.until("the clients are gone", |origin| origin.abandoned() == 2).await;
    assert!(
        timeout(SHORT, other.head()).await.is_err(),
        "what needs no other service waits for a thread too"
    );
    last.recover();
    assert_eq!(other.answer().await.expect("an answer").text(), "made alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_answers_unless_it_is_frozen_or_dead() {
    let _turn = turn::shared().await;
    let mut redis = Redis::start().await;
    assert_eq!(redis.command(&["SET", "bw:2:a", "1"]).await, "+OK\r\n");
    assert_eq!(redis.keys().await, ["bw:2:a"]);
    redis.freeze();
    assert!(timeout(SHORT, redis.command(&["GET", "bw:2:a"])).await.is_err());
    redis.thaw();
    assert_eq!(redis.command(&["GET", "bw:2:a"]).await, "$1\r\n1\r\n");
    redis.flush().await;
    redis.kill();
    assert!(tokio::net::TcpStream::connect(redis.address()).await.is_err());
    redis.restart().await;
    assert!(redis.keys().await.is_empty());
}

#[tokio::test]
async fn the_false_redis_says_what_it_is_told() {
    let fake = FakeRedis::start(|asked| Say::Last([b"you said ", asked].concat())).await;
    let mut client = Client::connect(fake.address()).await.expect("a connection");
    client.begin_raw(b"GET x\r\n\r\n").await.expect("a request");
    assert_eq!(client.head().await.expect("what was told").start, "you said GET x");
    assert_eq!(fake.asked(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_envoy_refuses_leaves_the_reason_in_its_log() {
    let _turn = turn::shared().await;
    let log = Recipe::minimal()
        .without_plugin()
        .edit(|config| config["no_such_field"] = true.into())
        .refused()
        .await;
    assert!(log.contains("no_such_field"), "{log}");
}
