//! What is not for the cache goes through untouched.

use crate::support::client::{Client, Request, send, wave};
use crate::support::crowd::{WAITERS, leader, waiters};
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::reply::{Hold, Reply};
use crate::support::turn;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_5_mb_reaches_the_upstream_whole() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let sum: u64 = seen.body.iter().map(|byte| u64::from(*byte)).sum();
        Reply::ok(format!("{} {sum}", seen.body.len()))
    })
    .await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let body: Vec<u8> = (0..5 * MIB).map(|n| (n % 251) as u8).collect();
    let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
    for method in ["POST", "PUT", "GET"] {
        let answer = send(envoy.address(), &Request::new(method, "/upload").body(body.clone())).await;
        assert_eq!(answer.text(), format!("{} {sum}", body.len()), "{method}");
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_of_64_mib_streams_through() {
    let _turn = turn::shared().await;
    let body: Vec<u8> = (0..64 * MIB).map(|n| (n % 253) as u8).collect();
    let sent = body.clone();
    let origin = Origin::start(move |_| Reply::ok(sent.clone()).header("cache-control", "max-age=60")).await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let before = envoy.resident();
    assert!(send(envoy.address(), &Request::get("/")).await.body == body);
    let grown = envoy.resident().saturating_sub(before);
    assert!(grown < 24 * MIB as u64, "it is not gathered: {grown} bytes more");
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_answers_who_asks_for_it_and_is_not_the_whole() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        match seen.head.field("range") {
            Some(range) => {
                Reply::with(206, "23").header("content-range", "bytes 2-3/10").header("x-range", range)
            }
            None => Reply::ok("0123456789"),
        }
        .header("cache-control", "max-age=60")
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    let part = Request::get("/").header("range", "bytes=2-3");
    for expected in ["breakwater; fwd=uri-miss; stored", "breakwater; hit; "] {
        let answer = send(envoy.address(), &part).await;
        assert_eq!((answer.status, answer.text().as_str()), (206, "23"));
        assert_eq!(answer.header("x-range"), "bytes=2-3");
        let status = answer.header("cache-status");
        assert!(status.starts_with(expected), "{status}");
    }
    assert_eq!(
        send(envoy.address(), &Request::get("/")).await.text(),
        "0123456789",
        "a part is not the whole"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preconditions_are_the_upstream_s_to_judge() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| match seen.head.field("if-match").as_deref() {
        Some("\"2\"") => Reply::with(412, "no"),
        _ => Reply::ok("page").header("etag", "\"1\"").header("cache-control", "max-age=60"),
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    assert_eq!(send(envoy.address(), &Request::get("/")).await.status, 200);
    let answer = send(envoy.address(), &Request::get("/").header("if-match", "\"2\"")).await;
    assert_eq!((answer.status, origin.total()), (412, 2));
    assert_eq!(answer.header("cache-status"), "breakwater; fwd=request; detail=precondition");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_is_switched_off_leaves_its_requests_alone() {
    let _turn = turn::shared().await;
    let origin =
        Origin::start(|_| Reply::ok("page").header("cache-control", "max-age=60").then(Hold::InFlight(50)))
            .await;
    let off = json!({"defaults": {"cache": {"enabled": false}, "coalesce": {"scope": "off"}}});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&off).start().await;
    let answers = wave(envoy.address(), 50, &Request::get("/")).await;
    assert!(answers.iter().all(|a| a.header("cache-status") == "breakwater; fwd=bypass; detail=disabled"));
    assert_eq!(origin.total(), 50);
}

/// An upstream that upgrades and then says everything twice.
async fn echo_twice(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut bytes = [0; 4096];
            while !stream.read(&mut bytes).await.is_ok_and(|length| bytes[..length].ends_with(b"\r\n\r\n")) {}
            stream
                .write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
                )
                .await?;
            loop {
                let length = stream.read(&mut bytes).await?;
                if length == 0 {
                    return std::io::Result::Ok(());
                }
                stream.write_all(&[&bytes[..length], &bytes[..length]].concat()).await?;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_becomes_a_stream_both_ways() {
    let _turn = turn::shared().await;
    let listener = crate::support::ports::listener();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(echo_twice(listener));
    let envoy = Recipe::shipped()
        .origin(address)
        .edit(|config| {
            let filters = &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"];
            filters[0]["typed_config"]["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
        })
        .start()
        .await;
    // Two at a time on one path: nobody waits for another's stream to end.
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(envoy.address()).await.unwrap();
        stream
            .write_all(b"GET /socket HTTP/1.1\r\nhost: wall.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
            .await
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        streams.push(stream);
    }
    for stream in &mut streams {
        for word in [b"one", b"two"] {
            stream.write_all(word).await.unwrap();
            let mut echo = [0; 6];
            stream.read_exact(&mut echo).await.unwrap();
            assert_eq!(echo, [*word, *word].concat()[..]);
        }
    }
    server.abort();
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_carries_many_kinds_of_requests() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        Reply::ok(format!("{} {}", seen.method(), seen.earlier)).header("cache-control", "max-age=60")
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    let mut client = Client::connect(envoy.address()).await.unwrap();
    for (method, expected) in [
        ("GET", "GET 0"),
        ("GET", "GET 0"),
        ("HEAD", ""),
        ("POST", "POST 1"),
        ("GET", "GET 2"),
        ("DELETE", "DELETE 3"),
        ("GET", "GET 4"),
    ] {
        let request = Request::new(method, "/");
        let request = if method == "POST" { request.body("x") } else { request };
        assert_eq!(client.send(&request).await.unwrap().text(), expected, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_reaches_its_client_before_the_next_is_sent() {
    let _turn = turn::shared().await;
    let gates = [Gate::new(), Gate::new()];
    let held = gates.clone();
    let origin = Origin::start(move |seen| {
        let events = Reply::ok("data: one\n\n").header("content-type", "text/event-stream; charset=utf-8");
        let events = events.header("cache-control", "max-age=60").header("etag", "\"1\"");
        let [second, third] = held.clone();
        let events =
            events.later(Hold::At(second), "data: two\n\n").later(Hold::At(third), "data: three\n\n");
        if seen.earlier == 0 { events } else { events.then(Hold::InFlight(1 + WAITERS)) }
    })
    .await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let get = Request::get("/events");
    let mut first = Client::connect(envoy.address()).await.unwrap();
    first.begin(&get).await.unwrap();
    let head = first.head().await.unwrap();
    assert!(head.combined("cache-status").ends_with("; detail=event-stream"), "{head:?}");
    assert_eq!(first.chunk().await.unwrap().unwrap(), b"data: one\n\n");
    // The stream has no end to wait for: others have one of their own, all at the same time.
    let mut others = Vec::new();
    for _ in 0..WAITERS {
        let mut other = Client::connect(envoy.address()).await.unwrap();
        other.begin(&get).await.unwrap();
        others.push(other);
    }
    for other in &mut others {
        other.head().await.unwrap();
        assert_eq!(other.chunk().await.unwrap().unwrap(), b"data: one\n\n");
    }
    let [second, third] = gates;
    for (gate, event) in [(second, b"data: two\n\n".to_vec()), (third, b"data: three\n\n".to_vec())] {
        gate.open();
        for client in others.iter_mut().chain([&mut first]) {
            assert_eq!(client.chunk().await.unwrap().as_ref(), Some(&event));
        }
    }
    assert_eq!(first.chunk().await.unwrap(), None);
    assert_eq!(origin.peak(), 1 + WAITERS);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_stream_of_events_is_let_go_at_its_head() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| {
        let events = Reply::ok("data: one\n\n").header("content-type", "text/event-stream");
        // Nobody's stream goes on before everybody has begun.
        let events = events.later(Hold::InFlight(1 + WAITERS), "data: two\n\n");
        if seen.earlier == 0 { events.head(Hold::At(held.clone())) } else { events }
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    let get = Request::get("/events");
    let mut leader = leader(&envoy, &origin, &get).await;
    let waiters = waiters(&envoy, &get).await;
    gate.open();
    assert_eq!(leader.answer().await.unwrap().text(), "data: one\n\ndata: two\n\n");
    assert!(waiters.join_all().await.iter().all(|answer| answer.text() == "data: one\n\ndata: two\n\n"));
    assert_eq!((origin.total(), origin.peak()), (1 + WAITERS, 1 + WAITERS));
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_of_what_is_copied_is_held_from_its_own_client() {
    let _turn = turn::shared().await;
    let gates = [Gate::new(), Gate::new()];
    let [body, rest] = gates.clone();
    let origin = Origin::start(move |_| {
        let reply = Reply::ok("first ").header("cache-control", "max-age=60");
        reply.then(Hold::At(body.clone())).later(Hold::At(rest.clone()), "last")
    })
    .await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let mut client = Client::connect(envoy.address()).await.unwrap();
    client.begin(&Request::get("/")).await.unwrap();
    let [body, rest] = gates;
    assert_eq!(client.head().await.unwrap().word(1), "200");
    body.open();
    assert_eq!(client.chunk().await.unwrap().unwrap(), b"first ");
    rest.open();
    assert_eq!(client.chunk().await.unwrap().unwrap(), b"last");
    assert_eq!(client.chunk().await.unwrap(), None);
    let hit = send(envoy.address(), &Request::get("/")).await;
    assert_eq!((hit.text().as_str(), hit.told().hit), ("first last", true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_pass_both_ways() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let sent =
            seen.trailers.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
        let reply = Reply::ok(format!("{} {}", seen.earlier, sent.collect::<String>()));
        let reply = reply.trailer("x-check", "whole").trailer("server-timing", "db;dur=3");
        if seen.path() == "/kept" { reply.header("cache-control", "max-age=60") } else { reply }
    })
    .await;
    let envoy = Recipe::shipped().with_trailers().origin(origin.address()).start().await;
    for (head, text) in
        [("GET /page", "0 "), ("POST /page", "1 x-sum=9"), ("PUT /page", "2 x-sum=9"), ("GET /kept", "0 ")]
    {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        let body = if head.starts_with("GET") {
            "\r\n"
        } else {
            "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 9\r\n\r\n"
        };
        client.begin_raw(format!("{head} HTTP/1.1\r\nhost: wall.test\r\n{body}").as_bytes()).await.unwrap();
        assert_eq!(client.answer().await.unwrap().text(), text, "{head}");
        let trailers =
            [("x-check".to_owned(), b"whole".to_vec()), ("server-timing".to_owned(), b"db;dur=3".to_vec())];
        assert_eq!(client.trailers(), trailers, "{head}");
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_passes_as_it_is_and_without_a_word_of_ours() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let reply = Reply::ok(seen.body.clone()).header("content-type", "application/grpc");
        reply.header("cache-control", "max-age=60").trailer("grpc-status", "0")
    })
    .await;
    let envoy = Recipe::shipped()
        .with_trailers()
        .plugin(&json!({"defaults": {"cache": {"key": {"body": {"methods": ["POST"]}}}}}))
        .origin(origin.address())
        .start()
        .await;
    let call = Request::new("POST", "/chat.Rooms/List")
        .header("te", "trailers")
        .body(b"\0\0\0\0\x05hello".as_slice());
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc-web+proto"] {
        for _ in 0..2 {
            let mut client = Client::connect(envoy.address()).await.unwrap();
            let answer = client.send(&call.clone().header("content-type", content_type)).await.unwrap();
            assert_eq!((answer.status, &answer.body[..]), (200, &b"\0\0\0\0\x05hello"[..]), "{content_type}");
            assert_eq!(answer.header("cache-status"), "", "{content_type}");
            assert_eq!(client.trailers(), [("grpc-status".to_owned(), b"0".to_vec())]);
        }
    }
    assert_eq!(origin.total(), 6);
    assert_eq!(envoy.vm_failures().await, 0);
}
