//! Requests that wait for another's fetch: whatever becomes of the one that leads, each gets an answer of its own.

use crate::support::client::{Client, Request, send, try_send};
use crate::support::crowd::{WAITERS, active, by_worker, leader, waiters, waiters_at};
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::reply::{Cut, Hold, Reply};
use crate::support::turn;
use serde_json::json;
use std::time::Duration;

const MIB: usize = 1 << 20;

fn lasting(body: impl Into<Vec<u8>>) -> Reply {
    Reply::ok(body).header("cache-control", "max-age=60")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_s_client_leaves_before_the_head_one_waiter_takes_over() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin =
        Origin::start(move |seen| lasting(format!("fetch {}", seen.earlier)).head(Hold::At(held.clone())))
            .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;

    let leader = leader(&envoy, &origin, &Request::get("/page")).await;
    let waiters = waiters(&envoy, &Request::get("/page")).await;
    assert_eq!(origin.total(), 1);
    drop(leader);
    origin.until("a waiter asks in its place", |o| o.abandoned() == 1 && o.in_flight() == 1).await;
    gate.open();

    let answers = waiters.join_all().await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "fetch 1"));
    assert_eq!(origin.total(), 2);
    let status = send(envoy.address(), &Request::get("/page")).await.header("cache-status");
    assert!(status.starts_with("breakwater; hit"), "{status}");
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_s_client_leaves_amid_the_body_one_waiter_takes_over() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin =
        Origin::start(move |seen| lasting(format!("fetch {}", seen.earlier)).then(Hold::At(held.clone())))
            .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;

    let mut leader = leader(&envoy, &origin, &Request::get("/page")).await;
    assert_eq!(leader.head().await.unwrap().word(1), "200");
    let waiters = waiters(&envoy, &Request::get("/page")).await;
    drop(leader);
    origin.until("a waiter asks in its place", |o| o.abandoned() == 1 && o.in_flight() == 1).await;
    gate.open();

    let answers = waiters.join_all().await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "fetch 1"));
    assert_eq!(origin.total(), 2);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_may_leave_one_after_the_other() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| lasting("page").head(Hold::At(held.clone()))).await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;

    // Each of these leaves while it waits or leads; whichever leads, the next takes over.
    let mut leavers = vec![leader(&envoy, &origin, &Request::get("/page")).await];
    for _ in 0..8 {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        client.begin(&Request::get("/page")).await.unwrap();
        leavers.push(client);
    }
    eventually("the leavers are in Envoy", async || active(&envoy).await == 9).await;
    let waiters = waiters(&envoy, &Request::get("/page")).await;
    for leaver in leavers {
        drop(leaver);
        origin.until("somebody asks", |o| o.in_flight() == 1).await;
    }
    eventually("the leavers are gone", async || active(&envoy).await == WAITERS as u64).await;
    origin.until("somebody asks", |o| o.in_flight() == 1).await;
    gate.open();

    let answers = waiters.join_all().await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "page"));
    assert_eq!(origin.total(), origin.abandoned() + 1);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_waited_long_enough_goes_alone() {
    const PATIENCE: Duration = Duration::from_millis(300);
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| {
        let reply = lasting(format!("fetch {}", seen.earlier));
        if seen.earlier == 0 { reply.head(Hold::At(held.clone())) } else { reply }
    })
    .await;
    let patience = json!({"defaults": {"coalesce": {"wait_timeout": "300ms"}}});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&patience).start().await;

    let mut leader = leader(&envoy, &origin, &Request::get("/page")).await;
    let answers = waiters(&envoy, &Request::get("/page")).await.join_all().await;
    for answer in &answers {
        assert_eq!(answer.status, 200);
        assert!(answer.text().starts_with("fetch ") && answer.text() != "fetch 0");
        let status = answer.header("cache-status");
        assert!(status.starts_with("breakwater; fwd=miss; stored; collapsed=?0"), "{status}");
        assert!((PATIENCE..PATIENCE * 10).contains(&answer.latency), "{:?}", answer.latency);
    }
    assert_eq!(origin.total(), 1 + WAITERS);
    gate.open();
    assert_eq!(leader.answer().await.unwrap().text(), "fetch 0");
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_is_neither_shared_nor_stored() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let whole = vec![b'w'; 5_000];
    let body = whole.clone();
    let origin = Origin::start(move |seen| {
        let reply = lasting(body.clone());
        if seen.earlier == 0 { reply.then(Hold::At(held.clone())).cut(Cut::MidBody) } else { reply }
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;

    let mut leader = leader(&envoy, &origin, &Request::get("/page")).await;
    let head = leader.head().await.unwrap();
    let waiters = waiters(&envoy, &Request::get("/page")).await;
    gate.open();
    assert!(leader.rest(head).await.is_err(), "the leader sees that it broke off");
    let answers = waiters.join_all().await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == whole));
    assert_eq!(origin.total(), 2);
    assert_eq!(send(envoy.address(), &Request::get("/page")).await.body, whole);
    assert_eq!(origin.total(), 2);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_off_body_alone_leaves_nothing_behind() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let reply = lasting("0123456789");
        let reply = if seen.path() == "/chunked" { reply.chunked() } else { reply };
        if seen.earlier == 0 { reply.cut(Cut::MidBody) } else { reply }
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    for path in ["/length", "/chunked"] {
        assert!(try_send(envoy.address(), &Request::get(path)).await.is_err(), "{path}");
        let answer = send(envoy.address(), &Request::get(path)).await;
        assert_eq!((answer.text().as_str(), origin.hits(path)), ("0123456789", 2));
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_wait_for_a_private_failure_learn_of_it_and_see_none_of_it() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| match seen.earlier {
        0 | 1 => Reply::with(500, "bad luck").header("cache-control", "private").head(Hold::At(held.clone())),
        _ => lasting("good"),
    })
    .await;
    // Each worker tries by itself.
    let envoy = Recipe::minimal().origin(origin.address()).workers(1).start().await;
    let mut leader = leader(&envoy, &origin, &Request::get("/page")).await;
    let waiters = waiters(&envoy, &Request::get("/page")).await;
    gate.open();
    assert_eq!(leader.answer().await.unwrap().status, 500);
    // A wave of them would be too much for an upstream that fails: one of them tries once more, and the next after them.
    let answers = waiters.join_all().await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert!(statuses.iter().all(|status| *status == 500), "{statuses:?}");
    let (own, told): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.text().contains("bad luck"));
    assert_eq!(own.len(), 1);
    assert!(told.iter().all(|answer| !answer.header("proxy-status").is_empty()));
    assert_eq!(origin.total(), 2);
    let next = crate::support::client::send(envoy.address(), &Request::get("/page")).await;
    assert_eq!((next.status, next.text().as_str()), (200, "good"));
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_worker_asks_an_upstream_that_fails_once_more_at_most() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        Reply::with(500, "bad luck").header("cache-control", "private").head(Hold::At(held.clone()))
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).workers(2).start().await;
    let mut leader = leader(&envoy, &origin, &Request::get("/page")).await;
    let clients = by_worker(&envoy, 12).await.into_iter().flatten();
    let waiters = waiters_at(&envoy, clients.map(|client| (client, Request::get("/page")))).await;
    gate.open();
    assert_eq!(leader.answer().await.unwrap().status, 500);
    assert!(waiters.join_all().await.iter().all(|answer| answer.status == 500));
    assert!((2..=3).contains(&origin.total()), "{}", origin.total());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_too_large_to_keep_releases_the_waiters_at_its_head_and_streams() {
    let _turn = turn::shared().await;
    let body = vec![b'l'; 2 * MIB];
    let sent = body.clone();
    // No body begins before the waiters ask too: they do so when the head tells the length.
    let origin = Origin::start(move |_| lasting(sent.clone()).then(Hold::InFlight(1 + WAITERS))).await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;

    let mut leader = Client::connect(envoy.address()).await.unwrap();
    leader.begin(&Request::get("/large")).await.unwrap();
    let waiters = tokio::spawn({
        let address = envoy.address();
        async move { crate::support::client::wave(address, WAITERS, &Request::get("/large")).await }
    });
    let head = leader.head().await.unwrap();
    assert!(head.combined("cache-status").ends_with("detail=too-large"), "{head:?}");
    assert_eq!(leader.rest(head).await.unwrap().body, body);
    assert!(waiters.await.unwrap().iter().all(|answer| answer.status == 200 && answer.body == body));
    assert_eq!((origin.total(), origin.peak()), (1 + WAITERS, 1 + WAITERS));
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunked_body_that_grows_too_large_releases_the_waiters_while_it_streams() {
    let _turn = turn::shared().await;
    let body = vec![b'c'; 2 * MIB];
    let sent = body.clone();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| lasting(sent.clone()).chunked().head(Hold::At(held.clone()))).await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;

    let mut leader = leader(&envoy, &origin, &Request::get("/large")).await;
    let waiters = waiters(&envoy, &Request::get("/large")).await;
    gate.open();
    assert_eq!(leader.answer().await.unwrap().body, body);
    assert!(waiters.join_all().await.iter().all(|answer| answer.status == 200 && answer.body == body));
    assert_eq!(origin.total(), 1 + WAITERS);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunked_body_is_shared_and_kept_like_any_other() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin =
        Origin::start(move |_| lasting(vec![b'c'; 70_000]).chunked().then(Hold::At(held.clone()))).await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    let mut leader = leader(&envoy, &origin, &Request::get("/chunked")).await;
    let waiters = waiters(&envoy, &Request::get("/chunked")).await;
    gate.open();
    assert_eq!(leader.answer().await.unwrap().body.len(), 70_000);
    for answer in waiters.join_all().await {
        assert_eq!(
            (answer.status, answer.body.len(), answer.header("content-length").as_str()),
            (200, 70_000, "70000")
        );
        assert!(
            answer.header("cache-status").starts_with("breakwater; fwd=uri-miss; collapsed; ttl="),
            "{:?}",
            answer.head
        );
    }
    assert_eq!(origin.total(), 1);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_waiters_than_allowed_go_alone() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| lasting("page").head(Hold::At(held.clone()))).await;
    let limit = json!({"defaults": {"coalesce": {"max_waiters": 5}}});
    let envoy = Recipe::minimal().workers(1).origin(origin.address()).plugin(&limit).start().await;
    let mut leader = leader(&envoy, &origin, &Request::get("/page")).await;
    let waiters = waiters(&envoy, &Request::get("/page")).await;
    origin.until("those beyond the limit ask too", |o| o.in_flight() == 1 + WAITERS - 5).await;
    gate.open();
    assert_eq!(leader.answer().await.unwrap().text(), "page");
    let answers = waiters.join_all().await;
    let apart = answers.iter().filter(|a| a.header("cache-status").contains("; collapsed=?0")).count();
    assert_eq!(apart, WAITERS - 5);
    assert!(answers.iter().all(|answer| answer.status == 200));
}
