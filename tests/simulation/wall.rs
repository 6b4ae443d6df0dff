//! The plugin itself, as Envoy's HTTP root makes it, under the judge's eyes.

use crate::judge::Reach;
use crate::run::{asked, run, run_seeds};
use crate::scenario::{Scenario, Terms};
use breakwater::config;
use breakwater::filter::{self, Worker};
use breakwater::host::Role;
use breakwater::host::sim::SimHost;
use std::collections::BTreeMap;
use std::rc::Rc;

#[test]
fn the_wall_holds() {
    run_seeds(asked("BREAKWATER_SEEDS").unwrap_or(5_000), worker, |_| Reach::Fleet);
}

/// What nobody tries, no seed can find wrong.
#[test]
fn the_seeds_try_everything() {
    let mut sums = BTreeMap::new();
    for seed in 0..600 {
        let world = run(seed, worker, |_| Reach::Fleet, false).expect("a seed that holds");
        assert_eq!(world.late_actions(), 0, "seed {seed}: who is gone is not answered");
        for (name, value) in (0..4).flat_map(|envoy| world.metrics(envoy)) {
            // A worker that dies takes with it what it would have said of those who wait.
            let waits = name == "breakwater.waiters" && value != 0;
            assert!(!waits || !Scenario::of(seed).is_calm(), "seed {seed}: {value} wait when all is over");
            *sums.entry(name).or_insert(0) += value;
        }
    }
    let answered =
        ["hit-l1", "hit-l2", "hit-l3", "collapsed", "stale", "revalidated", "miss", "pass", "refused"];
    let reasons = [
        "method",
        "request-no-store",
        "no-store",
        "private",
        "set-cookie",
        "authorization",
        "vary-star",
        "too-large",
        "too-many-waiters",
        "upstream-failed",
        "breaker-open",
        "shed",
    ];
    let occurrences = [
        "flights.led",
        "flights.lost",
        "leases.taken",
        "leases.awaited",
        "leases.lost",
        "l1.stored",
        "l1.evicted",
        "l2.failed",
        "l2.corrupt",
        "l2.down",
        "l2.up",
        "breaker.opened",
        "breaker.closed",
        "breaker.probed",
        "breaker.spared",
        "breaker.hinted",
        "invalidated",
        "refreshes.begun",
        "refreshes.failed",
        "refetches",
        "releases.delayed",
    ];
    let names = answered.map(|word| format!("breakwater.requests.{word}.rule.default")).into_iter();
    let names = names.chain(reasons.map(|word| format!("breakwater.reasons.{word}.rule.default")));
    let names = names.chain(occurrences.map(|word| format!("breakwater.{word}")));
    let untried: Vec<_> = names.filter(|name| sums.get(name).is_none_or(|sum| *sum == 0)).collect();
    assert!(untried.is_empty(), "{untried:#?} of {sums:#?}");
}

/// One worker, configured as an operator would write it.
pub fn worker(host: SimHost, _: usize, _: usize, terms: &Terms) -> Box<dyn Role> {
    let plan =
        Rc::new(config::parse(configuration(terms).as_bytes()).expect("a configuration within its limits"));
    filter::prepare(&host, &plan);
    Box::new(Worker::new(host, plan))
}

fn configuration(terms: &Terms) -> String {
    let scope = match terms.scope {
        Reach::Nowhere => "off",
        Reach::Worker => "worker",
        Reach::Envoy => "instance",
        Reach::Workers | Reach::Fleet => "fleet",
    };
    let ms = |duration: std::time::Duration| format!("{}ms", duration.as_millis());
    let object = terms.max_object_bytes / 1024;
    let l2 = serde_json::json!({
        "cluster": "breakwater_l2",
        "ttl": ms(terms.l2_ttl),
        "timeout": ms(terms.redis_timeout),
        "max_object_bytes": format!("{object}KiB"),
    });
    let mut written = serde_json::json!({
        "l1": {
            "ttl": ms(terms.l1_ttl),
            "max_bytes": format!("{}KiB", terms.l1_max_bytes / 1024),
            "max_object_bytes": format!("{object}KiB"),
        },
        "max_waiters": terms.all_waiters,
        "defaults": {
            "cache": {
                "stale_if_error": ms(terms.stale_if_error),
                "stale_while_revalidate": ms(terms.stale_while_revalidate),
                "early_refresh": terms.early_refresh,
            },
            "coalesce": {
                "scope": scope,
                "wait_timeout": ms(terms.wait_timeout),
                "lease": ms(terms.lease),
                "max_waiters": terms.max_waiters,
                "detach": terms.detach,
                "overflow": if terms.refuses { "refuse" } else { "upstream" },
            },
            "breaker": {
                "enabled": terms.breaker,
                "mode": if terms.sheds { "gradual" } else { "hard" },
                "state": if terms.opens || terms.sheds { "auto" } else { "observe" },
                "window": "2s",
                "min_requests": 10,
                "open_for": "500ms",
                "max_open_for": "4s",
                "fleet_hint": terms.fleet_hint,
            },
        },
    });
    if let Some(slow_call) = terms.slow_call {
        written["defaults"]["breaker"]["slow_call"] = ms(slow_call).into();
    }
    if let Some(parallel) = terms.parallel {
        written["defaults"]["coalesce"]["release"] = serde_json::json!({"parallel": parallel});
    }
    if terms.l2 {
        written["l2"] = l2;
    }
    if terms.refreshes {
        written["refresh"] = serde_json::json!({"cluster": "breakwater_loop"});
    }
    written.to_string()
}
