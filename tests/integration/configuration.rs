//! A wrong configuration never serves: Envoy refuses it, and its log says all that is wrong.

use crate::support::recipe::Recipe;
use crate::support::turn;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_configuration_is_refused_with_all_its_mistakes_each_with_its_path() {
    let _turn = turn::shared().await;
    let log = Recipe::minimal()
        .plugin_exactly(json!({
            "l1": {"ttl": "soon", "max_bytes": "1KiB", "maxBytes": "64MiB"},
            "l2": {"cluster": "breakwater_l2", "timeout": 50},
            "refresh": {"cluster": ""},
            "admin": {"path": ".breakwater"},
            "defaults": {
                "cache": {
                    "stale_if_error": "-1h", "stale_while_revalidate": 5, "statuses": {"206": "1s", "404": "soon"},
                    "early_refresh": 11, "request_directives": "obey", "etag": true, "tags": "Cache-Tag",
                    "max_variants": 0, "key": {"body": {"methods": ["GET"]}},
                },
                "coalesce": {"scope": "globe", "max_waiters": 0},
                "breaker": {"failure_rate": 1.5},
            },
            "rules": [
                {"name": "a", "match": {"path": {"prefix": "/a", "exact": "/b"}}},
                {"match": {"methods": ["GET\n"]}},
            ],
            "typo": true,
        }))
        .refused()
        .await;
    let problems: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once("configuration refused: "))
        .map(|(_, told)| told)
        .collect();
    for path in [
        "l1.ttl",
        "l1.max_bytes",
        "l1.maxBytes",
        "l2.timeout",
        "refresh.cluster",
        "admin.path",
        "defaults.cache.stale_if_error",
        "defaults.cache.stale_while_revalidate",
        "defaults.cache.statuses.206",
        "defaults.cache.statuses.404",
        "defaults.cache.early_refresh",
        "defaults.cache.request_directives",
        "defaults.cache.etag",
        "defaults.cache.tags",
        "defaults.cache.max_variants",
        "defaults.cache.key.body.methods[0]",
        "defaults.coalesce.scope",
        "defaults.coalesce.max_waiters",
        "defaults.breaker.failure_rate",
        "rules[0].match.path",
        "rules[1].name",
        "rules[1].match.methods[0]",
        "typo",
    ] {
        let told = problems.iter().find(|problem| problem.starts_with(&format!("{path}: ")));
        let told = told.unwrap_or_else(|| panic!("nothing is said of {path}:\n{}", problems.join("\n")));
        assert!(told.contains(": found ") && told.contains("; allowed: "), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_caching_is_taken_in_the_form_in_which_envoy_passes_it_on() {
    let _turn = turn::shared().await;
    let cache = json!({
        "default_ttl": "1s", "override_ttl": "2s", "max_ttl": "3s", "statuses": {"404": "10s", "503": "0s"},
        "heuristic_percent": 20, "stale_while_revalidate": "5s", "stale_if_error": "6s", "set_cookie": "store",
        "early_refresh": 0.5, "request_directives": "honor", "etag": false, "targeted": ["Edge-Control"],
        "tags": ["X-Tags"], "max_variants": 2, "tell_key": true,
        "key": {"body": {"methods": ["QUERY", "POST"], "max_bytes": "1MiB"}},
    });
    let envoy = Recipe::minimal()
        .plugin_exactly(json!({
            "refresh": {"cluster": "breakwater_loop"},
            "defaults": {"cache": cache},
            "rules": [{"name": "a", "cache": cache}],
        }))
        .start()
        .await;
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_an_object_is_refused() {
    let _turn = turn::shared().await;
    let log = Recipe::minimal()
        .edit(|config| {
            let filters = config
                .pointer_mut(
                    "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0",
                )
                .expect("the plugin's filter");
            filters["typed_config"]["config"]["configuration"] = json!({
                "@type": "type.googleapis.com/google.protobuf.StringValue", "value": "[not JSON",
            });
        })
        .refused()
        .await;
    assert!(log.contains("configuration refused: "), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bridge_refuses_what_it_does_not_know() {
    let _turn = turn::shared().await;
    let log = Recipe::shipped()
        .edit(|config| {
            let listeners = config["static_resources"]["listeners"].as_array_mut().expect("listeners");
            let bridge = listeners
                .iter_mut()
                .find(|l| l["name"] == "breakwater_redis")
                .expect("the bridge's listener");
            bridge["filter_chains"][0]["filters"][0]["typed_config"]["config"]["configuration"] = json!({
                "@type": "type.googleapis.com/google.protobuf.Struct", "value": {"max_reply": "1MiB"},
            });
        })
        .refused()
        .await;
    assert!(log.contains("configuration refused: max_reply: found an unknown field"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_root_id_is_refused_with_those_there_are() {
    let _turn = turn::shared().await;
    let log = Recipe::minimal()
        .edit(|config| {
            let filter = config
                .pointer_mut(
                    "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0",
                )
                .expect("the plugin's filter");
            filter["typed_config"]["config"]["root_id"] = "breakwatr".into();
        })
        .refused()
        .await;
    assert!(log.contains("root_id: found \"breakwatr\"; allowed: breakwater"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_configuration_at_all_means_the_defaults() {
    let _turn = turn::shared().await;
    let envoy = Recipe::minimal()
        .edit(|config| {
            let filter = config
                .pointer_mut(
                    "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0",
                )
                .expect("the plugin's filter");
            filter["typed_config"]["config"].as_object_mut().expect("an object").remove("configuration");
        })
        .start()
        .await;
    assert_eq!(envoy.vm_failures().await, 0);
}
