//! Parts of what is stored (RFC 9110 §14, RFC 9111 §3.3, §3.4): cut from the whole, reused, joined, and never mixed.

use crate::support::client::{Answer, Request, send, wave_of};
use crate::support::crowd::{leader, waiters};
use crate::support::envoy::Envoy;
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::origin::{Origin, Seen};
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::{Hold, Reply};
use crate::support::turn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";

fn lasting(reply: Reply) -> Reply {
    reply.header("cache-control", "max-age=600").header("content-type", "text/plain")
}

/// `bytes=first-last`, as the upstream is asked.
fn wanted(seen: &Seen) -> Option<(usize, usize)> {
    let range = seen.head.field("range")?;
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// A part of `body`, or all of it, as asked.
fn part_of(body: &[u8], seen: &Seen) -> Reply {
    lasting(match wanted(seen) {
        Some((first, last)) => Reply::with(206, &body[first..=last])
            .header("content-range", format!("bytes {first}-{last}/{}", body.len())),
        None => Reply::ok(body),
    })
}

async fn ask(envoy: &Envoy, path: &str, range: &str) -> Answer {
    send(envoy.address(), &Request::get(path).header("range", range)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_cut_from_what_is_stored_as_the_client_asks() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| lasting(Reply::ok(LETTERS)).header("etag", "\"1\"")).await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    send(envoy.address(), &Request::get("/")).await;
    for (range, status, place) in [
        ("bytes=0-4", 206, "bytes 0-4/26"),
        ("BYTES=0-0", 206, "bytes 0-0/26"),
        ("bytes=25-25", 206, "bytes 25-25/26"),
        ("bytes=20-99", 206, "bytes 20-25/26"),
        ("bytes=20-", 206, "bytes 20-25/26"),
        ("bytes=-3", 206, "bytes 23-25/26"),
        ("bytes=-99", 206, "bytes 0-25/26"),
        ("bytes=2-99999999999999999999999", 206, "bytes 2-25/26"),
        // Of several, those that are there; those that touch are one.
        ("bytes=0-1, 26-", 206, "bytes 0-1/26"),
        ("bytes=0-4,5-6,3-8", 206, "bytes 0-8/26"),
        ("bytes=26-", 416, "bytes */26"),
        ("bytes=-0", 416, "bytes */26"),
        ("bytes=30-40,50-", 416, "bytes */26"),
        // None at all: to be ignored.
        ("bytes=5-4", 200, ""),
        ("bytes=0-4,x", 200, ""),
        ("letters=0-4", 200, ""),
        ("bytes 0-4", 200, ""),
        ("", 200, ""),
    ] {
        let answer = ask(&envoy, "/", range).await;
        assert_eq!((answer.status, answer.header("content-range").as_str()), (status, place), "{range:?}");
        let (first, last) = match place.trim_start_matches("bytes ").split_once('/') {
            Some((part, _)) if status == 206 => part.split_once('-').unwrap(),
            _ => ("0", "25"),
        };
        let expected = &LETTERS[first.parse().unwrap()..=last.parse().unwrap()];
        let told = answer.told();
        if status == 416 {
            assert!(answer.body.is_empty() && answer.header("etag").is_empty(), "{:?}", answer.head);
        } else {
            assert_eq!(answer.body, expected, "{range:?}");
            assert_eq!(answer.header("content-length"), expected.len().to_string());
            assert_eq!(
                [answer.header("etag"), answer.header("content-type")],
                ["\"1\"", "text/plain"],
                "{range:?}"
            );
            assert!(answer.header("age").parse::<u64>().is_ok(), "{:?}", answer.head);
        }
        assert!(told.hit && told.detail.as_deref() == Some("l1"), "{range:?}: {told:?}");
    }
    // Of HEAD there are no parts (RFC 9110 §14.2).
    let head = send(envoy.address(), &Request::new("HEAD", "/").header("range", "bytes=0-4")).await;
    assert_eq!((head.status, head.header("content-length").as_str()), (200, "26"));
    assert_eq!(origin.total(), 1);
    assert_eq!(envoy.vm_failures().await, 0);
}

/// The parts of a multipart/byteranges body (RFC 9110 §14.6): their places and bytes.
fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let content_type = answer.header("content-type");
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let text = answer.text();
    let (text, after) = text.split_once(&format!("--{boundary}--")).unwrap();
    assert_eq!(after.trim(), "");
    let opening = format!("--{boundary}\r\n");
    let mut parts = text.split(&opening);
    assert_eq!(parts.next().map(str::trim), Some(""));
    let part = |part: &str| {
        let (head, body) = part.split_once("\r\n\r\n").unwrap();
        let place = head.lines().find_map(|line| line.strip_prefix("content-range: ")).unwrap();
        assert!(head.lines().any(|line| line == "content-type: text/plain"), "{head}");
        (place.to_owned(), body.strip_suffix("\r\n").unwrap().as_bytes().to_vec())
    };
    parts.map(part).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_parts_come_in_one_answer_up_to_as_many_as_somebody_may_need() {
    let _turn = turn::shared().await;
    let body: Vec<u8> = (0..=255).cycle().take(2_000).map(|byte: u8| b'a' + byte % 26).collect();
    let sent = body.clone();
    let origin = Origin::start(move |_| lasting(Reply::ok(sent.clone()))).await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    send(envoy.address(), &Request::get("/")).await;

    let answer = ask(&envoy, "/", "bytes=-5,0-1,100-199").await;
    assert_eq!((answer.status, answer.header("content-range").as_str()), (206, ""));
    let expected = [(1995, 1999), (0, 1), (100, 199)]
        .map(|(first, last)| (format!("bytes {first}-{last}/2000"), body[first..=last].to_vec()));
    assert_eq!(parts(&answer), expected);

    for (count, status) in [(16, 206), (17, 200)] {
        let ranges: Vec<_> = (0..count).map(|n| format!("{}-{}", n * 10, n * 10 + 1)).collect();
        let answer = ask(&envoy, "/", &format!("bytes={}", ranges.join(","))).await;
        assert_eq!(answer.status, status, "{count} ranges");
        if status == 206 {
            assert_eq!(parts(&answer).len(), count);
        } else {
            assert_eq!(answer.body, body);
        }
    }
    assert_eq!(origin.total(), 1);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_given_only_of_the_representation_that_if_range_names() {
    let _turn = turn::shared().await;
    let now = SystemTime::now();
    let [made, minute_ago, hour_ago] =
        [0, 60, 3600].map(|ago| httpdate::fmt_http_date(now - Duration::from_secs(ago)));
    let (date, changed) = (made.clone(), minute_ago.clone());
    let origin = Origin::start(move |seen| {
        let reply = lasting(Reply::ok(LETTERS)).header("date", &date);
        match seen.path() {
            "/strong" => reply.header("etag", "\"1\""),
            "/weak" => reply.header("etag", "W/\"1\"").header("last-modified", &changed),
            "/dated" => reply.header("last-modified", &changed),
            // So shortly before that it may have changed once more since.
            _ => reply.header("last-modified", &date),
        }
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    let paths = ["/strong", "/weak", "/dated", "/just-changed"];
    for path in paths {
        send(envoy.address(), &Request::get(path)).await;
    }
    for (path, condition, holds) in [
        ("/strong", "\"1\"", true),
        ("/strong", "\"2\"", false),
        ("/strong", "W/\"1\"", false),
        ("/strong", "1", false),
        ("/weak", "W/\"1\"", false),
        ("/weak", "\"1\"", false),
        ("/weak", &minute_ago, false),
        ("/dated", &minute_ago, true),
        ("/dated", &made, false),
        ("/dated", &hour_ago, false),
        ("/dated", "\"1\"", false),
        ("/just-changed", &made, false),
    ] {
        let part = Request::get(path).header("range", "bytes=0-1").header("if-range", condition);
        let answer = send(envoy.address(), &part).await;
        let expected = if holds { (206, &b"ab"[..]) } else { (200, &LETTERS[..]) };
        assert_eq!((answer.status, &answer.body[..]), expected, "{path}: {condition}");
        assert!(answer.told().hit);
    }
    assert_eq!(origin.total(), paths.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_part_is_reused_and_grows_until_it_is_the_whole() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| part_of(LETTERS, seen).header("etag", "\"1\"")).await;
    let redis = Redis::start().await;
    let recipe = Recipe::shipped().origin(origin.address()).patient_redis(redis.address());
    let (first, second) = (recipe.clone().start().await, recipe.start().await);
    for (range, place, asked) in [
        ("bytes=0-9", "0-9", true),
        ("bytes=0-9", "0-9", false),
        ("bytes=3-3", "3-3", false),
        ("bytes=5-14", "5-14", true),
        ("bytes=0-14", "0-14", false),
        ("bytes=15-25", "15-25", true),
        // Now the whole is there.
        ("bytes=0-25", "0-25", false),
        ("bytes=12-", "12-25", false),
        ("bytes=-4", "22-25", false),
    ] {
        let before = origin.total();
        let answer = ask(&first, "/", range).await;
        let (low, high) = place.split_once('-').unwrap();
        let expected = &LETTERS[low.parse().unwrap()..=high.parse().unwrap()];
        assert_eq!((answer.status, &answer.body[..]), (206, expected), "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {place}/26"));
        assert_eq!((origin.total() - before == 1, answer.told().hit), (asked, !asked), "{range}");
    }
    let whole = send(first.address(), &Request::get("/")).await;
    assert_eq!((whole.status, whole.header("content-length").as_str()), (200, "26"));
    assert_eq!(whole.body, LETTERS);
    assert!(whole.told().hit && whole.header("content-range").is_empty(), "{:?}", whole.head);
    eventually("the whole is in Redis", async || redis.keys().await.len() == 2).await;
    let elsewhere = ask(&second, "/", "bytes=10-11").await;
    assert_eq!((elsewhere.status, elsewhere.text().as_str()), (206, "kl"));
    assert_eq!(elsewhere.told().detail.as_deref(), Some("l2"));
    assert_eq!(origin.total(), 3);
    assert_eq!((first.vm_failures().await, second.vm_failures().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_has_bytes_of_two_versions() {
    let _turn = turn::shared().await;
    let version = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&version);
    let origin = Origin::start(move |seen| {
        let version = now.load(Ordering::SeqCst);
        let reply = part_of(&[[b'a', b'b'][version]; 30], seen);
        match seen.path() {
            "/strong" => reply.header("etag", ["\"1\"", "\"2\""][version]),
            // A change that such a tag does not show.
            "/weak" => reply.header("etag", "W/\"1\""),
            "/untold" => reply,
            // The bytes they share tell that the tag is wrong.
            _ => reply.header("etag", "\"1\""),
        }
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    for path in ["/strong", "/weak", "/untold", "/wrong"] {
        version.store(0, Ordering::SeqCst);
        assert_eq!(ask(&envoy, path, "bytes=0-19").await.text(), "a".repeat(20));
        version.store(1, Ordering::SeqCst);
        assert_eq!(ask(&envoy, path, "bytes=10-29").await.text(), "b".repeat(20), "{path}");
        for (range, length) in [("bytes=5-24", 20), ("bytes=0-29", 30), ("bytes=0-4", 5)] {
            let answer = ask(&envoy, path, range).await;
            let text = answer.text();
            assert!(text == "a".repeat(length) || text == "b".repeat(length), "{path} {range}: {text}");
            assert_eq!(answer.header("etag").contains('2'), path == "/strong" && text.contains('b'));
        }
        let whole = send(envoy.address(), &Request::get(path)).await;
        assert_eq!(whole.text(), "b".repeat(30), "{path}");
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_a_part_does_not_wait_for_the_whole_and_holds_nobody_up_who_does() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| {
        let reply = part_of(LETTERS, seen).header("etag", "\"1\"");
        if wanted(seen).is_none() { reply.head(Hold::At(held.clone())) } else { reply }
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    let get = Request::get("/");
    let mut leader = leader(&envoy, &origin, &get).await;
    let waiters = waiters(&envoy, &get).await;
    let parts: Vec<_> =
        (0..20).map(|n| get.clone().header("range", format!("bytes={n}-{}", n + 4))).collect();
    for (first, answer) in wave_of(envoy.address(), parts.clone()).await.iter().enumerate() {
        assert_eq!((answer.status, &answer.body[..]), (206, &LETTERS[first..first + 5]));
        assert_eq!(answer.header("content-range"), format!("bytes {first}-{}/26", first + 4));
    }
    gate.open();
    assert_eq!(leader.answer().await.unwrap().body, LETTERS);
    assert!(waiters.join_all().await.iter().all(|answer| answer.status == 200 && answer.body == LETTERS));
    let asked = origin.total();
    assert!(asked <= 1 + parts.len(), "{asked}");
    for (first, answer) in wave_of(envoy.address(), parts).await.iter().enumerate() {
        assert_eq!((answer.status, &answer.body[..]), (206, &LETTERS[first..first + 5]));
    }
    assert_eq!(origin.total(), asked, "now they are cut from the whole");
    assert_eq!(envoy.vm_failures().await, 0);
}
