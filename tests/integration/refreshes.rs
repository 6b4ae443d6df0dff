//! Fetching anew in the background: one request, the plugin's own, and nobody else's.

use crate::support::client::{Request, send, wave};
use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::reply::Reply;
use crate::support::turn;

const MARK: &str = "x-breakwater-refresh";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_is_for_one_caller_and_what_it_brings_for_those_it_permits() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let caller =
            seen.head.field("authorization").map_or("nobody".to_owned(), |caller| caller.to_string());
        let reply = Reply::ok(format!("{caller} {}", seen.earlier));
        // For everybody at first, for its caller alone from then on.
        let cache_control =
            if seen.earlier == 0 { "public, max-age=0, stale-while-revalidate=60" } else { "max-age=60" };
        reply.header("cache-control", cache_control).header("etag", format!("\"{}\"", seen.earlier))
    })
    .await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let page = Request::get("/page");
    assert_eq!(send(envoy.address(), &page).await.text(), "nobody 0");
    let alice = page.clone().header("authorization", "alice");
    assert_eq!(send(envoy.address(), &alice).await.text(), "nobody 0");
    eventually("it is fetched anew as alice", async || origin.hits("/page") == 2).await;
    for answer in wave(envoy.address(), 20, &page).await {
        assert!(!answer.text().starts_with("alice"), "{:?}", answer.head);
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mark_of_a_refresh_reaches_nobody_and_is_nothing_in_others_hands() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let cache_control =
            if seen.path() == "/fresh" { "max-age=60" } else { "stale-while-revalidate=60, max-age=0" };
        Reply::ok(format!("{}", seen.earlier))
            .header("cache-control", cache_control)
            .header("etag", "\"one\"")
    })
    .await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    for _ in 0..2 {
        assert_eq!(send(envoy.address(), &Request::get("/stale")).await.text(), "0");
    }
    eventually("a refresh has come", async || origin.hits("/stale") == 2).await;
    for forged in ["", "0", "00000000000000000000000000000000"] {
        let fresh = Request::get("/fresh").header(MARK, forged).header(MARK, forged);
        assert_eq!(send(envoy.address(), &fresh).await.text(), "0", "answered like any other");
        send(envoy.address(), &Request::new("OPTIONS", "/options").header(MARK, forged)).await;
        send(envoy.address(), &Request::get("/upgrade").header("upgrade", "x").header(MARK, forged)).await;
    }
    let marked = origin.heads().into_iter().find(|head| head.fields.iter().any(|(name, _)| name == MARK));
    assert!(marked.is_none(), "{marked:?}");
    assert_eq!(envoy.vm_failures().await, 0);
}
