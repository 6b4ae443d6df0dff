//! The plugin itself, as Envoy's HTTP root makes it, under the judge's eyes.

use crate::judge::Reach;
use crate::run::run_seeds;
use crate::scenario::Terms;
use breakwater::config;
use breakwater::filter::{self, Worker};
use breakwater::host::Role;
use breakwater::host::sim::SimHost;
use std::rc::Rc;

#[test]
fn the_wall_holds() {
    run_seeds(1_000, worker, Reach::Envoy);
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
    };
    let ms = |duration: std::time::Duration| format!("{}ms", duration.as_millis());
    let object = terms.max_object_bytes / 1024;
    let l2 = serde_json::json!({
        "cluster": "breakwater_l2",
        "timeout": ms(terms.redis_timeout),
        "max_object_bytes": format!("{object}KiB"),
    });
    let mut written = serde_json::json!({
        "l1": {
            "ttl": ms(terms.l1_ttl),
            "max_bytes": format!("{}KiB", terms.l1_max_bytes / 1024),
            "max_object_bytes": format!("{object}KiB"),
        },
        "defaults": {
            "cache": {"stale_if_error": ms(terms.stale_if_error)},
            "coalesce": {
                "scope": scope,
                "wait_timeout": ms(terms.wait_timeout),
                "lease": ms(terms.lease),
                "max_waiters": terms.max_waiters,
            },
            "breaker": {"enabled": terms.breaker, "open_for": "500ms", "max_open_for": "4s"},
        },
    });
    if terms.l2 {
        written["l2"] = l2;
    }
    written.to_string()
}
