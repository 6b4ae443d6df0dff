//! HTTP caching semantics, pure: what RFC 9110, 9111 and 9211 say, as functions of bytes and times.

pub mod cache_control;
pub mod date;
pub mod fields;
pub mod key;
mod query;
pub mod reason;
pub mod vary;

pub use cache_control::{RequestDirectives, ResponseDirectives};
pub use fields::Fields;
pub use key::{Digest, Key, KeySpec};
pub use reason::Reason;
pub use vary::Vary;
