//! HTTP caching semantics, pure: what RFC 9110, 9111 and 9211 say, as functions of bytes and times.

pub mod cache_control;
pub mod cache_status;
pub mod content_range;
pub mod date;
pub mod end_to_end;
pub mod fields;
mod form;
pub mod freshness;
pub mod key;
pub mod list;
pub mod no_vary_search;
pub mod partial;
pub mod proxy_status;
mod query;
pub mod range;
pub mod reason;
pub mod reference;
pub mod request;
pub mod response;
pub mod storing;
mod structured;
pub mod tags;
pub mod targeted;
pub mod update;
pub mod validators;
pub mod vary;

pub use cache_control::{RequestDirectives, ResponseDirectives};
pub use cache_status::{CacheStatus, Fwd};
pub use fields::Fields;
pub use key::{Digest, Key, KeySpec};
pub use proxy_status::ProxyError;
pub use reason::Reason;
pub use request::{Handling, Method, RequestHead};
pub use response::ResponseHead;
pub use storing::{Lifetime, StoringPolicy, Verdict, judge};
pub use vary::Vary;
