//! What the plugin has Redis do that no single command does: change a value only while it is what it is believed to be.
//!
//! A lease may have ended and be another's by the time its former holder speaks of it again. So each script compares
//! `KEYS[1]` with `ARGV[1]` and `ARGV[2]`, the two forms in which it may be one's own, and acts in one step; it answers 0
//! if the value is neither. Each has one key, as Redis Cluster asks of a script.

/// Prolongs the value to `ARGV[3]` milliseconds: 1.
pub const RENEW: &[u8] = b"local v=redis.call('GET',KEYS[1]) if v==ARGV[1] or v==ARGV[2] \
    then return redis.call('PEXPIRE',KEYS[1],ARGV[3]) end return 0";
/// Deletes the value: 1.
pub const RELEASE: &[u8] = b"local v=redis.call('GET',KEYS[1]) if v==ARGV[1] or v==ARGV[2] \
    then return redis.call('DEL',KEYS[1]) end return 0";
/// Appends `ARGV[3]` to the value: its length then.
pub const MARK: &[u8] = b"local v=redis.call('GET',KEYS[1]) if v==ARGV[1] or v==ARGV[2] \
    then return redis.call('APPEND',KEYS[1],ARGV[3]) end return 0";
