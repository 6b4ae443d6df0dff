//! What operators write, turned into a validated [`plan::Plan`].
//!
//! The configuration is one JSON object (Envoy makes it of a protobuf `Struct`, so that operators write YAML). It is
//! walked field by field with a [`cursor`], never deserialised: a walk notes every mistake with its path and goes on,
//! where a deserialiser would stop at the first. What comes out is a plan in which everything is possible and within
//! its [`limits`], or all [`Errors`] at once; nothing of the text is kept.
//!
//! Sections are read in `tiers` (the whole, L1, L2, L3), `policy` (cache, coalesce, breaker) and `rules`; single
//! values in `kinds` (numbers, words, [`units`]) and `forms` (names, hosts, paths). Fields whose effect comes with a
//! later version are known and refused: a setting is never taken in silence and ignored.

mod bridge;
pub mod commands;
mod cursor;
pub mod defaults;
mod errors;
mod forms;
mod json;
mod kinds;
pub mod limits;
mod matching;
pub mod plan;
mod policy;
mod protobuf;
mod rules;
mod similar;
mod tiers;
pub mod units;

pub use bridge::{BridgePlan, parse_bridge};
pub use errors::{Errors, Problem};
pub use plan::Plan;

/// Reads the configuration of the HTTP root; no bytes or `{}` give the defaults.
///
/// # Errors
/// Every mistake in it, at once; a text that is no JSON object is one mistake with its line and column.
pub fn parse(bytes: &[u8]) -> Result<Plan, Errors> {
    let fields = json::object(bytes)?;
    let mut problems = Vec::new();
    let plan = cursor::Cursor::read_root(&fields, &mut problems, tiers::plan);
    Errors::unless_any(plan, problems)
}

#[cfg(test)]
mod tests;
