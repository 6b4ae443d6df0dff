//! Whatever Redis says, and whatever it holds: a miss, counted, and no worker dies.

use crate::support::client::{Request, send};
use crate::support::envoy::Envoy;
use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::{FakeRedis, Redis, Say};
use crate::support::reply::Reply;
use crate::support::turn;
use serde_json::json;
use std::sync::{Arc, Mutex};

async fn count(envoy: &Envoy, what: &str) -> u64 {
    envoy.stat(&format!("wasmcustom.breakwater.l2.{what}")).await
}

async fn pages() -> Origin {
    Origin::start(|seen| Reply::ok(format!("page {}", seen.path())).header("cache-control", "max-age=600"))
        .await
}

/// An empty Redis that takes every write.
fn healthy(asked: &[u8]) -> Say {
    let mut says = Vec::new();
    for line in asked.split(|byte| *byte == b'\n') {
        match line {
            b"GET\r" | b"get\r" => says.extend_from_slice(b"$-1\r\n"),
            b"SET\r" | b"set\r" => says.extend_from_slice(b"+OK\r\n"),
            b"DEL\r" | b"del\r" => says.extend_from_slice(b":1\r\n"),
            _ => {}
        }
    }
    Say::Bytes(says)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_redis_says_requests_are_served_and_it_is_used_again_when_it_speaks_sense() {
    let _turn = turn::shared().await;
    let said: Arc<Mutex<Option<Say>>> = Arc::default();
    let script = said.clone();
    let redis =
        FakeRedis::start(move |asked| script.lock().unwrap().clone().unwrap_or_else(|| healthy(asked))).await;
    let origin = pages().await;
    let envoy = Recipe::shipped().workers(1).origin(origin.address()).redis(redis.address()).start().await;
    let nested = [b"*1\r\n".repeat(500).as_slice(), b"$1\r\nx\r\n"].concat();
    let twice = |reply: &[u8]| Say::Bytes(reply.repeat(2));
    for (name, garbage) in [
        ("bytes", Say::Bytes(b"\x00\xff\xfe nonsense \x80".to_vec())),
        ("lines", Say::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())),
        ("half a reply", Say::Bytes(b"$100\r\nabc".to_vec())),
        ("half a reply, then gone", Say::Last(b"$100\r\nabc".to_vec())),
        ("half a length", Say::Last(b"$10".to_vec())),
        ("nothing", Say::Nothing),
        ("nothing, then gone", Say::Last(Vec::new())),
        ("a status", twice(b"+OK\r\n")),
        ("a number", twice(b":5\r\n")),
        ("a number too large", twice(b":99999999999999999999999999\r\n")),
        ("a list", twice(b"*2\r\n$1\r\na\r\n$1\r\nb\r\n")),
        ("a nested list", twice(&nested)),
        ("a huge length", Say::Bytes(b"$999999999999\r\nabc".to_vec())),
        ("a length below zero", twice(b"$-2\r\n")),
        ("an error", twice(b"-ERR no\r\n")),
        ("loading", twice(b"-LOADING Redis is loading the dataset in memory\r\n")),
        ("no permission", twice(b"-NOAUTH Authentication required.\r\n")),
    ] {
        eventually("Redis is used", async || {
            let asked = redis.asked();
            let path = format!("/well/{name}/{asked}").replace(' ', "-");
            assert_eq!(send(envoy.address(), &Request::get(&path)).await.text(), format!("page {path}"));
            redis.asked() > asked && count(&envoy, "up").await == count(&envoy, "down").await
        })
        .await;
        let failed = count(&envoy, "failed").await;
        *said.lock().unwrap() = Some(garbage);
        for n in 0..5 {
            let path = format!("/{name}/{n}").replace(' ', "-");
            let answer = send(envoy.address(), &Request::get(&path)).await;
            assert_eq!((answer.status, answer.text()), (200, format!("page {path}")), "{name}");
        }
        eventually(name, async || count(&envoy, "failed").await > failed).await;
        *said.lock().unwrap() = None;
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_redis_holds_is_believed_only_if_it_is_the_entry_asked_for() {
    let _turn = turn::shared().await;
    let origin = pages().await;
    let redis = Redis::start().await;
    let at_once = json!({"l1": {"ttl": "1ms"}});
    let envoy =
        Recipe::shipped().origin(origin.address()).redis(redis.address()).plugin(&at_once).start().await;
    // Another page's entry, to be put in the wrong place.
    send(envoy.address(), &Request::get("/other")).await;
    eventually("it is stored", async || redis.keys().await.len() == 2).await;
    let other = redis.keys().await[0].clone();
    redis.command(&["RENAME", &other, "other"]).await;
    let rest = redis.keys().await.into_iter().find(|key| key.starts_with("bw:")).unwrap();
    redis.command(&["DEL", &rest]).await;

    let keep = "local v = redis.call('GET', KEYS[1]) ";
    let cases = [
        ("empty", "redis.call('SET', KEYS[1], '')".to_owned(), true),
        ("garbage", "redis.call('SET', KEYS[1], string.rep('\\255\\0garbage', 99))".to_owned(), true),
        ("cut-short", format!("{keep} redis.call('SET', KEYS[1], string.sub(v, 1, #v - 1))"), true),
        ("only-its-magic", format!("{keep} redis.call('SET', KEYS[1], string.sub(v, 1, 3))"), true),
        ("lengthened", format!("{keep} redis.call('SET', KEYS[1], v .. 'x')"), true),
        (
            "of-a-later-version",
            format!("{keep} redis.call('SET', KEYS[1], 'BW' .. string.char(250) .. string.sub(v, 4))"),
            true,
        ),
        (
            "with-huge-lengths",
            format!(
                "{keep} redis.call('SET', KEYS[1], string.sub(v, 1, 40) .. string.rep('\\255', 16) .. string.sub(v, 57))"
            ),
            true,
        ),
        ("a-list", "redis.call('DEL', KEYS[1]) redis.call('LPUSH', KEYS[1], 'a', 'b')".to_owned(), true),
        ("another-page", "redis.call('SET', KEYS[1], redis.call('GET', 'other'))".to_owned(), false),
    ];
    for (name, damage, corrupt) in cases {
        let path = format!("/{name}");
        let get = Request::get(&path);
        send(envoy.address(), &get).await;
        eventually("it is stored", async || redis.keys().await.len() == 3).await;
        let keys: Vec<String> = redis.keys().await.into_iter().filter(|key| key != "other").collect();
        let counted = count(&envoy, "corrupt").await;
        let mut damaged = Vec::new();
        for key in &keys {
            let reply = redis.command(&["EVAL", &damage, "1", key]).await;
            assert!(!reply.starts_with('-'), "{name}: {reply}");
            damaged.push(redis.command(&["GET", key]).await);
        }
        // It is fetched anew, once, and what is stored then is whole.
        let answer = send(envoy.address(), &get).await;
        assert_eq!((answer.status, answer.text()), (200, format!("page {path}")), "{name}");
        assert_eq!(origin.hits(&path), 2, "{name}");
        if corrupt {
            eventually(name, async || count(&envoy, "corrupt").await > counted).await;
        }
        // Who asks before that fetches it too.
        eventually(&format!("{name} is written anew"), async || {
            for (key, damaged) in keys.iter().zip(&damaged) {
                if redis.command(&["GET", key]).await == *damaged {
                    return false;
                }
            }
            true
        })
        .await;
        eventually(&format!("{name} is mended"), async || {
            send(envoy.address(), &get).await.header("cache-status").ends_with("detail=l2")
        })
        .await;
        assert_eq!(origin.hits(&path), 2, "{name}");
        for key in &keys {
            redis.command(&["DEL", key]).await;
        }
    }
    assert_eq!((count(&envoy, "down").await, envoy.vm_failures().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_is_still_read() {
    let _turn = turn::shared().await;
    let origin = pages().await;
    let redis = Redis::start().await;
    let at_once = json!({"l1": {"ttl": "1ms"}});
    let envoy =
        Recipe::shipped().origin(origin.address()).redis(redis.address()).plugin(&at_once).start().await;
    send(envoy.address(), &Request::get("/kept")).await;
    eventually("it is stored", async || redis.keys().await.len() == 2).await;
    assert_eq!(redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await, "+OK\r\n");
    assert_eq!(send(envoy.address(), &Request::get("/refused")).await.text(), "page /refused");
    eventually("the refusal is counted", async || count(&envoy, "refused").await > 0).await;
    let kept = send(envoy.address(), &Request::get("/kept")).await;
    assert!(kept.header("cache-status").ends_with("detail=l2"), "{:?}", kept.head);
    assert_eq!((count(&envoy, "down").await, origin.total()), (0, 2));
}
