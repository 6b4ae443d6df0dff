//! The range of every value: beyond it, a configuration is a mistake or a danger.

use crate::config::units;
use std::ops::RangeInclusive;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Beyond an hour, what Redis or the upstream says now would be news that never arrives.
pub const L1_TTL: RangeInclusive<Duration> = MS..=HOUR;
/// The table needs room for some entries; no Envoy has more memory to spare.
pub const L1_MAX_BYTES: RangeInclusive<u64> = (1 << 20)..=(64 << 30);
/// A value is copied into the memory of a 32-bit VM, once per reader.
pub const OBJECT_BYTES: RangeInclusive<u64> = (1 << 10)..=(64 << 20);
/// Redis counts in milliseconds; a year is for ever.
pub const L2_TTL: RangeInclusive<Duration> = MS..=units::LONGEST;
/// Redis must never cost a client more than this.
pub const L2_TIMEOUT: RangeInclusive<Duration> = MS..=Duration::from_secs(10);
/// See [`L2_TTL`].
pub const L3_TTL: RangeInclusive<Duration> = MS..=units::LONGEST;
/// Zero: none.
pub const LIFETIME: RangeInclusive<Duration> = Duration::ZERO..=units::LONGEST;
/// Zero: no guess. All of the time since the last change is the boldest one.
pub const HEURISTIC_PERCENT: RangeInclusive<u32> = 0..=100;
/// How many times as long as a fetch takes a refresh comes ahead, on the average; zero: none does. Beyond ten, it is no
/// longer the lifetime that decides.
pub const EARLY_REFRESH: RangeInclusive<f64> = 0.0..=10.0;
/// Those of final responses (RFC 9110 §15).
pub const STATUS: RangeInclusive<u16> = 200..=599;
/// Clients choose among variants: each is an entry of its own, and all of them are looked at.
pub const MAX_VARIANTS: RangeInclusive<u32> = 1..=64;
/// Envoy holds the body until it is whole, and no more than 1 MiB unless it is told to.
pub const KEY_BODY_BYTES: RangeInclusive<u64> = (1 << 10)..=(1 << 20);
/// Nobody who waits has a client left after ten minutes; not to wait at all is `scope: off`.
pub const WAIT_TIMEOUT: RangeInclusive<Duration> = MS..=Duration::from_secs(600);
/// A living leader shows itself on the tick; a lease near the tick would be lost by chance.
pub const LEASE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
/// Bounds what one key can hold.
pub const MAX_WAITERS: RangeInclusive<u32> = 1..=1_000_000;
/// Bounds what all keys together can hold; the same numbers, for one key may be all there is.
pub const ALL_WAITERS: RangeInclusive<u32> = MAX_WAITERS;
/// None at all would be a wait for nothing; beyond what may wait, it is no limit.
pub const RELEASE_PARALLEL: RangeInclusive<u32> = ALL_WAITERS;
/// The window is kept in buckets of a tenth; finer ones hold nothing.
pub const WINDOW: RangeInclusive<Duration> = SECOND..=Duration::from_secs(600);
/// More calls than a window can hold would never trip.
pub const CALLS: RangeInclusive<u32> = 1..=1_000_000;
/// Zero: nothing is learnt. Beyond ten, nothing is ever outside.
pub const OUTLIER_SIGMA: RangeInclusive<f64> = 0.0..=10.0;
/// Below a tick nothing is told apart; nobody waits for more than ten minutes.
pub const SLOW_CALL: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(600);
/// The client's and the server's errors.
pub const FAILURE_STATUS: RangeInclusive<u16> = 400..=599;
/// What answers in place of an upstream is a page, not a download.
pub const ANSWER_BODY: usize = 64 << 10;
/// Longest Content-Type.
pub const CONTENT_TYPE: usize = 256;
/// An operator who decides for longer has forgotten it.
pub const OVERRULED: RangeInclusive<Duration> = SECOND..=DAY;
/// Longest path of the operators' endpoint.
pub const ADMIN_PATH: usize = 64;
/// A circuit open for longer than a day is an outage of its own.
pub const OPEN_FOR: RangeInclusive<Duration> = Duration::from_millis(10)..=DAY;
/// More probes than this are traffic, not probes.
pub const HALF_OPEN_PROBES: RangeInclusive<u32> = 1..=100;
/// One RESP pipeline, its head included, must fit; it is held in the memory of a 32-bit VM.
pub const BRIDGE_BYTES: RangeInclusive<u64> = (1 << 10)..=(256 << 20);

/// Each request may have to look at every rule.
pub const RULES: usize = 256;
/// A name is a metric label.
pub const RULE_NAME: usize = 64;
/// The prefix of every Redis key.
pub const NAMESPACE: usize = 32;
/// Envoy's cluster names are short; this is generous.
pub const CLUSTER_NAME: usize = 256;
/// Hosts, methods, header fields, cookies or parameters in one list.
pub const LIST: usize = 256;
/// Status codes with a lifetime of their own; not many more are registered.
pub const STATUSES: usize = 64;
/// Response header fields in one list: every response is searched for each.
pub const RESPONSE_FIELDS: usize = 8;
/// QUERY and POST.
pub const KEY_BODY_METHODS: usize = 2;
/// Longest DNS name (RFC 1035 §2.3.4).
pub const HOST: usize = 253;
/// Longest path a rule can name.
pub const PATH: usize = 2048;
/// Segments of a template.
pub const SEGMENTS: usize = 64;
/// Longest method, header field name, cookie name or parameter.
pub const TOKEN: usize = 256;

/// What a person sees of a wrong value or an unknown field, in characters.
pub const SHOWN: usize = 60;
/// Longest unknown field for which a similar name is looked for.
pub const COMPARED: usize = 64;
