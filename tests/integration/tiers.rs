//! What one Envoy fetched, the next has: L1 in memory, L2 and L3 in Redis.

use crate::support::client::{Request, send, wave};
use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::turn;
use serde_json::json;

const PAGES: usize = 40;

fn page(n: usize) -> Request {
    Request::get(format!("/page/{n}?part={}", n % 3))
}

/// Waits until this many keys are in Redis: they are written after the answer went out.
async fn stored(redis: &Redis, keys: usize) {
    eventually("what was fetched is in Redis", async || redis.keys().await.len() == keys).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_envoy_answers_what_the_first_one_stored() {
    let _turn = turn::shared().await;
    let origin =
        Origin::start(|seen| Reply::ok(seen.path()).header("cache-control", "max-age=600").chunked()).await;
    let redis = Redis::start().await;
    let recipe = Recipe::shipped()
        .origin(origin.address())
        .patient_redis(redis.address())
        .plugin(&json!({"l1": {"ttl": "10m"}}));
    let first = recipe.clone().start().await;
    for n in 0..PAGES {
        let answer = send(first.address(), &page(n)).await;
        assert_eq!(answer.header("cache-status"), "breakwater; fwd=uri-miss; stored");
    }
    // Once in L2, once in L3.
    stored(&redis, PAGES * 2).await;
    assert!(redis.keys().await.iter().all(|key| key.starts_with("bw:2:") || key.starts_with("bw:3:")));
    assert_eq!(origin.total(), PAGES);

    let second = recipe.start().await;
    for tier in ["l2", "l1"] {
        for n in 0..PAGES {
            let answer = send(second.address(), &page(n)).await;
            assert_eq!((answer.status, answer.text()), (200, format!("/page/{n}?part={}", n % 3)));
            let status = answer.header("cache-status");
            assert!(
                status.starts_with("breakwater; hit; ttl=5") && status.ends_with(&format!("; detail={tier}")),
                "{status}"
            );
            assert!(answer.header("age").parse::<u64>().is_ok_and(|age| age < 60), "{:?}", answer.head);
        }
    }
    for answer in wave(second.address(), 200, &page(7)).await {
        assert_eq!((answer.status, answer.text().as_str()), (200, "/page/7?part=1"));
    }
    assert_eq!(origin.total(), PAGES, "nothing was asked for twice");
    assert_eq!((first.vm_failures().await, second.vm_failures().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wave_on_a_second_envoy_reads_redis_once_and_the_upstream_never() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| Reply::ok("x".repeat(9_000)).header("cache-control", "max-age=600")).await;
    let redis = Redis::start().await;
    let recipe = Recipe::shipped()
        .origin(origin.address())
        .patient_redis(redis.address())
        .plugin(&json!({"l1": {"ttl": "10m"}}));
    let first = recipe.clone().start().await;
    send(first.address(), &Request::get("/")).await;
    stored(&redis, 2).await;

    let second = recipe.start().await;
    let answers = wave(second.address(), 300, &Request::get("/")).await;

    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == [b'x'; 9_000]));
    assert_eq!(origin.total(), 1);
    assert_eq!(second.stat("redis.l2.command.get.total").await, 3, "L2, L3 and the lease, once");
    assert_eq!(second.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l1_asks_redis_again_after_its_own_ttl() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| Reply::ok("old").header("cache-control", "max-age=600")).await;
    let redis = Redis::start().await;
    let recipe = Recipe::shipped().origin(origin.address()).patient_redis(redis.address());
    let first = recipe.clone().plugin(&json!({"l1": {"ttl": "1ms"}})).start().await;
    let second = recipe.start().await;
    let get = Request::get("/");
    send(first.address(), &get).await;
    stored(&redis, 2).await;
    send(second.address(), &get).await;

    // A message written through the first is seen through the second as soon as its L1 asks again.
    origin.answer(|_| Reply::ok("new").header("cache-control", "max-age=600"));
    assert_eq!(send(first.address(), &Request::new("POST", "/").body("x")).await.status, 200);
    eventually("the second Envoy has the new answer", async || {
        send(second.address(), &get).await.text() == "new"
    })
    .await;
    assert_eq!(origin.total(), 3, "two fetches and a POST");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_l1_serves_for_the_whole_lifetime() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        Reply::ok(format!("fetch {}", seen.earlier)).header("cache-control", "max-age=2")
    })
    .await;
    let envoy =
        Recipe::minimal().origin(origin.address()).plugin(&json!({"l1": {"ttl": "1ms"}})).start().await;
    let get = Request::get("/");
    send(envoy.address(), &get).await;
    let mut ages = Vec::new();
    eventually("it is fetched again", async || {
        let answer = send(envoy.address(), &get).await;
        ages.push(answer.header("age"));
        answer.text() == "fetch 1"
    })
    .await;
    assert_eq!(origin.total(), 2);
    assert!(ages.contains(&"1".to_owned()), "it served past its first second: {ages:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tier_takes_what_it_has_room_for() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let size: usize = seen.path()[1..].parse().unwrap();
        Reply::ok(vec![b'x'; size]).header("cache-control", "max-age=600")
    })
    .await;
    let redis = Redis::start().await;
    let limits =
        json!({"l1": {"ttl": "10m", "max_object_bytes": "8KiB"}, "l2": {"max_object_bytes": "32KiB"}});
    let envoy = Recipe::shipped()
        .origin(origin.address())
        .patient_redis(redis.address())
        .plugin(&limits)
        .start()
        .await;
    let mut keys = 0;
    for (size, tier) in [(6_000, Some("l1")), (20_000, Some("l2")), (40_000, None)] {
        let get = Request::get(format!("/{size}"));
        assert_eq!(send(envoy.address(), &get).await.body.len(), size);
        if tier.is_some() {
            keys += 2;
            stored(&redis, keys).await;
        }
        let again = send(envoy.address(), &get).await;
        assert_eq!(again.body.len(), size);
        let status = again.header("cache-status");
        match tier {
            Some(tier) => assert!(status.ends_with(&format!("; detail={tier}")), "{size}: {status}"),
            None => assert!(status.starts_with("breakwater; fwd="), "{size}: {status}"),
        }
    }
    assert_eq!((redis.keys().await.len(), origin.total()), (4, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_keeps_two_walls_apart_in_one_redis() {
    let _turn = turn::shared().await;
    let redis = Redis::start().await;
    for (namespace, body) in [("shop", "one"), ("blog", "two")] {
        let origin = Origin::start(move |_| Reply::ok(body).header("cache-control", "max-age=600")).await;
        let recipe = Recipe::shipped()
            .origin(origin.address())
            .patient_redis(redis.address())
            .plugin(&json!({"namespace": namespace}));
        let envoy = recipe.start().await;
        assert_eq!(send(envoy.address(), &Request::get("/")).await.text(), body);
        let prefix = format!("{namespace}:");
        eventually("it is stored", async || {
            redis.keys().await.iter().filter(|key| key.starts_with(&prefix)).count() == 2
        })
        .await;
    }
    assert_eq!(redis.keys().await.len(), 4);
}
