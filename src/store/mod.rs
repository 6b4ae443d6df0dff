//! The tiers: what is kept, where, and how it is asked for.
//!
//! [`entry`] is the one form of a stored response in every tier. [`l1`] lays entries out in Envoy's shared data, which
//! neither evicts nor deletes; [`remote`] speaks the dialogue with L2 and L3 through the bridge, [`leases`] that about who
//! fetches what is in neither, and [`health`] decides when Redis is not worth asking. All of it is pure: bytes and times in, bytes and decisions out.

pub mod early;
pub mod entry;
pub mod health;
pub mod hints;
pub mod l1;
pub mod leases;
pub mod remote;
pub mod variants;

pub use entry::Entry;
