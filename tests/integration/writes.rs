//! What changes a resource is seen at once by whoever reads it next, also while somebody is reading.

use crate::support::client::{Client, Request, send};
use crate::support::envoy::Envoy;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::{Hold, Reply};
use crate::support::turn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A page that each write changes; the value is read when the request arrives.
async fn page(before_get: impl Fn(usize, Reply) -> Reply + Send + Sync + 'static) -> Origin {
    let writes = Arc::new(AtomicUsize::new(0));
    Origin::start(move |seen| match seen.method() {
        "GET" => {
            let state = writes.load(Ordering::SeqCst);
            before_get(
                seen.earlier,
                Reply::ok(format!("state {state}")).header("cache-control", "max-age=60"),
            )
        }
        _ => Reply::with(201, format!("state {}", writes.fetch_add(1, Ordering::SeqCst) + 1)),
    })
    .await
}

fn write() -> Request {
    Request::new("POST", "/page").body("a message")
}

async fn read(envoy: &Envoy) -> String {
    send(envoy.address(), &Request::get("/page")).await.text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_amid_a_read_is_seen_by_the_next_read_and_the_old_answer_is_not_kept() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin =
        page(move |earlier, reply| if earlier == 0 { reply.head(Hold::At(held.clone())) } else { reply })
            .await;
    let redis = Redis::start().await;
    let envoy = Recipe::shipped().origin(origin.address()).redis(redis.address()).start().await;

    let mut early = Client::connect(envoy.address()).await.unwrap();
    early.begin(&Request::get("/page")).await.unwrap();
    origin.until("the read is under way", |o| o.in_flight() == 1).await;
    assert_eq!(send(envoy.address(), &write()).await.status, 201);
    // From many connections, so from both workers; nobody waits for what was asked before the write.
    for _ in 0..8 {
        assert_eq!(read(&envoy).await, "state 1");
    }
    gate.open();
    assert_eq!(early.answer().await.unwrap().text(), "state 0", "it was asked before");
    for _ in 0..8 {
        assert_eq!(read(&envoy).await, "state 1", "and what it brought is not kept");
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_changes_nothing() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| match seen.method() {
        "GET" => Reply::ok(format!("fetch {}", seen.earlier)).header("cache-control", "max-age=60"),
        _ => Reply::with(409, "no"),
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    assert_eq!(read(&envoy).await, "fetch 0");
    assert_eq!(send(envoy.address(), &write()).await.status, 409);
    assert_eq!(read(&envoy).await, "fetch 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_unsafe_method_is_a_write_and_no_safe_one_is() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        Reply::ok(format!("fetch {}", seen.earlier)).header("cache-control", "max-age=60")
    })
    .await;
    // The shipped configuration lets QUERY through; the smallest one leaves it refused.
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    for (method, changes) in [
        ("POST", true),
        ("PUT", true),
        ("DELETE", true),
        ("PATCH", true),
        ("OPTIONS", false),
        ("QUERY", false),
    ] {
        let get = Request::get(format!("/{method}"));
        assert_eq!(send(envoy.address(), &get).await.text(), "fetch 0", "{method}");
        let answer = send(
            envoy.address(),
            &Request::new(method, format!("/{method}")).header("content-type", "text/plain"),
        )
        .await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "fetch 1"), "{method}");
        let expected = if changes { "fetch 2" } else { "fetch 0" };
        assert_eq!(send(envoy.address(), &get).await.text(), expected, "{method}");
    }
}
