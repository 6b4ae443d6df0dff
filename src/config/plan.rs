//! The validated configuration: what the rest of the house sees.
//!
//! Everything here is possible and within its limits; the raw text it came from is known to `config` alone.

use crate::http::key::KeySpec;
use crate::http::{StatusSet, StoringPolicy};
use std::time::Duration;

/// The whole configuration of the HTTP root.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Prefix of all Redis keys.
    pub namespace: String,
    /// The tier in shared data.
    pub l1: L1,
    /// The tiers in Redis; `None`: neither L2 nor L3.
    pub l2: Option<L2>,
    /// Envoy cluster that leads back into this Envoy, for refreshes in the background; `None`: none are made.
    pub refresh: Option<String>,
    /// Where operators reach the plugin itself, with a slash at both ends; `None`: nowhere.
    pub admin_path: Option<String>,
    /// Waiters of all keys together in one worker.
    pub max_waiters: u32,
    /// The rules in the operator's order; the first match wins.
    pub rules: Vec<Rule>,
    /// What applies where no rule matches; named `default`.
    pub default_rule: Rule,
}

/// The tier in Envoy's shared data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1 {
    /// How long an entry answers before the tiers behind are asked again.
    pub ttl: Duration,
    /// Bound of all entries together, their book-keeping included.
    pub max_bytes: u64,
    /// Largest entry kept.
    pub max_object_bytes: u64,
}

/// The tiers behind the bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L2 {
    /// Envoy cluster whose endpoint is the bridge's internal listener.
    pub cluster: String,
    /// Longest stay in L2.
    pub ttl: Duration,
    /// Longest wait for Redis.
    pub timeout: Duration,
    /// Largest entry written to Redis.
    pub max_object_bytes: u64,
    /// Longest stay in L3.
    pub l3_ttl: Duration,
}

/// What happens to the requests that match.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The operator's name for it: metric label and filter state.
    pub name: String,
    /// Which requests it is for.
    pub matches: Match,
    /// Caching.
    pub cache: Cache,
    /// Coalescing.
    pub coalesce: Coalesce,
    /// Circuit breaking.
    pub breaker: Breaker,
}

/// Which requests a rule is for; an empty list matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Host names without port, lower case; `*.example.com` matches any subdomain.
    pub hosts: Vec<String>,
    /// The path, without query.
    pub path: PathMatch,
    /// Methods, upper case.
    pub methods: Vec<String>,
}

/// How a path is matched; always on raw bytes, before the query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PathMatch {
    /// Every path.
    #[default]
    Any,
    /// This path alone.
    Exact(String),
    /// Every path that begins so.
    Prefix(String),
    /// Segments, each literal or `None` for any one segment (`/users/{id}/history`).
    Template(Vec<Option<String>>),
}

/// Caching under a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// Whether anything is stored or served from the store.
    pub enabled: bool,
    /// What is stored, and for how long.
    pub storing: StoringPolicy,
    /// What tells one stored response from another.
    pub key: KeySpec,
    /// What becomes of a client's wish for a fresher response than is stored.
    pub request_directives: Advice,
    /// XFetch's beta: how eagerly a response is refreshed before its lifetime ends; zero: not at all.
    pub early_refresh: f64,
    /// Stored responses without a validator.
    pub etag: Etag,
    /// Response fields that speak to this cache in place of Cache-Control, in order of precedence; lower case.
    pub targeted: Vec<String>,
    /// Response fields that carry tags; lower case.
    pub tags: Vec<String>,
    /// Responses kept beside each other for one key (Vary).
    pub max_variants: u32,
    /// Whether Cache-Status shows the key.
    pub tell_key: bool,
}

/// What becomes of max-age, min-fresh and no-cache in a request (RFC 9111 §5.2.1 leaves it to the cache).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Advice {
    /// They change nothing: a refresh in a browser does not pierce the wall.
    #[default]
    Ignore,
    /// What is stored answers only if it is as fresh as they say.
    Honor,
}

/// What becomes of a stored response without a validator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Etag {
    /// It stays without.
    #[default]
    Off,
    /// It gets an entity tag made of its digest.
    Generate,
}

/// How far coalescing reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Not at all.
    Off,
    /// Within one worker thread.
    Worker,
    /// Within one Envoy.
    Instance,
    /// Among all Envoys with the same Redis; without one, as [`Self::Instance`].
    Fleet,
}

/// What a request does that finds no place to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// It goes to the upstream.
    Upstream,
    /// It is answered 503.
    Refuse,
}

/// Coalescing under a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coalesce {
    /// How far it reaches.
    pub scope: Scope,
    /// How long a request waits for another's answer before it goes alone.
    pub wait_timeout: Duration,
    /// How long a leader that gives no sign of life is believed in.
    pub lease: Duration,
    /// Waiters per key in one worker.
    pub max_waiters: u32,
    /// What one more does, of the key or of all.
    pub overflow: Overflow,
    /// Whether a fetch is the worker's own, and goes on when its client leaves.
    pub detach: bool,
    /// Those who waited for an answer that is not for them.
    pub release: Release,
}

/// How waiters are let go to the upstream, when the answer is not for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// How many of one worker's are at the upstream at a time; `None`: all at once.
    pub parallel: Option<u32>,
}

/// What is answered when the circuit is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// A stale copy where there is one, else an error.
    Stale,
    /// An error.
    Error,
}

/// What a circuit does to a failing upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It opens, and no request passes.
    Hard,
    /// It sheds a share of the requests.
    Gradual,
}

/// Who decides whether requests pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// The circuit.
    Auto,
    /// Nobody: none passes.
    Open,
    /// Nobody: all pass.
    Closed,
    /// All pass; the circuit only says what it would do.
    Observe,
}

/// The operator's own answer in place of the plugin's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its Content-Type.
    pub content_type: String,
    /// Its body.
    pub body: String,
}

/// Circuit breaking under a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    /// Whether there is a circuit at all.
    pub enabled: bool,
    /// What it does.
    pub mode: Mode,
    /// Who decides.
    pub stance: Stance,
    /// Over which time the failure rate is taken.
    pub window: Duration,
    /// Fewest calls in the window before the rate counts.
    pub min_requests: u32,
    /// Failures in a row that open the circuit.
    pub consecutive_failures: u32,
    /// Share of failures in the window that opens the circuit, above 0 and at most 1.
    pub failure_rate: f64,
    /// Statuses of the upstream that are failures.
    pub failure_statuses: StatusSet,
    /// By how many standard deviations failure rate or latency must leave what is usual, to open the circuit; zero:
    /// nothing is learnt.
    pub outlier_sigma: f64,
    /// A call that takes so long is a failure; `None`: as is learnt.
    pub slow_call: Option<Duration>,
    /// First stay open; doubles with each failed probe.
    pub open_for: Duration,
    /// Longest stay open.
    pub max_open_for: Duration,
    /// Successful probes in a row before a share of the requests passes.
    pub half_open_probes: u32,
    /// What is answered meanwhile.
    pub fallback: Fallback,
    /// What is answered where nothing stale is; `None`: 503.
    pub answer: Option<Answer>,
    /// Whether the Envoys that share a Redis tell each other which circuits are open.
    pub fleet_hint: bool,
}
