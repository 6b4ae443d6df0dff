//! Requests that are told apart by their bodies, and held until these are there.

use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::turn;
use serde_json::json;

/// Answers with what was asked and how often, fresh for so long.
async fn echo(cache_control: &'static str) -> Origin {
    Origin::start(move |seen| {
        let asked = format!("{} {} {}", seen.method(), String::from_utf8_lossy(&seen.body), seen.earlier);
        Reply::ok(asked).header("cache-control", cache_control).header("etag", "\"one\"")
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_whose_bodies_do_not_come_is_answered_and_no_worker_dies() {
    let _turn = turn::alone().await;
    let origin = echo("max-age=60").await;
    let patience = json!({"defaults": {"coalesce": {"wait_timeout": "1s"}}});
    let envoy = Recipe::shipped().plugin(&patience).workers(1).origin(origin.address()).start().await;
    let mut crowd = Vec::new();
    for _ in 0..1_500 {
        crowd.push(Client::connect(envoy.address()).await.unwrap());
    }
    // What is wanted from the store alone is refused when its body does not come: an answer to each, at the same time.
    let head = b"QUERY /search HTTP/1.1\r\nhost: wall.test\r\ncontent-type: text/plain\r\ncontent-length: 5\r\ncache-control: only-if-cached\r\n\r\n";
    for client in &mut crowd {
        client.begin_raw(head).await.unwrap();
    }
    for client in &mut crowd {
        assert_eq!(client.head().await.unwrap().word(1), "504");
    }
    assert_eq!(origin.total(), 0);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_ends_with_trailers_has_ended() {
    let _turn = turn::shared().await;
    let origin = echo("max-age=60").await;
    let redis = Redis::start().await;
    let envoy = Recipe::shipped()
        .edit(|config| {
            let edge = &mut config["static_resources"]["listeners"][0];
            let http = &mut edge["filter_chains"][0]["filters"][0]["typed_config"];
            http["http_protocol_options"]["enable_trailers"] = true.into();
        })
        .origin(origin.address())
        .redis(redis.address())
        .start()
        .await;
    let head = b"QUERY /search HTTP/1.1\r\nhost: wall.test\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n".as_slice();
    let with_trailers = [head, b"3\r\nabc\r\n0\r\nx-check: 1\r\n\r\n"].concat();
    let empty = [head, b"0\r\nx-check: 1\r\n\r\n"].concat();
    for (bytes, expected) in [(&with_trailers, "QUERY abc 0"), (&empty, "QUERY  1")] {
        for _ in 0..2 {
            let mut client = Client::connect(envoy.address()).await.unwrap();
            client.begin_raw(bytes).await.unwrap();
            assert_eq!(client.answer().await.unwrap().text(), expected);
        }
    }
    assert_eq!(envoy.vm_failures().await, 0);
}
