//! What holds where the operator writes nothing, and why.

use crate::config::plan::{Advice, Etag, Fallback, Mode, Overflow, Scope, Stance};
use crate::http::storing::SetCookie;
use std::time::Duration;

/// Short enough that nobody takes the prefix for data of their own in `redis-cli`.
pub const NAMESPACE: &str = "bw";

/// Long enough to absorb a wave, short enough that another instance's purge or write is seen at once by people.
pub const L1_TTL: Duration = Duration::from_millis(100);
/// Some thousands of typical API answers; small beside what Envoy itself uses under load.
pub const L1_MAX_BYTES: u64 = 64 << 20;
/// Every read copies the value under a process-wide lock: 256 KiB is tens of microseconds.
pub const L1_MAX_OBJECT_BYTES: u64 = 256 << 10;

/// Long beside a wave, short beside the time people wait for a forgotten purge.
pub const L2_TTL: Duration = Duration::from_secs(5 * 60);
/// Some hundred times a Redis round trip in one zone; a client does not notice it once.
pub const L2_TIMEOUT: Duration = Duration::from_millis(50);
/// Redis is single-threaded: a larger value holds up everybody's commands.
pub const L2_MAX_OBJECT_BYTES: u64 = 1 << 20;
/// As long as [`STALE_IF_ERROR`]: the stale copy must still be there when it is needed.
pub const L3_TTL: Duration = Duration::from_secs(3600);

/// Installing the plugin is the wish to cache; what may be stored is decided by each response.
pub const CACHE_ENABLED: bool = true;
/// A response that states no freshness, and nothing to guess it from, is not given any.
pub const DEFAULT_TTL: Duration = Duration::ZERO;
/// What RFC 9111 §4.2.2 suggests, and most caches do.
pub const HEURISTIC_PERCENT: u32 = 10;
/// Who never said how long an answer may be late does not expect it to be.
pub const STALE_WHILE_REVALIDATE: Duration = Duration::ZERO;
/// A refresh in a browser sends `no-cache`: an impatient crowd must not pierce the wall.
pub const REQUEST_DIRECTIVES: Advice = Advice::Ignore;
/// Refreshing ahead costs the upstream more than it must answer.
pub const EARLY_REFRESH: f64 = 0.0;
/// A response is passed on as it came.
pub const ETAG: Etag = Etag::Off;
/// Long for a query, short for an upload.
pub const KEY_BODY_BYTES: u64 = 64 << 10;
/// The field that RFC 9213 §3 registers for caches like this one.
pub const TARGETED: [&str; 1] = ["cdn-cache-control"];
/// What the large caches read (Cloudflare, Fastly), and RFC 9875.
pub const TAGS: [&str; 3] = ["cache-tag", "surrogate-key", "cache-groups"];
/// A page in some languages, each with and without compression.
pub const MAX_VARIANTS: u32 = 16;
/// Where a key ends up, it may tell what somebody asked for.
pub const TELL_KEY: bool = false;
/// A cookie that is set for one visitor signs the next one in as the first.
pub const SET_COOKIE: SetCookie = SetCookie::Refuse;
/// An hour of outage is survived; longer, and old answers do more harm than an error.
pub const STALE_IF_ERROR: Duration = Duration::from_secs(3600);
/// `?a=1&b=2` and `?b=2&a=1` mean the same to nearly every upstream.
pub const QUERY_SORT: bool = true;

/// One upstream request for all Envoys that share a Redis; without Redis, one per Envoy.
pub const SCOPE: Scope = Scope::Fleet;
/// The usual patience of a client; nginx's `proxy_cache_lock_timeout` is the same.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(5);
/// What is fetched for a client passes to it as it comes.
pub const DETACH: bool = false;
/// Less than half of [`WAIT_TIMEOUT`]: when a leader's Envoy dies, those who wait elsewhere see another one fetch.
pub const LEASE: Duration = Duration::from_secs(2);
/// As many streams as a worker can hold for one key without being the outage itself.
pub const MAX_WAITERS: u32 = 1024;
/// Sixteen times [`MAX_WAITERS`]: however many URLs a wave asks for, a worker holds no more.
pub const ALL_WAITERS: u32 = 16_384;
/// Who installs a cache does not expect it to refuse what the upstream may well bear.
pub const OVERFLOW: Overflow = Overflow::Upstream;

/// A failing upstream is the case the plugin is for.
pub const BREAKER_ENABLED: bool = true;
/// Hystrix's rolling window: long enough for a rate, short enough to forget.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Twice Hystrix's volume threshold, for half its rate: an upstream that usually fails two of a hundred does not reach a
/// quarter of so many by chance.
pub const MIN_REQUESTS: u32 = 40;
/// Envoy's own `consecutive_5xx`: a quiet upstream that is plainly down is noticed without a rate.
pub const CONSECUTIVE_FAILURES: u32 = 5;
/// Half of what Hystrix and resilience4j bear: there, nothing stands in for what is not asked for.
pub const FAILURE_RATE: f64 = 0.25;
/// The circuit opens, rather than to shed.
pub const MODE: Mode = Mode::Hard;
/// The circuit decides.
pub const STANCE: Stance = Stance::Auto;
/// Three standard deviations, in three of four laps.
pub const OUTLIER_SIGMA: f64 = 3.0;
/// Another Envoy's trouble may be its own.
pub const FLEET_HINT: bool = false;
/// Hystrix's sleep window: time for a restart, not for a client to leave.
pub const OPEN_FOR: Duration = Duration::from_secs(5);
/// Envoy's longest ejection time: nobody waits longer than this for a recovered upstream.
pub const MAX_OPEN_FOR: Duration = Duration::from_secs(5 * 60);
/// One success may be luck; three in a row rarely are (APISIX).
pub const HALF_OPEN_PROBES: u32 = 3;
/// An old answer is nearly always better than none.
pub const FALLBACK: Fallback = Fallback::Stale;

/// An L2 and an L3 write of the largest default object, several times over.
pub const BRIDGE_MAX_REQUEST_BYTES: u64 = 8 << 20;
/// Replies carry what several requests wrote.
pub const BRIDGE_MAX_REPLY_BYTES: u64 = 32 << 20;
