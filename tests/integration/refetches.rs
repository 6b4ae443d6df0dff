//! A 304 about another response than was asked about: the client gets the response anew, never an error (RFC 9111
//! §4.3.4).

use crate::support::client::{Request, send, wave};
use crate::support::origin::{Origin, Seen};
use crate::support::recipe::Recipe;
use crate::support::reply::Reply;
use crate::support::turn;

/// Has a new version each time, and confirms a version that nobody knows.
fn confused(seen: &Seen) -> Reply {
    if seen.head.field("if-none-match").is_some() {
        return Reply::with(304, "").verbatim().header("etag", "\"unknown\"");
    }
    let version = format!("version {}", seen.earlier);
    let reply = Reply::ok(version).header("etag", format!("\"{}\"", seen.earlier)).header("x", "y");
    match seen.path() {
        "/private" if seen.earlier > 0 => reply.header("cache-control", "private"),
        "/gone" if seen.earlier > 0 => Reply::with(404, "gone").header("cache-control", "no-store"),
        "/failing" if seen.earlier > 0 => Reply::with(503, "no").header("cache-control", "no-store"),
        // More than is stored, and more than a worker should take into its memory.
        "/huge" if seen.earlier > 0 => Reply::ok(vec![b'x'; 64 << 20]).header("cache-control", "no-store"),
        _ => reply.header("cache-control", "max-age=0"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_of_another_response_than_was_asked_about_gets_the_whole_anew() {
    let _turn = turn::shared().await;
    let origin = Origin::start(confused).await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    for (path, method, expected) in [
        ("/page", "GET", (200, "version 2")),
        ("/head", "HEAD", (200, "")),
        ("/private", "GET", (200, "version 2")),
        ("/gone", "GET", (404, "gone")),
        // The stale copy is better than that.
        ("/failing", "GET", (200, "version 0")),
        ("/huge", "GET", (200, "version 0")),
    ] {
        assert_eq!(send(envoy.address(), &Request::get(path)).await.text(), "version 0");
        let answer = send(envoy.address(), &Request::new(method, path)).await;
        assert_eq!((answer.status, answer.text().as_str()), expected, "{path}: {:?}", answer.head);
        if answer.status == 200 && expected.1 != "version 0" {
            assert_eq!([answer.header("x"), answer.header("etag")], ["y", "\"2\""], "{path}");
        }
        assert_eq!(origin.hits(path), 3, "{path}: the first, one about it, one for all of it");
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_waits_meets_an_error_either() {
    let _turn = turn::shared().await;
    let origin = Origin::start(confused).await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    send(envoy.address(), &Request::get("/page")).await;
    let answers = wave(envoy.address(), 200, &Request::get("/page")).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(origin.hits("/page") < 20, "{}", origin.hits("/page"));
    let private = wave(envoy.address(), 50, &Request::get("/private")).await;
    let again = wave(envoy.address(), 50, &Request::get("/private")).await;
    let mut own: Vec<_> = again.iter().map(|answer| answer.text()).collect();
    assert!(private.iter().chain(&again).all(|answer| answer.status == 200));
    own.sort();
    own.dedup();
    assert_eq!(own.len(), again.len(), "to each its own");
    assert_eq!(envoy.vm_failures().await, 0);
}
