//! Responses that vary, over several Envoys.

use crate::support::client::{Answer, Request, send, wave_of};
use crate::support::envoy::Envoy;
use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::turn;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn in_language(language: &str) -> Request {
    Request::get("/page").header("accept-language", language)
}

async fn ask(envoy: &Envoy, language: &str) -> Answer {
    send(envoy.address(), &in_language(language)).await
}

async fn read(envoy: &Envoy, language: &str) -> String {
    ask(envoy, language).await.text()
}

/// A page in any language, and how often it was asked for.
async fn page() -> Origin {
    Origin::start(|seen| {
        let text = format!("{} {}", seen.head.combined("accept-language"), seen.earlier);
        Reply::ok(text).header("cache-control", "max-age=600").header("vary", "accept-language")
    })
    .await
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variants_stand_beside_each_other_in_every_tier_and_envoy() {
    let _turn = turn::shared().await;
    let origin = page().await;
    let redis = Redis::start().await;
    let recipe = Recipe::shipped()
        .origin(origin.address())
        .patient_redis(redis.address())
        .plugin(&json!({"l1": {"ttl": "10m"}}));
    let (here, elsewhere) = (recipe.clone().start().await, recipe.start().await);
    for (count, (language, text, why)) in
        [("en", "en 0", "uri-miss"), ("de", "de 1", "vary-miss"), ("", " 2", "vary-miss")]
            .into_iter()
            .enumerate()
    {
        let answer = ask(&here, language).await;
        assert_eq!((answer.text().as_str(), answer.told().fwd.as_deref()), (text, Some(why)), "{language:?}");
        // Two of the index, and two of each variant. What is not there yet when the next one looks is fetched again.
        eventually("it is in Redis", async || redis.keys().await.len() == 4 + 2 * count).await;
    }
    for (envoy, tier) in [(&here, "l1"), (&elsewhere, "l2"), (&elsewhere, "l1"), (&here, "l1")] {
        for (language, text) in [("en", "en 0"), ("de", "de 1"), ("", " 2")] {
            let answer = ask(envoy, language).await;
            let told = answer.told();
            assert_eq!((answer.text().as_str(), told.hit), (text, true), "{language:?}: {told:?}");
            assert_eq!(told.detail.as_deref(), Some(tier), "{language:?}");
            assert_eq!(answer.header("vary"), "accept-language");
        }
    }
    assert_eq!(origin.total(), 3);
    assert_eq!((here.vm_failures().await, elsewhere.vm_failures().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_variant_more_than_allowed_drives_out_the_one_that_was_asked_for_longest_ago() {
    let _turn = turn::shared().await;
    let origin = page().await;
    let three = json!({"defaults": {"cache": {"max_variants": 3}}});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&three).start().await;
    let hit = async |language: &str| ask(&envoy, language).await.told().hit;
    for language in ["a", "b", "c"] {
        assert!(!hit(language).await);
    }
    for language in ["a", "b", "c"] {
        assert!(hit(language).await, "{language} is there: three are allowed");
    }
    // Uses are noted to about a second.
    for language in ["b", "a"] {
        eventually("it is asked for anew", async || {
            let age: u64 = ask(&envoy, language).await.header("age").parse().unwrap();
            age >= 2
        })
        .await;
    }
    assert!(!hit("d").await);
    for (language, stays) in [("a", true), ("b", true), ("d", true), ("c", false)] {
        assert_eq!(hit(language).await, stays, "{language}");
    }
    let evicted = async || envoy.stat("wasmcustom.breakwater.variants.evicted").await;
    eventually("they are counted", async || evicted().await == 2).await;
    assert_eq!(origin.total(), 5);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_wave_of_several_languages_each_gets_its_own() {
    let _turn = turn::shared().await;
    let origin = page().await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    let languages = ["en", "de", "fr", "it"];
    let requests: Vec<_> = languages.iter().cycle().take(200).map(|language| in_language(language)).collect();
    for _ in 0..2 {
        let answers = wave_of(envoy.address(), requests.clone()).await;
        for (language, answer) in languages.iter().cycle().zip(&answers) {
            assert_eq!(answer.text().split(' ').next(), Some(*language), "{:?}", answer.head);
        }
    }
    let asked = origin.total();
    for language in languages {
        assert!(ask(&envoy, language).await.told().hit, "{language}");
    }
    assert_eq!(origin.total(), asked);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wave_in_two_languages_costs_one_request_for_each() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let language = seen.head.field("accept-language").unwrap_or_default().to_owned();
        let reply =
            Reply::ok(language).header("cache-control", "max-age=0").header("vary", "accept-language");
        reply.after(Duration::from_millis(200))
    })
    .await;
    let envoy = Recipe::minimal().workers(1).origin(origin.address()).start().await;
    let languages = ["en", "de"];
    let requests: Vec<Request> =
        (0..200).map(|n| Request::get("/page").header("accept-language", languages[n % 2])).collect();

    let answers = wave_of(envoy.address(), requests).await;

    assert!(answers.iter().enumerate().all(|(n, a)| a.status == 200 && a.text() == languages[n % 2]));
    assert_eq!(origin.total(), 2);
    assert_eq!(envoy.vm_failures().await, 0);
}
