//! What a rule may change of what is kept, for how long, for whom, and what clients are told: each field does what the
//! README says, and no more.

use crate::support::client::{Answer, Request, send};
use crate::support::envoy::Envoy;
use crate::support::eventually;
use crate::support::origin::{Origin, Seen};
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::told::Told;
use crate::support::turn;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const LONG_AGO: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

/// A rule for what lies below a path of its own.
fn rule(name: &str, cache: &Value) -> Value {
    json!({"name": name, "match": {"path": {"prefix": format!("/{name}/")}}, "cache": cache})
}

async fn wall(origin: &Origin, rules: &[(&str, Value)]) -> Envoy {
    let rules: Vec<_> = rules.iter().map(|(name, cache)| rule(name, cache)).collect();
    Recipe::minimal().origin(origin.address()).plugin(&json!({"rules": rules})).start().await
}

async fn get(envoy: &Envoy, path: &str) -> Answer {
    send(envoy.address(), &Request::get(path)).await
}

/// Asks twice; what the second answer tells.
async fn again(envoy: &Envoy, path: &str) -> Told {
    get(envoy, path).await;
    get(envoy, path).await.told()
}

/// Answers with the fields that the rest of the path says, as in `/rule/200?cache-control=max-age%3D60`.
fn as_asked(seen: &Seen) -> Reply {
    let (path, query) = seen.path().split_once('?').unwrap_or((seen.path(), ""));
    let status = path.rsplit('/').next().and_then(|word| word.parse().ok()).unwrap_or(200);
    let fields = form_urlencoded::parse(query.as_bytes());
    fields.fold(Reply::with(status, format!("fetch {}", seen.earlier)), |reply, (name, value)| {
        reply.header(&name, value.as_bytes())
    })
}

