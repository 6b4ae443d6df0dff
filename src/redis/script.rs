//! The two things the plugin has Redis do that no single command does: change a value only while it is still ours.
//!
//! A lease may have ended and be another's by the time its former holder speaks of it again. So both compare the
//! holder's token and act in one step. Each has one key, as Redis Cluster asks of a script.

/// Prolongs `KEYS[1]` to `ARGV[2]` milliseconds if it holds `ARGV[1]`: 1, or 0 if it does not.
pub const RENEW: &[u8] =
    b"if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('PEXPIRE',KEYS[1],ARGV[2]) end return 0";
/// Deletes `KEYS[1]` if it holds `ARGV[1]`: 1, or 0 if it does not.
pub const RELEASE: &[u8] =
    b"if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0";
