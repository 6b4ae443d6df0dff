//! How does a Wasm plugin, which Envoy gives no Redis call, talk to Redis?
//!
//! By an HTTP callout whose body is a RESP2 pipeline. It ends at an internal listener with two network filters: the
//! [`Bridge`] of this module and, behind it, Envoy's own `redis_proxy`. The bridge takes the HTTP head off the
//! request and puts one before the replies; pooling, sharding, prefix routing, authentication and TLS stay Envoy's.
//!
//! ```text
//! POST / HTTP/1.1          *2 $3 GET …           Redis,
//! content-length: 57  ──►  *5 $3 SET …     ──►   Redis Cluster
//!   *2 $3 GET …  *5 $3 SET …
//!                                                 │
//! HTTP/1.1 200 OK          $4 cafe               │
//! content-length: 15  ◄──  +OK             ◄─────┘
//! ```
//!
//! Four rooms, all sans-I/O, none of them trusting what it reads:
//!
//! - The words of RESP2: the filter's side writes commands with [`encode`] and reads the answer with [`replies`].
//! - [`Scanner`] — where complete values end in a buffer that still grows, in linear time.
//! - [`script`] — what is said in Lua, word for word.
//! - [`Bridge`] — one connection: which bytes are passed on, which are held back, when it is closed.
//!
//! What arrives as a reply need not have been said by Redis: `redis_proxy` takes a line without a type byte for an
//! inline command, so that a peer which speaks something else, `HTTP/1.1 200 OK` say, comes out as a well-formed
//! array of words. Whoever reads replies checks that each has the type its command can have.
//!
//! The protocol is version 2 of <https://redis.io/docs/latest/develop/reference/protocol-spec/>, the one a connection
//! speaks that never sends `HELLO 3`.

mod bridge;
mod request;
mod resp;
mod scan;
pub mod script;

pub use bridge::{Bridge, CloseReason, Limits, Step};
pub use request::{MAX_COMMANDS, MAX_HEAD_BYTES};
pub use resp::{
    MAX_ARGUMENTS, MAX_BULK_BYTES, MAX_DEPTH, MAX_ELEMENTS, MAX_LINE_BYTES, Reply, RespError, encode, replies,
};
pub use scan::{Grammar, Progress, Scanner};
