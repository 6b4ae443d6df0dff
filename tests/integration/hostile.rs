//! Whatever bytes come from either side: served or refused cleanly, and the worker lives on.

use crate::support::client::{Client, Request, send, try_send};
use crate::support::envoy::Envoy;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::turn;

const KIB: usize = 1024;

/// Both workers still answer from their memory, and no VM was replaced.
async fn assert_well(envoy: &Envoy) {
    send(envoy.address(), &Request::get("/well")).await;
    for _ in 0..16 {
        let answer = send(envoy.address(), &Request::get("/well")).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("cache-status").starts_with("breakwater; hit"), "{:?}", answer.head);
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

async fn wall(origin: &Origin) -> (Envoy, Redis) {
    let redis = Redis::start().await;
    let recipe = Recipe::shipped().origin(origin.address()).redis(redis.address());
    (recipe.start().await, redis)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_requests_are_served_or_refused_and_no_worker_dies() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| Reply::ok(seen.path()).header("cache-control", "max-age=60")).await;
    let (envoy, _redis) = wall(&origin).await;
    let odd = |name: &str, value: &[u8]| Request::get("/odd").header(name, value);
    let mut requests = vec![
        ("0xFF in a field", odd("x-odd", b"\xff"), &[200][..]),
        ("0xFF in Cache-Control", odd("cache-control", b"max-age=\xff"), &[200]),
        ("0xFF in Authorization", odd("authorization", b"\xff\xfe"), &[200]),
        ("0xFF in Cookie", odd("cookie", b"a=\xff; \xfe"), &[200]),
        ("0xFF in If-None-Match", odd("if-none-match", b"\xff"), &[200]),
        ("0xFF in Content-Type", odd("content-type", b"application/grpc\xff"), &[200]),
        ("a field of 59 KiB", odd("x-odd", &[b'a'; 59 * KIB]), &[200]),
        ("a field of 60 KiB", odd("x-odd", &[b'a'; 60 * KIB]), &[431]),
        ("a field of 200 KiB", odd("x-odd", &[b'a'; 200 * KIB]), &[431]),
        ("a Cookie of 50 KiB", odd("cookie", "a=b; ".repeat(10 * KIB).as_bytes()), &[200]),
        ("a path of 10 KiB", Request::get(format!("/{}", "p".repeat(10 * KIB))), &[200]),
        ("a path of 50 KiB", Request::get(format!("/{}", "p".repeat(50 * KIB))), &[200]),
        ("a query of 2,000 parts", Request::get(format!("/?{}", "b=1&a&=&".repeat(2_000))), &[200]),
        ("a query of odd bytes", Request::get("/?%ff=%00&%zz&&&==&%"), &[200, 400]),
        ("a path that climbs", Request::get("/a/../../b/./c//d"), &[200, 400]),
        ("an empty host", Request::get("/host").host(""), &[200, 400]),
        ("a host of 1,000 bytes", Request::get("/host").host(&"h".repeat(1_000)), &[200, 400]),
        ("a host of odd bytes", Request::get("/host").host("[::::]:99999%"), &[200, 400]),
        ("an unknown method", Request::new("FROBNICATE", "/odd"), &[200]),
        ("a method in lower case", Request::new("get", "/odd"), &[200]),
    ];
    for value in [
        "max-age",
        "max-age=",
        "max-age=abc",
        "max-age=-1",
        "max-age=99999999999999999999",
        "max-age=\"1",
        "=",
        ",,,;;;",
        "no-cache=\"",
        "no-cache=\"a\\",
        "max-stale=x, min-fresh=99999999999999999999",
    ] {
        requests.push(("malformed Cache-Control", odd("cache-control", value.as_bytes()), &[200]));
    }
    for (name, request, allowed) in requests {
        let answer = send(envoy.address(), &request).await;
        assert!(allowed.contains(&answer.status), "{name}: {:?}", answer.head);
    }
    assert_well(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_request_are_refused_and_no_worker_dies() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| Reply::ok("x").header("cache-control", "max-age=60")).await;
    let (envoy, _redis) = wall(&origin).await;
    for bytes in [
        &b"\xff\xff\xff\xff\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx\0y: z\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: y\0z\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        client.begin_raw(bytes).await.unwrap();
        let head = client.head().await.unwrap();
        assert!(head.word(1).starts_with('4'), "{:?}: {head:?}", String::from_utf8_lossy(bytes));
    }
    assert_well(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_responses_pass_unchanged_and_no_worker_dies() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| Reply::ok("well").header("cache-control", "max-age=60")).await;
    let (envoy, _redis) = wall(&origin).await;
    let odd = |name: &str, value: &[u8]| {
        (
            name.to_owned(),
            value.to_vec(),
            Reply::ok("odd").header("cache-control", "max-age=60").header(name, value),
        )
    };
    let mut replies = vec![
        odd("x-odd", b"\xff"),
        odd("etag", b"\xff\xfe"),
        odd("vary", b"\xff"),
        odd("vary", "a,".repeat(9_000).as_bytes()),
        odd("date", b"\xff\xff\xff"),
        odd("date", b"Thu, 99 Foo 9999999999 99:99:99 GMT"),
        odd("expires", b"-1"),
        odd("age", b"99999999999999999999999"),
        odd("age", b"\xff"),
        odd("set-cookie", b"\xff=\xff"),
        odd("cache-status", b"\xff"),
        odd("connection", b"x-a, \xff, close"),
        odd("x-large", &[b'a'; 50 * KIB]),
        odd("content-type", b""),
    ];
    for value in [
        "max-age",
        "max-age=",
        "max-age=abc",
        "max-age=-1",
        "max-age=1.5",
        "max-age=99999999999999999999",
        "max-age=\"60",
        "=",
        ",,,;;;",
        "no-cache=\"",
        "private=\"a\\",
        "s-maxage=\"1\", s-maxage=x",
        "stale-if-error=-5",
    ] {
        replies.push(("cache-control".into(), value.into(), Reply::ok("odd").header("cache-control", value)));
    }
    let count = replies.len();
    let scripted = replies.clone();
    origin.answer(move |seen| match seen.path()[1..].parse::<usize>() {
        Ok(number) => scripted[number].2.clone(),
        Err(_) => Reply::ok("well").header("cache-control", "max-age=60"),
    });
    for (number, (name, value, _)) in replies.iter().enumerate() {
        let shown = format!("{name}: {}", String::from_utf8_lossy(&value[..value.len().min(60)]));
        for round in 0..2 {
            let answer = send(envoy.address(), &Request::get(format!("/{number}"))).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "odd"), "{shown}");
            // Age is the cache's own to state, Connection concerns one connection.
            let stated = name == "age" || name == "connection";
            // Envoy joins lists with a bare comma, and a blank is put behind each.
            let bare = |v: &[u8]| v.iter().copied().filter(|byte| *byte != b' ').collect::<Vec<_>>();
            let is_list = name == "vary" || name == "cache-control";
            let same = |v: &[u8]| v == &value[..] || is_list && bare(v) == bare(&value[..]);
            let passed = answer.head.fields.iter().any(|(n, v)| n == name && same(&v[..]));
            assert!(stated || passed, "{shown}, round {round}: {:?}", answer.head.fields.len());
        }
    }
    assert!(origin.total() >= count);
    assert_well(&envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_that_are_none_become_errors_of_envoy_s_and_no_worker_dies() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| match seen.path() {
        "/large" => Reply::ok("x").header("x-large", vec![b'a'; 100 * KIB]),
        "/nul" => Reply::ok("x").header("x-nul", b"a\0b"),
        "/length" => Reply::ok("x").header("content-length", "x").verbatim(),
        "/status" => Reply::with(999, "x"),
        _ => Reply::ok("well").header("cache-control", "max-age=60"),
    })
    .await;
    let (envoy, _redis) = wall(&origin).await;
    for path in ["/large", "/nul", "/length", "/status"] {
        let answer = try_send(envoy.address(), &Request::get(path)).await;
        assert!(answer.is_ok_and(|answer| answer.status >= 500), "{path}");
    }
    assert_well(&envoy).await;
}