/// `/<rule>/<status>` with these fields.
fn with(rule: &str, status: u16, fields: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    format!("/{rule}/{status}?{query}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lifetime_is_what_the_rule_makes_of_what_the_response_states() {
    let _turn = turn::shared().await;
    let origin = Origin::start(as_asked).await;
    let envoy = wall(
        &origin,
        &[
            ("statuses", json!({"statuses": {"404": "10m", "503": "1m"}})),
            ("override", json!({"override_ttl": "10m"})),
            ("max", json!({"max_ttl": "5m", "default_ttl": "1h"})),
            ("both", json!({"override_ttl": "1h", "max_ttl": "5m"})),
        ],
    )
    .await;
    for (rule, status, fields, lifetime) in [
        // Of a status that states none.
        ("statuses", 404, &[][..], Some(600)),
        ("statuses", 503, &[], Some(60)),
        ("statuses", 410, &[], None),
        ("statuses", 200, &[], None),
        ("statuses", 404, &[("cache-control", "max-age=20")], Some(20)),
        ("statuses", 404, &[("cache-control", "max-age=0")], None),
        ("statuses", 404, &[("cache-control", "no-store")], None),
        ("statuses", 404, &[("cache-control", "private")], None),
        // Whatever is stated, but for what forbids.
        ("override", 200, &[], Some(600)),
        ("override", 200, &[("cache-control", "max-age=5")], Some(600)),
        ("override", 200, &[("cache-control", "max-age=0")], Some(600)),
        ("override", 200, &[("cache-control", "max-age=3600")], Some(600)),
        ("override", 200, &[("expires", LONG_AGO)], Some(600)),
        ("override", 200, &[("cache-control", "no-store, max-age=60")], None),
        ("override", 200, &[("cache-control", "private, max-age=60")], None),
        ("override", 200, &[("cache-control", "no-cache, max-age=60")], None),
        ("override", 200, &[("vary", "*")], None),
        ("override", 200, &[("set-cookie", "a=b")], None),
        // At most.
        ("max", 200, &[("cache-control", "max-age=3600")], Some(300)),
        ("max", 200, &[("cache-control", "s-maxage=3600, max-age=1")], Some(300)),
        ("max", 200, &[("cache-control", "max-age=20")], Some(20)),
        ("max", 200, &[], Some(300)),
        ("max", 200, &[("cache-control", "max-age=0")], None),
        ("both", 200, &[("cache-control", "max-age=20")], Some(300)),
    ] {
        let path = with(rule, status, fields);
        let told = again(&envoy, &path).await;
        assert_eq!((told.hit, origin.hits(&path)), (lifetime.is_some(), 2 - usize::from(told.hit)), "{path}");
        let expected = lifetime.map(|lifetime: i64| lifetime - 10..=lifetime);
        assert!(
            expected.is_none_or(|expected| told.ttl.is_some_and(|ttl| expected.contains(&ttl))),
            "{path}: {told:?}"
        );
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lifetime_is_guessed_by_as_much_as_the_rule_says() {
    let _turn = turn::shared().await;
    let origin = Origin::start(as_asked).await;
    let none = json!({"heuristic_percent": 0});
    let half = json!({"heuristic_percent": 50});
    let envoy = wall(&origin, &[("none", none), ("half", half)]).await;
    let changed = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(1_000));
    for (rule, lifetime) in [("other", Some(100)), ("half", Some(500)), ("none", None)] {
        let path = with(rule, 200, &[("last-modified", &changed)]);
        let told = again(&envoy, &path).await;
        assert_eq!(told.hit, lifetime.is_some(), "{rule}: {told:?}");
        let expected = lifetime.map(|lifetime: i64| lifetime - 10..=lifetime + 10);
        assert!(
            expected.is_none_or(|expected| told.ttl.is_some_and(|ttl| expected.contains(&ttl))),
            "{rule}: {told:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_s_wish_for_a_fresher_answer_counts_where_the_rule_honours_it() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| match seen.head.field("if-none-match") {
        Some(_) => Reply::with(304, "").verbatim(),
        None => as_asked(seen),
    })
    .await;
    let envoy = wall(&origin, &[("honor", json!({"request_directives": "honor"}))]).await;
    let aged = [("cache-control", "max-age=600"), ("age", "100")];
    for rule in ["honor", "ignore"] {
        let path = with(rule, 200, &aged);
        get(&envoy, &path).await;
        for (wish, fulfilled) in [
            ("no-cache", false),
            ("max-age=0", false),
            ("max-age=50", false),
            ("max-age=300", true),
            ("min-fresh=550", false),
            ("min-fresh=300", true),
            ("max-age=300, min-fresh=550", false),
            ("nothing-to-see-here", true),
        ] {
            let before = origin.total();
            let told = send(envoy.address(), &Request::get(&path).header("cache-control", wish)).await.told();
            let from_store = fulfilled || rule == "ignore";
            assert_eq!(
                (told.hit, origin.total() == before),
                (from_store, from_store),
                "{rule}: {wish}: {told:?}"
            );
            if !from_store {
                let why = (told.fwd.as_deref(), told.stored);
                assert_eq!(why, (Some("request"), true), "{wish}: {told:?}");
            }
        }
    }
    // With a validator the upstream is asked whether it still holds.
    let path = with("honor", 200, &[("cache-control", "max-age=600"), ("etag", "\"1\"")]);
    get(&envoy, &path).await;
    let told = send(envoy.address(), &Request::get(&path).header("cache-control", "no-cache")).await.told();
    assert_eq!((told.fwd.as_deref(), told.fwd_status, told.stored), (Some("request"), Some(304), true));

    // A stale one is taken under any rule, unless the response forbids it.
    for rule in ["honor", "ignore"] {
        for (said, taken) in [("max-age=0", true), ("max-age=0, must-revalidate", false)] {
            let path = with(rule, 200, &[("cache-control", said), ("last-modified", LONG_AGO)]);
            get(&envoy, &path).await;
            let told =
                send(envoy.address(), &Request::get(&path).header("cache-control", "max-stale")).await.told();
            assert_eq!((told.hit, origin.hits(&path)), (taken, 2 - usize::from(taken)), "{path}: {told:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_tag_is_of_the_content_and_between_the_wall_and_its_clients() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let body = if seen.path().ends_with("other") { "another page" } else { "page" };
        let reply = Reply::ok(body)
            .header("cache-control", if seen.path().contains("short") { "max-age=1" } else { "max-age=600" });
        match seen.path() {
            "/tags/own" => reply.header("etag", "W/\"own\""),
            _ => reply,
        }
    })
    .await;
    let rules = [("tags", json!({"etag": "generate"}))];
    let (first, second) = (wall(&origin, &rules).await, wall(&origin, &rules).await);
    let tag = async |envoy: &Envoy, path: &str| {
        get(envoy, path).await;
        get(envoy, path).await.header("etag")
    };
    let page = tag(&first, "/tags/page").await;
    assert!(page.starts_with('"') && page.ends_with('"') && page.len() > 20, "a strong one: {page}");
    assert_eq!(tag(&second, "/tags/page").await, page, "the same content, the same tag, in any Envoy");
    assert_eq!(tag(&first, "/tags/copy").await, page);
    assert_ne!(tag(&first, "/tags/other").await, page);
    assert_eq!(tag(&first, "/tags/own").await, "W/\"own\"");
    assert_eq!(tag(&first, "/untagged").await, "");

    let held = Request::get("/tags/page").header("if-none-match", &page);
    let answer = send(first.address(), &held).await;
    assert_eq!((answer.status, answer.header("etag")), (304, page.clone()));
    let part = Request::get("/tags/page").header("if-range", &page).header("range", "bytes=1-2");
    assert_eq!(send(first.address(), &part).await.text(), "ag");

    // The upstream, which does not know it, is never asked about it; the client is answered by it all the same.
    let short = tag(&first, "/tags/short").await;
    let held = Request::get("/tags/short").header("if-none-match", &short);
    eventually("it is fetched anew", async || {
        let answer = send(first.address(), &held).await;
        assert!(answer.status == 304 || answer.text() == "page", "{:?}", answer.head);
        origin.hits("/tags/short") == 2
    })
    .await;
    assert!(origin.heads().iter().all(|head| head.field("if-none-match").is_none()));
    assert_eq!((first.vm_failures().await, second.vm_failures().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_is_kept_and_shared_only_where_the_rule_says_so() {
    let _turn = turn::shared().await;
    let origin = Origin::start(as_asked).await;
    let envoy = wall(&origin, &[("store", json!({"set_cookie": "store"}))]).await;
    let cookies = [("cache-control", "max-age=600"), ("set-cookie", "a=1"), ("set-cookie", "b=2")];
    for (rule, kept) in [("store", true), ("refuse", false)] {
        let path = with(rule, 200, &cookies);
        get(&envoy, &path).await;
        let answer = get(&envoy, &path).await;
        assert_eq!((answer.told().hit, origin.hits(&path)), (kept, 2 - usize::from(kept)), "{rule}");
        let lines = answer.head.fields.iter().filter(|(name, _)| name == "set-cookie");
        let lines: Vec<_> = lines.map(|(_, value)| &value[..]).collect();
        assert_eq!(lines, [b"a=1", b"b=2"], "{rule}");
    }
    let private = with("store", 200, &[("cache-control", "private, max-age=600"), ("set-cookie", "a=1")]);
    assert!(!again(&envoy, &private).await.hit, "permission is another question");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_that_is_told_is_the_one_in_redis() {
    let _turn = turn::shared().await;
    let origin = Origin::start(as_asked).await;
    let redis = Redis::start().await;
    let envoy = Recipe::shipped()
        .origin(origin.address())
        .patient_redis(redis.address())
        .plugin(&json!({"rules": [rule("told", &json!({"tell_key": true}))]}))
        .start()
        .await;
    let mut keys = Vec::new();
    for name in ["one", "two"] {
        let path = with(&format!("told/{name}"), 200, &[("cache-control", "max-age=600")]);
        let miss = get(&envoy, &path).await.told();
        let key = miss.key.clone().unwrap_or_else(|| panic!("{miss:?}"));
        for tier in ["bw:2:", "bw:3:"] {
            let entry = format!("{tier}{key}");
            eventually(&entry, async || redis.command(&["EXISTS", &entry]).await == ":1\r\n").await;
        }
        let hit = get(&envoy, &path).await.told();
        assert_eq!((hit.hit, hit.key.as_ref()), (true, Some(&key)));
        keys.push(key);
    }
    assert_ne!(keys[0], keys[1]);
    assert_eq!(redis.keys().await.len(), 4);
    let other = again(&envoy, &with("untold", 200, &[("cache-control", "max-age=600")])).await;
    assert_eq!((other.hit, other.key), (true, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_that_speak_to_this_cache_stand_in_place_of_cache_control() {
    let _turn = turn::shared().await;
    let origin = Origin::start(as_asked).await;
    let envoy = wall(&origin, &[("own", json!({"targeted": ["X-Wall-Control", "CDN-Cache-Control"]}))]).await;
    let (cdn, wall, all) = ("cdn-cache-control", "x-wall-control", "cache-control");
    for (rule, fields, lifetime) in [
        ("cdn", &[(cdn, "max-age=300")][..], Some(300)),
        ("cdn", &[(cdn, "max-age=300"), (all, "max-age=20")], Some(300)),
        ("cdn", &[(cdn, "max-age=20"), (all, "max-age=300")], Some(20)),
        ("cdn", &[(cdn, "max-age=300"), (all, "no-store")], Some(300)),
        ("cdn", &[(cdn, "no-store"), (all, "max-age=300")], None),
        ("cdn", &[(cdn, "private"), (all, "max-age=300")], None),
        ("cdn", &[(cdn, "max-age=0"), (all, "max-age=300")], None),
        ("cdn", &[(cdn, "max-age=300"), ("age", "100")], Some(200)),
        // Not valid, so not there.
        ("cdn", &[(cdn, "max-age=300, &"), (all, "max-age=20")], Some(20)),
        ("cdn", &[(cdn, "max-age=\"300\""), (all, "max-age=20")], Some(20)),
        ("cdn", &[(cdn, "Max-Age=300"), (all, "max-age=20")], Some(20)),
        ("cdn", &[(wall, "max-age=300"), (all, "max-age=20")], Some(20)),
        // The first before the second.
        ("own", &[(wall, "max-age=300"), (cdn, "max-age=100"), (all, "max-age=20")], Some(300)),
        ("own", &[(wall, "&"), (cdn, "max-age=100"), (all, "max-age=20")], Some(100)),
        ("own", &[(wall, "no-store"), (cdn, "max-age=100")], None),
    ] {
        let path = with(rule, 200, fields);
        get(&envoy, &path).await;
        let answer = get(&envoy, &path).await;
        let told = answer.told();
        assert_eq!(told.hit, lifetime.is_some(), "{path}: {told:?}");
        let expected = lifetime.map(|lifetime: i64| lifetime - 10..=lifetime);
        assert!(
            expected.is_none_or(|expected| told.ttl.is_some_and(|ttl| expected.contains(&ttl))),
            "{path}: {told:?}"
        );
        // They are for other caches too, and pass on.
        for (name, value) in fields.iter().filter(|(name, _)| *name != "age") {
            assert_eq!(answer.header(name), *value, "{path}");
        }
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_stale_has_been_stale_since_its_lifetime_ended() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| match seen.earlier {
        0 => as_asked(seen),
        _ => Reply::with(500, "no"),
    })
    .await;
    let envoy = wall(&origin, &[]).await;
    // 40 seconds past its lifetime.
    let path = |said: &str| with("any", 200, &[("cache-control", said), ("age", "100"), ("etag", "\"1\"")]);
    for (said, wish, status, hit) in [
        ("max-age=60", "max-stale=100", 200, true),
        // The upstream is asked, and the stale copy stands in for its failure.
        ("max-age=60", "max-stale=10", 200, false),
        ("max-age=60, stale-if-error=100", "", 200, false),
        ("max-age=60, stale-if-error=10", "", 500, false),
    ] {
        let path = path(&format!("{said}, x={wish}"));
        get(&envoy, &path).await;
        let answer = send(envoy.address(), &Request::get(&path).header("cache-control", wish)).await;
        let told = answer.told();
        assert_eq!((answer.status, told.hit), (status, hit), "{said}; {wish}: {told:?}");
        assert!(told.ttl.is_none_or(|ttl| (-60..=-40).contains(&ttl)), "{said}; {wish}: {told:?}");
    }
}
