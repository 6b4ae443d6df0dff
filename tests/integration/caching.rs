//! What is answered from the store and what is not, as a client sees it; the rules are RFC 9111's.

use crate::support::client::{Request, send};
use crate::support::envoy::Envoy;
use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::turn;
use serde_json::json;

async fn minimal(origin: &Origin) -> Envoy {
    Recipe::minimal().origin(origin.address()).start().await
}

/// Answers with its own number, so that two fetches are told apart.
async fn numbered(cache_control: &'static str) -> Origin {
    Origin::start(move |seen| {
        Reply::ok(format!("fetch {}", seen.earlier)).header("cache-control", cache_control)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn age_and_cache_status_say_how_each_answer_came_about() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| {
        Reply::ok("page")
            .header("cache-control", "max-age=100")
            .header("age", "40")
            .header("cache-status", "\"far away\"; hit")
            .header("etag", "\"1\"")
    })
    .await;
    let envoy = minimal(&origin).await;
    let get = Request::get("/");

    let miss = send(envoy.address(), &get).await;
    assert_eq!(miss.header("cache-status"), "\"far away\"; hit, breakwater; fwd=uri-miss; stored");
    assert_eq!(miss.header("age"), "40");

    let hit = send(envoy.address(), &get).await;
    let age: u64 = hit.header("age").parse().unwrap();
    assert!((40..50).contains(&age), "{age}");
    let ttl = hit.header("cache-status");
    let ttl = ttl
        .strip_prefix("\"far away\"; hit, breakwater; hit; ttl=")
        .unwrap()
        .strip_suffix("; detail=l1")
        .unwrap();
    // Lifetime is what age has left of it, give or take the second in which both were rounded.
    let ttl: u64 = ttl.parse().unwrap();
    assert!((99..=100).contains(&(age + ttl)), "age {age}, ttl {ttl}");
    assert_eq!(
        (hit.text().as_str(), hit.header("etag").as_str(), hit.header("content-length").as_str()),
        ("page", "\"1\"", "4")
    );
    assert_eq!(origin.total(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_kept_is_fetched_each_time_and_the_answer_says_why() {
    let _turn = turn::shared().await;
    let cases: [(&str, &str, &str); 12] = [
        ("cache-control", "no-store", "no-store"),
        ("cache-control", "private, max-age=60", "private"),
        ("cache-control", "no-cache, max-age=60", "no-cache"),
        ("cache-control", "max-age=0", "expired"),
        ("cache-control", "s-maxage=0, max-age=60", "expired"),
        ("expires", "0", "expired"),
        ("expires", "Thu, 01 Jan 1970 00:00:00 GMT", "expired"),
        ("vary", "*", "vary-star"),
        ("set-cookie", "a=b", "set-cookie"),
        ("x-nothing", "said", "no-lifetime"),
        ("age", "60", "expired"),
        ("content-range", "bytes 0-1/9", "range"),
    ];
    let origin = Origin::start(move |seen| {
        let (name, value, _) = cases[seen.path()[1..].parse::<usize>().unwrap()];
        let reply = match name {
            "content-range" => Reply::with(206, format!("fetch {}", seen.earlier)),
            _ => Reply::ok(format!("fetch {}", seen.earlier)),
        };
        let reply = reply.header(name, value);
        match name {
            "vary" | "set-cookie" | "age" | "content-range" => reply.header("cache-control", "max-age=60"),
            _ => reply,
        }
    })
    .await;
    let envoy = minimal(&origin).await;
    for (number, (name, value, reason)) in cases.iter().enumerate() {
        for round in 0..2 {
            let answer = send(envoy.address(), &Request::get(format!("/{number}"))).await;
            assert_eq!(answer.text(), format!("fetch {round}"), "{name}: {value}");
            let status = answer.header("cache-status");
            assert!(status.starts_with("breakwater; fwd="), "{name}: {value}: {status}");
            assert!(!status.contains("stored"), "{name}: {value}: {status}");
            assert!(status.ends_with(&format!("; detail={reason}")), "{name}: {value}: {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_default_lifetime_serves_answers_that_state_none() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| Reply::with(seen.path()[1..].parse().unwrap(), "x")).await;
    let envoy = Recipe::minimal()
        .origin(origin.address())
        .plugin(&json!({"defaults": {"cache": {"default_ttl": "1m"}}}))
        .start()
        .await;
    for (path, fetches) in [("/200", 1), ("/404", 1), ("/301", 1), ("/201", 2), ("/302", 2), ("/400", 2)] {
        for _ in 0..2 {
            send(envoy.address(), &Request::get(path)).await;
        }
        assert_eq!(origin.hits(path), fetches, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_request_is_answered_from_a_stored_get() {
    let _turn = turn::shared().await;
    let origin = numbered("max-age=60").await;
    let envoy = minimal(&origin).await;
    // A HEAD that finds nothing goes to the upstream and leaves nothing behind.
    let cold = send(envoy.address(), &Request::new("HEAD", "/")).await;
    assert_eq!((cold.status, cold.body.len()), (200, 0));
    assert_eq!(send(envoy.address(), &Request::get("/")).await.text(), "fetch 1");
    let head = send(envoy.address(), &Request::new("HEAD", "/")).await;
    assert_eq!((head.status, head.body.len(), head.header("content-length").as_str()), (200, 0, "7"));
    assert!(head.header("cache-status").starts_with("breakwater; hit; "), "{:?}", head.head);
    assert_eq!(origin.total(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_authorized_requests_are_shared_only_with_permission() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let reply = Reply::ok(seen.head.combined("authorization"));
        match seen.path() {
            "/public" => reply.header("cache-control", "public, max-age=60"),
            "/s-maxage" => reply.header("cache-control", "s-maxage=60"),
            "/must-revalidate" => reply.header("cache-control", "max-age=60, must-revalidate"),
            _ => reply.header("cache-control", "max-age=60"),
        }
    })
    .await;
    let envoy = minimal(&origin).await;
    let ask = |path: &str, who: &str| Request::get(path).header("authorization", who);
    for (path, shared) in
        [("/plain", false), ("/public", true), ("/s-maxage", true), ("/must-revalidate", true)]
    {
        assert_eq!(send(envoy.address(), &ask(path, "anna")).await.text(), "anna");
        let second = send(envoy.address(), &ask(path, "ben")).await;
        assert_eq!(
            (second.text().as_str(), origin.hits(path)),
            if shared { ("anna", 1) } else { ("ben", 2) },
            "{path}"
        );
    }
    let plain = send(envoy.address(), &ask("/plain", "ben")).await.header("cache-status");
    assert!(plain.ends_with("; detail=authorization"), "{plain}");
    // What was stored for everybody is not therefore for the authorized.
    send(envoy.address(), &Request::get("/open")).await;
    assert_eq!(send(envoy.address(), &ask("/open", "anna")).await.text(), "anna");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_with_identity_keeps_each_caller_s_answers_apart() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let whose = seen.head.combined("authorization").replace("Secret ", "For ");
        Reply::ok(format!("{whose} {}", seen.earlier)).header("cache-control", "private, max-age=60")
    })
    .await;
    let redis = Redis::start().await;
    // The shipped configuration has such a rule for /api/chat/.
    let recipe = Recipe::shipped().origin(origin.address()).patient_redis(redis.address());
    let (first, second) = (recipe.clone().start().await, recipe.start().await);
    let history =
        |who: &str| Request::get("/api/chat/history").header("authorization", format!("Secret {who}"));
    let callers = ["anna", "ben", "anna; x"];
    for (n, who) in callers.into_iter().enumerate() {
        assert_eq!(send(first.address(), &history(who)).await.text(), format!("For {who} {n}"));
        eventually("it is stored", async || redis.keys().await.len() == 2 * (n + 1)).await;
    }
    for (n, who) in callers.into_iter().enumerate() {
        for envoy in [&first, &second] {
            let answer = send(envoy.address(), &history(who)).await;
            assert_eq!(answer.text(), format!("For {who} {n}"));
            assert!(answer.header("cache-status").starts_with("breakwater; hit"), "{:?}", answer.head);
        }
    }
    // Nobody at all is nobody's neighbour: what is private to nobody in particular is not kept.
    let nobody =
        [Request::get("/api/chat/history"), Request::get("/api/chat/history").header("authorization", "")];
    for (n, request) in nobody.iter().cycle().take(4).enumerate() {
        assert_eq!(send(first.address(), request).await.text(), format!(" {}", 3 + n));
    }
    assert_eq!(origin.total(), 7);
    // No credential is ever written down in Redis.
    for key in redis.keys().await {
        let value = redis.command(&["GET", &key]).await;
        assert!(value.contains("For ") && !value.contains("Secret"), "{value}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_serves_only_requests_that_agree_in_the_fields_it_varies_by() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        Reply::ok(seen.head.combined("accept-language"))
            .header("cache-control", "max-age=60")
            .header("vary", "Accept-Language")
    })
    .await;
    let envoy = minimal(&origin).await;
    let ask = |language: &str| Request::get("/").header("accept-language", language);
    assert_eq!(send(envoy.address(), &ask("de")).await.text(), "de");
    let again = send(envoy.address(), &ask("DE")).await;
    assert_eq!((again.text().as_str(), origin.total()), ("de", 1));
    let other = send(envoy.address(), &ask("en")).await;
    assert_eq!(other.text(), "en");
    assert!(other.header("cache-status").starts_with("breakwater; fwd=vary-miss"), "{:?}", other.head);
    assert_eq!(send(envoy.address(), &Request::get("/")).await.text(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_if_cached_never_reaches_the_upstream() {
    let _turn = turn::shared().await;
    let origin = numbered("max-age=60").await;
    let envoy = minimal(&origin).await;
    let ask = Request::get("/").header("cache-control", "only-if-cached");
    let cold = send(envoy.address(), &ask).await;
    assert_eq!((cold.status, origin.total()), (504, 0));
    assert!(cold.header("cache-status").ends_with("; detail=only-if-cached"), "{:?}", cold.head);
    send(envoy.address(), &Request::get("/")).await;
    let warm = send(envoy.address(), &ask).await;
    assert_eq!((warm.status, warm.text().as_str(), origin.total()), (200, "fetch 0", 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_store_in_a_request_passes_by_and_leaves_what_is_stored() {
    let _turn = turn::shared().await;
    let origin = numbered("max-age=60").await;
    let envoy = minimal(&origin).await;
    let ask = Request::get("/").header("cache-control", "no-store");
    assert_eq!(send(envoy.address(), &ask).await.text(), "fetch 0");
    assert_eq!(send(envoy.address(), &Request::get("/")).await.text(), "fetch 1", "nothing was stored");
    let passed = send(envoy.address(), &ask).await;
    assert_eq!(passed.text(), "fetch 2");
    assert_eq!(passed.header("cache-status"), "breakwater; fwd=request; detail=request-no-store");
    assert_eq!(send(envoy.address(), &Request::get("/")).await.text(), "fetch 1", "and nothing was replaced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_s_condition_brings_a_whole_answer_that_all_can_use() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        if seen.head.field("if-none-match").is_some() || seen.head.field("if-modified-since").is_some() {
            return Reply::with(304, "").verbatim();
        }
        Reply::ok("page").header("cache-control", "max-age=60").header("etag", "\"1\"")
    })
    .await;
    let envoy = minimal(&origin).await;
    let conditional = Request::get("/").header("if-none-match", "\"1\"");
    // Cold: a 304 would leave nothing for those who wait.
    for _ in 0..2 {
        let answer = send(envoy.address(), &conditional).await;
        let told = answer.status == 304 && answer.header("etag") == "\"1\"";
        assert!(told || (answer.status == 200 && answer.text() == "page"), "{:?}", answer.head);
    }
    assert_eq!(send(envoy.address(), &Request::get("/")).await.text(), "page");
    assert_eq!(origin.total(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_is_what_the_rule_says() {
    let _turn = turn::shared().await;
    let origin = numbered("max-age=60").await;
    let key = json!({"defaults": {"cache": {"key": {
        "query": {"ignore": ["utm_*"]}, "headers": ["x-tenant"], "cookies": ["theme"],
    }}}});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&key).start().await;
    let base = Request::get("/?b=2&a=1");
    send(envoy.address(), &base).await;
    let same = [
        Request::get("/?a=1&b=2"),
        Request::get("/?a=1&utm_source=x&b=2"),
        base.clone().header("x-other", "1"),
        base.clone().header("cookie", "session=1"),
        base.clone().header("user-agent", "me"),
    ];
    for request in same {
        assert_eq!(send(envoy.address(), &request).await.text(), "fetch 0", "{request:?}");
    }
    assert_eq!(origin.total(), 1);
    let different = [
        Request::get("/?a=1&b=3"),
        Request::get("/?a=1"),
        base.clone().header("x-tenant", "t"),
        base.clone().header("cookie", "session=1; theme=dark"),
        base.clone().host("other.test"),
    ];
    for (n, request) in different.into_iter().enumerate() {
        send(envoy.address(), &request).await;
        assert_eq!(origin.total(), 2 + n, "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_answers_get_alone_and_as_fresh_as_it_is_wanted() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let reply = match seen.method() {
            "HEAD" => Reply::ok("0123456789").header("x-asked", "head"),
            _ => Reply::with(206, "0123").header("content-range", "bytes 0-3/10"),
        };
        reply.header("cache-control", "max-age=60").header("etag", "\"one\"")
    })
    .await;
    let honours = json!({"defaults": {"cache": {"request_directives": "honor"}}});
    let envoy = Recipe::minimal().plugin(&honours).origin(origin.address()).start().await;
    let part = |method: &str| Request::new(method, "/part").header("range", "bytes=1-2");
    assert_eq!(send(envoy.address(), &Request::get("/part").header("range", "bytes=0-3")).await.status, 206);
    assert_eq!(send(envoy.address(), &part("GET")).await.text(), "12");
    assert_eq!(origin.total(), 1);
    let anew = part("GET").header("cache-control", "no-cache");
    assert_eq!(send(envoy.address(), &anew).await.text(), "0123", "what the upstream sends now");
    let answer = send(envoy.address(), &part("HEAD")).await;
    assert_eq!((answer.status, answer.header("x-asked").as_str()), (200, "head"));
}
