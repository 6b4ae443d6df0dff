//! Which requests get which policy: the rules, their names, and what they match.

use crate::config::cursor::Cursor;
use crate::config::errors::quoted;
use crate::config::kinds::number;
use crate::config::plan::{Match, PathMatch, Rule};
use crate::config::policy::Policy;
use crate::config::{forms, limits};
use std::time::Duration;

/// Reads the rules of the whole configuration, on top of `defaults`.
pub(super) fn rules(at: &mut Cursor<'_>, defaults: &Policy, l2_timeout: Option<Duration>) -> Vec<Rule> {
    let rules = at.each("rules", limits::RULES, |at| rule(at, defaults, l2_timeout));
    for (nth, (index, rule)) in rules.iter().enumerate() {
        let mut earlier = rules.iter().take(nth);
        if let Some((first, _)) = earlier.find(|(_, other)| !rule.name.is_empty() && other.name == rule.name)
        {
            let path = format!("rules[{index}].name");
            let allowed = format!("a name of its own, since rules[{first}] has this one");
            at.report(&path, &quoted(&rule.name), &allowed, "rename one of the two");
        }
    }
    rules.into_iter().map(|(_, rule)| rule).collect()
}

/// What holds where no rule matches.
pub(super) fn default_rule(policy: Policy) -> Rule {
    named(forms::RESERVED.into(), Match::default(), policy)
}

fn rule(at: &mut Cursor<'_>, defaults: &Policy, l2_timeout: Option<Duration>) -> Rule {
    at.elsewhere(&[("hosts", "match.hosts"), ("path", "match.path"), ("methods", "match.methods")]);
    let name = at.required("name", &forms::RULE_NAME).unwrap_or_default();
    let matches = at.section("match", matches);
    let rule = named(name, matches, Policy::read(at, defaults, l2_timeout));
    at.later("rollout", "100", |value| number(value) == Some(100.0));
    rule
}

fn named(name: String, matches: Match, policy: Policy) -> Rule {
    let Policy { cache, coalesce, breaker } = policy;
    Rule { name, matches, cache, coalesce, breaker }
}

fn matches(at: &mut Cursor<'_>) -> Match {
    at.elsewhere(&[("prefix", "path.prefix"), ("exact", "path.exact"), ("template", "path.template")]);
    Match {
        hosts: at.list("hosts", &forms::HOST).unwrap_or_default(),
        path: at.section_if_written("path", path).unwrap_or_default(),
        methods: at.list("methods", &forms::METHOD).unwrap_or_default(),
    }
}

fn path(at: &mut Cursor<'_>) -> PathMatch {
    let exact = at.field("exact", &forms::EXACT);
    let prefix = at.field("prefix", &forms::PREFIX);
    let template = at.field("template", &forms::TEMPLATE);
    at.exactly_one(
        &["exact", "prefix", "template"],
        "keep one",
        "name one, or leave path out for every path",
    );
    exact.or(prefix).or(template).unwrap_or_default()
}
