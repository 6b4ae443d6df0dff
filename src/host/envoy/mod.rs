//! Envoy's side of the door: the only code that touches the SDK.
//!
//! [`abi`] declares the host calls by hand, since the SDK's own wrappers panic on statuses they do not list and
//! convert what need not be converted; [`calls`] implements [`Host`](super::Host) over them. [`contexts`] is what the
//! SDK's dispatcher calls: root and stream contexts that pass each callback on to a [`Role`](super::Role) or a
//! [`Connection`](super::Connection).

mod abi;
mod calls;
mod contexts;

pub use calls::EnvoyHost;
pub use contexts::{Made, NewConnection, Plugin, start};
