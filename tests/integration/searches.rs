//! Responses that say on which part of the query they depend (No-Vary-Search).

use crate::support::client::{Client, Request, send};
use crate::support::envoy::Envoy;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::{Hold, Reply};
use crate::support::turn;
use serde_json::json;

async fn read(envoy: &Envoy, path: &str) -> String {
    send(envoy.address(), &Request::get(path)).await.text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_makes_no_difference_makes_none() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let reply = Reply::ok(seen.path()).header("cache-control", "max-age=60");
        reply.header("no-vary-search", "params=(\"utm\")")
    })
    .await;
    let redis = Redis::start().await;
    let envoy = Recipe::shipped().origin(origin.address()).patient_redis(redis.address()).start().await;
    for (path, expected) in [
        ("/a?utm=1", "/a?utm=1"),
        ("/a?utm=2", "/a?utm=1"),
        ("/a?utm=3", "/a?utm=1"),
        ("/b?x=1&utm=1", "/b?x=1&utm=1"),
        ("/b?utm=2&x=1", "/b?x=1&utm=1"),
        ("/b?x=2&utm=1", "/b?x=2&utm=1"),
    ] {
        assert_eq!(read(&envoy, path).await, expected, "{path}");
    }
    // A query that is there and empty is one like that of `/a?utm=1`; none at all is the same to its form.
    assert_eq!(read(&envoy, "/a").await, "/a?utm=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_response_says_of_the_query_does_not_bring_others_to_its_readers() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let said = if seen.path().contains("z=") { "params=(\"z\")" } else { "params=(\"utm\")" };
        Reply::ok(seen.path()).header("cache-control", "max-age=60").header("no-vary-search", said)
    })
    .await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    for path in ["/x?a=1&utm=5", "/x?b=3&z=1", "/x?a=1&z=7", "/x?a=1&utm=6"] {
        assert_eq!(read(&envoy, path).await, path);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_says_nothing_of_the_query_is_for_its_own_query() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let (path, part) = (seen.path().to_owned(), seen.head.field("range").is_some());
        let reply = match part {
            true => Reply::with(206, &path.as_bytes()[..4]).header("content-range", "bytes 0-3/14"),
            false => Reply::ok(path.clone()).header("no-vary-search", "params=(\"utm\")"),
        };
        reply
            .header("cache-control", "max-age=60")
            .header("etag", format!("\"{path}\""))
            .header("x-for", path)
    })
    .await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    assert_eq!(read(&envoy, "/x?a=1&utm=1").await, "/x?a=1&utm=1");
    for path in ["/x?a=2&utm=1", "/x?a=2&utm=2"] {
        let part = Request::get(path).header("range", "bytes=0-3");
        assert_eq!(send(envoy.address(), &part).await.header("x-for"), path);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_amid_the_first_read_of_a_path_leaves_nothing_behind() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| {
        let reply = Reply::ok(format!("{} {}", seen.method(), seen.earlier))
            .header("cache-control", "max-age=60")
            .header("no-vary-search", "params=(\"utm\")");
        if seen.earlier == 0 { reply.head(Hold::At(held.clone())) } else { reply }
    })
    .await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let mut early = Client::connect(envoy.address()).await.unwrap();
    early.begin(&Request::get("/x?a=1&utm=1")).await.unwrap();
    origin.until("the read is under way", |o| o.in_flight() == 1).await;
    assert_eq!(send(envoy.address(), &Request::new("POST", "/x?a=1&utm=1")).await.status, 200);
    gate.open();
    assert_eq!(early.answer().await.unwrap().text(), "GET 0");
    assert_eq!(read(&envoy, "/x?a=1&utm=1").await, "GET 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_share_an_answer_exactly_where_it_says_that_they_may() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let reply = Reply::ok(seen.path()).header("cache-control", "max-age=600");
        match seen.path().split('?').next() {
            Some("/except") => reply.header("no-vary-search", "except=(\"id\")"),
            Some("/order") => reply.header("no-vary-search", "key-order"),
            Some("/both") => reply.header("no-vary-search", "key-order, params=(\"utm\" \"ref\")"),
            // As earlier drafts had it.
            Some("/odd") => reply.header("no-vary-search", "params"),
            _ => reply,
        }
    })
    .await;
    let redis = Redis::start().await;
    // What the response says is to count, not what the rule forgets before.
    let as_sent = json!({"l1": {"ttl": "10m"}, "defaults": {"cache": {"key": {"query": {"sort": false}}}}});
    let recipe = Recipe::shipped().plugin(&as_sent).origin(origin.address()).patient_redis(redis.address());
    let (first, second) = (recipe.clone().start().await, recipe.start().await);
    let cases = [
        ("/except?id=1&a=1", "/except?a=2&id=1", true),
        ("/except?id=1&a=1", "/except?id=%31", true),
        ("/except?id=1&a=1", "/except?id=2&a=1", false),
        ("/except?id=1&a=1", "/except?a=1", false),
        ("/order?a=1&b=2", "/order?b=2&a=1", true),
        ("/order?a=1&b=2", "/order?b=2&a=1&c=3", false),
        // Of one name the order counts.
        ("/order?c=1&c=2", "/order?c=2&c=1", false),
        ("/both?a=1&b=2&utm=x", "/both?ref=y&b=2&a=1", true),
        ("/both?a=1&b=2&utm=x", "/both?b=3&a=1", false),
        ("/odd?a=1", "/odd?a=2", false),
        ("/silent?a=1", "/silent?a=2", false),
    ];
    for (stored, asked, shared) in cases {
        assert_eq!(read(&first, stored).await, stored);
        assert_eq!(read(&first, asked).await, if shared { stored } else { asked }, "{stored} for {asked}");
    }
    // Another Envoy knows it from its own first answer on, and then finds what this one has stored.
    assert_eq!(read(&second, "/except?id=9").await, "/except?id=9");
    let answer = send(second.address(), &Request::get("/except?b=7&id=1")).await;
    assert_eq!((answer.text().as_str(), answer.told().detail.as_deref()), ("/except?id=1&a=1", Some("l2")));
    assert_eq!((first.vm_failures().await, second.vm_failures().await), (0, 0));
}
