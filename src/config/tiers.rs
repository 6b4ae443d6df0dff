//! The outermost object: the namespace, the tiers, the way to refresh, what a worker may hold, and then policy and rules.

use crate::config::cursor::Cursor;
use crate::config::kinds::{CountIn, DurationIn, SizeIn, Written};
use crate::config::plan::{L1, L2, Plan};
use crate::config::policy::Policy;
use crate::config::{defaults, forms, limits, rules};

/// Reads the whole configuration of the HTTP root.
pub(super) fn plan(at: &mut Cursor<'_>) -> Plan {
    at.elsewhere(&[
        ("cache", "defaults.cache"),
        ("coalesce", "defaults.coalesce"),
        ("breaker", "defaults.breaker"),
    ]);
    at.later("mode", "\"enforce\"", |value| value == "enforce");
    let namespace = at.field("namespace", &forms::NAMESPACE).unwrap_or_else(|| defaults::NAMESPACE.into());
    let l1 = at.section("l1", l1);
    let l2 = redis_tiers(at);
    let refresh = at.section("refresh", |at| at.field("cluster", &forms::CLUSTER));
    let admin_path = at.section("admin", |at| at.field("path", &forms::ADMIN_PATH));
    let all_waiters = CountIn(limits::ALL_WAITERS);
    let max_waiters = at.field_or("max_waiters", defaults::ALL_WAITERS, &all_waiters);
    let l2_timeout = l2.as_ref().map(|l2| l2.timeout);
    let policy = at.section("defaults", |at| Policy::read(at, &Policy::shipped(), l2_timeout));
    let rules = rules::rules(at, &policy, l2_timeout);
    Plan {
        namespace,
        l1,
        l2,
        refresh,
        admin_path,
        max_waiters,
        rules,
        default_rule: rules::default_rule(policy),
    }
}

fn l1(at: &mut Cursor<'_>) -> L1 {
    let object = SizeIn(limits::OBJECT_BYTES);
    let l1 = L1 {
        ttl: at.field_or("ttl", defaults::L1_TTL, &DurationIn(limits::L1_TTL)),
        max_bytes: at.field_or("max_bytes", defaults::L1_MAX_BYTES, &SizeIn(limits::L1_MAX_BYTES)),
        max_object_bytes: at.field_or("max_object_bytes", defaults::L1_MAX_OBJECT_BYTES, &object),
    };
    at.at_most(&object, ("max_object_bytes", &l1.max_object_bytes), ("max_bytes", &l1.max_bytes));
    l1
}

/// Both tiers behind the bridge; none without a cluster that leads there.
fn redis_tiers(at: &mut Cursor<'_>) -> Option<L2> {
    let (cluster, mut l2, cluster_written) = at.section("l2", |at| {
        let cluster = at.field("cluster", &forms::CLUSTER);
        let l2 = L2 {
            cluster: String::new(),
            ttl: at.field_or("ttl", defaults::L2_TTL, &DurationIn(limits::L2_TTL)),
            timeout: at.field_or("timeout", defaults::L2_TIMEOUT, &DurationIn(limits::L2_TIMEOUT)),
            max_object_bytes: at.field_or(
                "max_object_bytes",
                defaults::L2_MAX_OBJECT_BYTES,
                &SizeIn(limits::OBJECT_BYTES),
            ),
            l3_ttl: defaults::L3_TTL,
        };
        at.later_at_all("encryption");
        let cluster_written = at.wrote("cluster");
        if !cluster_written && ["ttl", "timeout", "max_object_bytes"].iter().any(|name| at.wrote(name)) {
            at.report("cluster", "nothing", NEEDED, "name it, or leave l2 out to do without Redis");
        }
        (cluster, l2, cluster_written)
    });
    let l2_ttl_is_known = !at.is_wrong("l2.ttl");
    let l3_in = DurationIn(limits::L3_TTL);
    let l3_ttl = at.section("l3", |at| {
        let ttl = at.field("ttl", &l3_in);
        let ttl_written = at.wrote("ttl");
        if ttl_written && !cluster_written {
            at.report(
                "ttl",
                "a tier without the way to Redis",
                NEEDED_BY_L3,
                "name l2.cluster, or leave l3 out",
            );
        } else if let Some(ttl) = ttl.filter(|ttl| l2_ttl_is_known && *ttl < l2.ttl) {
            let allowed =
                format!("at least l2.ttl, which is {}, since L2 is asked first", l3_in.written(&l2.ttl));
            at.report("ttl", &l3_in.written(&ttl), &allowed, "raise it, or lower l2.ttl");
        }
        ttl
    });
    // An operator who lengthens L2 alone does not mean L3 to end before it.
    l2.l3_ttl = l3_ttl.unwrap_or(defaults::L3_TTL.max(l2.ttl));
    l2.cluster = cluster?;
    Some(l2)
}

const NEEDED: &str = "the name of the Envoy cluster that leads to Redis, since without it there is no L2";
const NEEDED_BY_L3: &str = "l3 beside l2.cluster, the Envoy cluster that leads to Redis";
