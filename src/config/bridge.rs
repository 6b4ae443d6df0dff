//! The configuration of the bridge, root `breakwater.redis`: how much it holds in memory per exchange.

use crate::config::cursor::Cursor;
use crate::config::errors::Errors;
use crate::config::kinds::SizeIn;
use crate::config::{defaults, json, limits};

/// The whole configuration of the Redis root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BridgePlan {
    /// Largest pipeline taken from the HTTP side.
    pub max_request_bytes: u64,
    /// Largest reply to a pipeline taken from Redis.
    pub max_reply_bytes: u64,
}

/// Reads the configuration of the Redis root; no bytes or `{}` give the defaults.
///
/// # Errors
/// Every mistake in it, at once.
pub fn parse_bridge(bytes: &[u8]) -> Result<BridgePlan, Errors> {
    let fields = json::object(bytes)?;
    let mut problems = Vec::new();
    let plan = Cursor::read_root(&fields, &mut problems, |at| {
        let size = SizeIn(limits::BRIDGE_BYTES);
        BridgePlan {
            max_request_bytes: at.field_or("max_request_bytes", defaults::BRIDGE_MAX_REQUEST_BYTES, &size),
            max_reply_bytes: at.field_or("max_reply_bytes", defaults::BRIDGE_MAX_REPLY_BYTES, &size),
        }
    });
    Errors::unless_any(plan, problems)
}
