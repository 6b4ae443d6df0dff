//! HTTP caching semantics, pure: what RFC 9110, 9111 and 9211 say, as functions of bytes and times.

pub mod fields;
pub mod key;
pub mod reason;

pub use fields::Fields;
pub use reason::Reason;
