//! Responses that vary, over several Envoys.

use crate::support::client::{Request, send};
use crate::support::envoy::Envoy;
use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::turn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

async fn read(envoy: &Envoy, language: &str) -> String {
    send(envoy.address(), &Request::get("/page").header("accept-language", language)).await.text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_elsewhere_takes_every_variant_and_no_newer_one_brings_another_back() {
    let _turn = turn::shared().await;
    let writes = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start(move |seen| {
        let language = seen.head.field("accept-language").unwrap_or_default().to_owned();
        let state = match seen.method() {
            "GET" => writes.load(Ordering::SeqCst),
            _ => writes.fetch_add(1, Ordering::SeqCst) + 1,
        };
        let reply = Reply::ok(format!("{language} {state}")).header("cache-control", "max-age=600");
        reply.header("vary", "accept-language")
    })
    .await;
    let redis = Redis::start().await;
    let recipe = Recipe::shipped().origin(origin.address()).patient_redis(redis.address());
    let (here, elsewhere) = (recipe.clone().start().await, recipe.start().await);
    for language in ["en", "de"] {
        assert_eq!(read(&here, language).await, format!("{language} 0"));
    }
    eventually("the index and both variants are in Redis", async || redis.keys().await.len() == 6).await;
    for state in [1, 2] {
        assert_eq!(send(elsewhere.address(), &Request::new("POST", "/page")).await.status, 200);
        // Its own memory may answer for `l1.ttl` more.
        for language in ["en", "de"] {
            let expected = format!("{language} {state}");
            eventually(&expected, async || read(&here, language).await == expected).await;
        }
        for language in ["en", "de"] {
            assert_eq!(read(&elsewhere, language).await, format!("{language} {state}"));
        }
    }
    assert_eq!((here.vm_failures().await, elsewhere.vm_failures().await), (0, 0));
}
