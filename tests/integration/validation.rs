//! Is what is stored still true? What the upstream is asked, what its 304 renews, and whom that serves (RFC 9111 §4.3).

use crate::support::client::{Answer, Request, send};
use crate::support::crowd::{WAITERS, leader, waiters, waiters_of};
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::origin::{Origin, Seen};
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::{Hold, Reply};
use crate::support::turn;

const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// The first version, to be asked about each time.
fn page() -> Reply {
    Reply::ok("page").header("etag", "\"1\"").header("cache-control", "max-age=0")
}

fn unchanged() -> Reply {
    Reply::with(304, "").verbatim()
}

fn is_asked(seen: &Seen) -> bool {
    seen.head.field("if-none-match").is_some() || seen.head.field("if-modified-since").is_some()
}

fn assert_confirmed(answer: &Answer) {
    let told = answer.told();
    assert_eq!((told.fwd.as_deref(), told.fwd_status), (Some("stale"), Some(304)), "{:?}", answer.head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_304_renews_what_is_stored_for_the_client_and_for_every_tier() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| match is_asked(seen) {
        true => {
            unchanged().header("etag", "\"1\"").header("cache-control", "max-age=600").header("x", "renewed")
        }
        false => page().header("last-modified", CHANGED).header("x", "first").header("y", "stays"),
    })
    .await;
    let redis = Redis::start().await;
    let recipe = Recipe::shipped().origin(origin.address()).patient_redis(redis.address());
    let (first, second) = (recipe.clone().start().await, recipe.start().await);
    let get = Request::get("/page");
    assert_eq!(send(first.address(), &get).await.header("x"), "first");

    let confirmed = send(first.address(), &get).await;
    assert_confirmed(&confirmed);
    assert!(confirmed.told().stored);
    let heads = origin.heads();
    assert_eq!((heads.len(), &heads[0].field("if-none-match")), (2, &None));
    let asked = ["if-none-match", "if-modified-since"].map(|name| heads[1].field(name).unwrap());
    assert_eq!(asked, ["\"1\"", CHANGED]);

    eventually("both tiers have it", async || {
        let keys = redis.keys().await;
        let mut renewed = 0;
        for key in &keys {
            renewed += usize::from(redis.command(&["GET", key]).await.contains("renewed"));
        }
        renewed == 2
    })
    .await;
    for (envoy, tier) in [(&second, "l2"), (&second, "l1"), (&first, "l1")] {
        let hit = send(envoy.address(), &get).await;
        assert_eq!((hit.status, hit.text().as_str()), (200, "page"));
        assert_eq!((hit.header("x").as_str(), hit.header("y").as_str()), ("renewed", "stays"));
        let told = hit.told();
        assert!(told.hit && told.ttl > Some(590), "{told:?}");
        assert!(tier == "l1" || told.detail.as_deref() == Some(tier), "{told:?}");
    }
    assert_eq!(origin.total(), 2);
    assert_eq!((first.vm_failures().await, second.vm_failures().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_wait_for_a_validation_get_its_answer() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| match is_asked(seen) {
        true => unchanged().header("cache-control", "max-age=600").head(Hold::At(held.clone())),
        false => page(),
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    let get = Request::get("/page");
    send(envoy.address(), &get).await;

    let mut leader = leader(&envoy, &origin, &get).await;
    let holder = get.clone().header("if-none-match", "\"1\"");
    let mut requests = vec![get.clone(); WAITERS];
    requests.push(holder);
    let waiters = waiters_of(&envoy, requests).await;
    gate.open();
    let first = leader.answer().await.unwrap();
    assert_confirmed(&first);
    assert_eq!((first.status, first.text().as_str()), (200, "page"));
    let mut not_modified = 0;
    for answer in waiters.join_all().await {
        assert_confirmed(&answer);
        assert_eq!(answer.told().collapsed, Some(true));
        // Each by its own condition.
        not_modified += usize::from(answer.status == 304);
        assert!(
            answer.status == 304 || (answer.status == 200 && answer.text() == "page"),
            "{:?}",
            answer.head
        );
    }
    assert_eq!((not_modified, origin.total()), (1, 2));
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_304_that_says_private_is_for_one_client_and_takes_back_what_is_stored() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| {
        let whose = Reply::ok(seen.head.combined("cookie")).header("cache-control", "private, max-age=60");
        match seen.earlier {
            0 => page(),
            1 => unchanged().header("cache-control", "private").head(Hold::At(held.clone())),
            _ => whose.then(Hold::InFlight(WAITERS)),
        }
    })
    .await;
    let redis = Redis::start().await;
    let envoy = Recipe::shipped().origin(origin.address()).patient_redis(redis.address()).start().await;
    let get = Request::get("/page");
    send(envoy.address(), &get).await;
    eventually("it is stored", async || !redis.keys().await.is_empty()).await;

    let mut leader = leader(&envoy, &origin, &get).await;
    let requests = (0..WAITERS).map(|n| get.clone().header("cookie", format!("user={n}"))).collect();
    let waiters = waiters_of(&envoy, requests).await;
    gate.open();
    assert_eq!(leader.answer().await.unwrap().text(), "page", "the client that asked may have it");
    let mut seen: Vec<String> = waiters.join_all().await.iter().map(Answer::text).collect();
    seen.sort_unstable();
    let mut own: Vec<String> = (0..WAITERS).map(|n| format!("user={n}")).collect();
    own.sort_unstable();
    assert_eq!(seen, own);
    eventually("nothing is stored any more", async || redis.keys().await.is_empty()).await;
    let conditions = origin.heads().iter().filter(|head| head.field("if-none-match").is_some()).count();
    assert_eq!((origin.total(), conditions), (2 + WAITERS, 1), "the others ask for all of it");
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_way_back_a_304_about_another_response_is_no_error_where_the_stale_one_may_stand_in() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let first = match seen.path() {
            "/never-stale" => "max-age=0, must-revalidate",
            _ => "max-age=0",
        };
        match (seen.earlier, is_asked(seen)) {
            (0, _) => Reply::ok("page").header("etag", "\"1\"").header("cache-control", first),
            (_, true) => unchanged().header("etag", "\"2\""),
            (_, false) => Reply::ok("new").header("etag", "\"2\"").header("cache-control", "max-age=600"),
        }
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    for (path, status, text) in [("/page", 200, "page"), ("/never-stale", 502, "")] {
        let get = Request::get(path);
        assert_eq!(send(envoy.address(), &get).await.text(), "page");
        let confused = send(envoy.address(), &get).await;
        let told = confused.told();
        assert_eq!((confused.status, told.detail.as_deref()), (status, Some("upstream-failed")), "{told:?}");
        if status == 200 {
            assert_eq!((confused.text().as_str(), told.fwd_status), (text, Some(304)));
        } else {
            assert!(confused.header("proxy-status").contains("http_protocol_error"), "{:?}", confused.head);
        }
        // Asked about again it would be answered so again: it is forgotten.
        let next = send(envoy.address(), &get).await;
        assert_eq!((next.status, next.text().as_str()), (200, "new"), "{path}");
        // What was asked for in the very millisecond of the forgetting is not believed.
        eventually("and that is kept", async || send(envoy.address(), &get).await.told().hit).await;
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_wait_for_a_response_that_changed_get_the_new_one() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| match is_asked(seen) {
        true => Reply::ok("new")
            .header("etag", "\"2\"")
            .header("cache-control", "max-age=600")
            .head(Hold::At(held.clone())),
        false => page(),
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    let get = Request::get("/page");
    send(envoy.address(), &get).await;
    let mut leader = leader(&envoy, &origin, &get).await;
    let waiters = waiters(&envoy, &get).await;
    gate.open();
    let told = leader.answer().await.unwrap().told();
    assert_eq!((told.fwd.as_deref(), told.fwd_status, told.stored), (Some("stale"), None, true));
    assert!(waiters.join_all().await.iter().all(|answer| answer.status == 200 && answer.text() == "new"));
    assert_eq!(origin.total(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_has_it_is_told_so_with_the_fields_that_count() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let reply = Reply::ok("page").header("cache-control", "max-age=600").header("vary", "accept");
        let reply =
            reply.header("content-type", "text/html").header("last-modified", CHANGED).header("x", "y");
        if seen.path() == "/tagged" { reply.header("etag", "W/\"1\"") } else { reply }
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    let later = "Mon, 07 Nov 1994 08:49:37 GMT";
    let earlier = "Sat, 05 Nov 1994 08:49:37 GMT";
    for path in ["/tagged", "/dated"] {
        send(envoy.address(), &Request::get(path)).await;
    }
    for (path, name, value, status) in [
        ("/tagged", "if-none-match", "W/\"1\"", 304),
        ("/tagged", "if-none-match", "\"1\"", 304),
        ("/tagged", "if-none-match", "\"0\", W/\"1\"", 304),
        ("/tagged", "if-none-match", "*", 304),
        ("/tagged", "if-none-match", "\"2\"", 200),
        ("/tagged", "if-modified-since", CHANGED, 304),
        ("/dated", "if-modified-since", CHANGED, 304),
        ("/dated", "if-modified-since", later, 304),
        ("/dated", "if-modified-since", earlier, 200),
        ("/dated", "if-none-match", "\"1\"", 200),
        ("/dated", "if-modified-since", "yesterday", 200),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = send(envoy.address(), &Request::new(method, path).header(name, value)).await;
            assert_eq!((answer.status, answer.told().hit), (status, true), "{method} {path} {name}: {value}");
            if status == 304 {
                let has = |name: &str| answer.head.field(name).is_some();
                assert!(has("date") && has("age"), "{:?}", answer.head);
                assert_eq!(
                    (answer.header("cache-control").as_str(), answer.header("vary").as_str()),
                    ("max-age=600", "accept")
                );
                // The date counts where there is no tag, and nothing else is told that the client has already.
                assert_eq!((has("etag"), has("last-modified")), (path == "/tagged", path == "/dated"));
                assert!(!has("content-type") && !has("content-length") && !has("x"), "{:?}", answer.head);
            }
        }
    }
    // The tag counts before the date.
    let both = Request::get("/tagged").header("if-none-match", "\"2\"").header("if-modified-since", later);
    assert_eq!(send(envoy.address(), &both).await.status, 200);
    assert_eq!(origin.total(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_brings_what_is_stored_up_to_date_or_shows_that_it_has_changed() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| match (seen.method(), seen.path()) {
        ("HEAD", "/same") => {
            Reply::ok("page").header("etag", "\"1\"").header("cache-control", "max-age=600").header("x", "y")
        }
        ("HEAD", "/unchanged") => unchanged().header("cache-control", "max-age=600").header("x", "y"),
        ("HEAD", "/longer") => Reply::ok("pages").header("etag", "\"1\""),
        ("HEAD", "/other") => Reply::ok("page").header("etag", "\"2\""),
        ("HEAD", _) => Reply::with(404, "").header("etag", "\"1\""),
        _ => page(),
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    for (path, renewed, asked_about) in [
        ("/same", true, false),
        ("/unchanged", true, false),
        ("/longer", false, false),
        ("/other", false, false),
        ("/missing", false, true),
    ] {
        let get = Request::get(path);
        send(envoy.address(), &get).await;
        let head = send(envoy.address(), &Request::new("HEAD", path)).await;
        assert_eq!((head.body.len(), origin.hits(path)), (0, 2), "{path}");
        let next = send(envoy.address(), &get).await;
        assert_eq!((next.told().hit, next.header("x") == "y"), (renewed, renewed), "{path}: {:?}", next.head);
        assert_eq!((next.status, next.text().as_str()), (200, "page"), "{path}");
        let last = origin.heads().pop().unwrap();
        assert_eq!(last.word(0) == "GET" && last.field("if-none-match").is_some(), asked_about, "{path}");
    }
    assert_eq!(envoy.vm_failures().await, 0);
}
