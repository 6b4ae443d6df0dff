//! Requests that are told apart by their bodies, and held until these are there.

use crate::support::client::{Client, Request, send};
use crate::support::crowd::active;
use crate::support::eventually;
use crate::support::origin::{Origin, Seen};
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::turn;
use serde_json::{Value, json};

/// Answers with what was asked and how often, fresh for so long.
async fn echo(cache_control: &'static str) -> Origin {
    Origin::start(move |seen| {
        let asked = format!("{} {} {}", seen.method(), String::from_utf8_lossy(&seen.body), seen.earlier);
        Reply::ok(asked).header("cache-control", cache_control).header("etag", "\"one\"")
    })
    .await
}

fn ask(method: &str, body: &str) -> Request {
    Request::new(method, "/search").header("content-type", "text/plain").body(body)
}

/// POST too is told apart by its body.
fn with_post() -> Value {
    json!({"defaults": {"cache": {"key": {"body": {"methods": ["QUERY", "POST"]}}}}})
}

fn conditions(seen: &Seen) -> usize {
    seen.head.fields.iter().filter(|(name, _)| name.starts_with("if-")).count()
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
    let envoy =
        Recipe::shipped().with_trailers().origin(origin.address()).redis(redis.address()).start().await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_answer_to_query_is_validated_and_one_to_post_is_fetched_anew() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let reply = match (seen.method(), conditions(seen)) {
            (_, 0) => Reply::ok(format!("{}", seen.earlier)),
            // RFC 9110 §13.1.2.
            ("QUERY", _) => Reply::with(304, "").verbatim(),
            _ => Reply::with(412, ""),
        };
        reply.header("cache-control", "max-age=0").header("etag", "\"one\"")
    })
    .await;
    let envoy = Recipe::shipped().plugin(&with_post()).origin(origin.address()).start().await;
    for (method, again) in [("QUERY", "0"), ("POST", "3")] {
        send(envoy.address(), &ask(method, "x")).await;
        let answer = send(envoy.address(), &ask(method, "x")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, again), "{method}");
    }
    // A condition of the client's own is one of a write, which the upstream alone can judge.
    let answer = send(envoy.address(), &ask("POST", "x").header("if-none-match", "\"one\"")).await;
    assert_eq!(answer.status, 412);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_its_body_to_be_asked_again_is_not_answered_stale_for_a_refresh() {
    let _turn = turn::shared().await;
    let origin = echo("max-age=0, stale-while-revalidate=60").await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    for earlier in 0..3 {
        let answer = send(envoy.address(), &ask("QUERY", "x")).await;
        assert_eq!(answer.text(), format!("QUERY x {earlier}"));
    }
    // A GET is, and is fetched anew.
    let get = Request::get("/page");
    assert_eq!(send(envoy.address(), &get).await.text(), "GET  0");
    assert_eq!(send(envoy.address(), &get).await.text(), "GET  0");
    eventually("the page is fetched anew", async || origin.hits("/page") == 2).await;
    assert_eq!(origin.hits("/search"), 3, "and nobody else asked");
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_drops_the_answers_to_every_body() {
    let _turn = turn::shared().await;
    let origin = echo("max-age=60").await;
    let redis = Redis::start().await;
    let envoy = Recipe::shipped().origin(origin.address()).redis(redis.address()).start().await;
    let query = async |body: &str| send(envoy.address(), &ask("QUERY", body)).await.text();
    for _ in 0..2 {
        assert_eq!((query("a").await, query("b").await), ("QUERY a 0".into(), "QUERY b 1".into()));
    }
    assert_eq!(send(envoy.address(), &ask("POST", "new")).await.text(), "POST new 2");
    for _ in 0..2 {
        assert_eq!((query("a").await, query("b").await), ("QUERY a 3".into(), "QUERY b 4".into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_body_gets_the_same_answer_and_another_its_own() {
    let _turn = turn::shared().await;
    let origin = echo("max-age=60").await;
    let envoy = Recipe::shipped().plugin(&with_post()).origin(origin.address()).start().await;
    let other_type = Request::new("QUERY", "/search").header("content-type", "text/csv").body("a");
    for (request, expected) in [
        (ask("QUERY", "a"), "QUERY a 0"),
        (ask("QUERY", "b"), "QUERY b 1"),
        (ask("POST", "a"), "POST a 2"),
        (ask("QUERY", "ab"), "QUERY ab 3"),
        (Request::get("/search"), "GET  4"),
        (ask("QUERY", "a"), "QUERY a 0"),
        (ask("POST", "a"), "POST a 2"),
        (Request::get("/search"), "GET  4"),
        (other_type.clone(), "QUERY a 5"),
        (other_type, "QUERY a 5"),
    ] {
        let answer = send(envoy.address(), &request).await;
        assert_eq!(answer.text(), expected, "{request:?}");
    }
    // Where no rule says so, POST is a write and is never answered from the store.
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    for earlier in [6, 7] {
        let answer = send(envoy.address(), &ask("POST", "a")).await;
        assert_eq!((answer.text(), answer.told().fwd), (format!("POST a {earlier}"), Some("method".into())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_one_byte_larger_than_the_key_takes_passes_whole_and_is_not_for_the_cache() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let sum: u64 = seen.body.iter().map(|byte| u64::from(*byte)).sum();
        Reply::ok(format!("{} {sum}", seen.body.len())).header("cache-control", "max-age=60")
    })
    .await;
    let envoy = Recipe::shipped().plugin(&with_post()).origin(origin.address()).start().await;
    let (most, much) = (64 << 10, 5 << 20);
    let mut asked = 0;
    for (method, length, kept) in [
        ("QUERY", most, true),
        ("QUERY", most + 1, false),
        ("QUERY", much, false),
        ("POST", most, true),
        ("POST", much, false),
    ] {
        let body: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
        let head = format!("{method} /{length} HTTP/1.1\r\nhost: wall.test\r\ncontent-type: text/plain\r\n");
        let pieces = body
            .chunks(10_000)
            .map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
        // Its length is told before, or is not.
        let told = [head.as_bytes(), format!("content-length: {length}\r\n\r\n").as_bytes(), &body].concat();
        let untold = [
            head.as_bytes(),
            b"transfer-encoding: chunked\r\n\r\n",
            &pieces.collect::<Vec<_>>().concat(),
            b"0\r\n\r\n",
        ]
        .concat();
        for (round, bytes) in [&told, &untold].into_iter().enumerate() {
            let mut client = Client::connect(envoy.address()).await.unwrap();
            client.begin_raw(bytes).await.unwrap();
            let answer = client.answer().await.unwrap();
            assert_eq!((answer.status, answer.text()), (200, format!("{length} {sum}")), "{method} {length}");
            asked += usize::from(round == 0 || !kept);
            assert_eq!(
                (origin.total(), answer.told().hit),
                (asked, kept && round == 1),
                "{method} {length}: {:?}",
                answer.head
            );
        }
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_may_take_its_time_and_a_client_may_leave_amid_it() {
    let _turn = turn::shared().await;
    let origin = echo("max-age=60").await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    assert_eq!(send(envoy.address(), &ask("QUERY", "abc")).await.text(), "QUERY abc 0");
    let head =
        b"QUERY /search HTTP/1.1\r\nhost: wall.test\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\n";
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        client.begin_raw(head).await.unwrap();
        clients.push(client);
    }
    eventually("all are in Envoy", async || active(&envoy).await == 10).await;
    let mut stayers = clients.split_off(5);
    for client in clients.iter_mut().chain(&mut stayers) {
        client.begin_raw(b"ab").await.unwrap();
    }
    drop(clients);
    eventually("half of them are gone", async || active(&envoy).await == 5).await;
    assert_eq!(origin.total(), 1);
    for (client, last) in stayers.iter_mut().zip([b"c", b"c", b"c", b"d", b"d"]) {
        client.begin_raw(last).await.unwrap();
    }
    for (client, expected) in stayers.iter_mut().zip([0, 0, 0, 1, 1]) {
        let expected = ["QUERY abc 0", "QUERY abd 1"][expected];
        assert_eq!(client.answer().await.unwrap().text(), expected);
    }
    assert_eq!(envoy.vm_failures().await, 0);
}
