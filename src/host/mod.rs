//! The narrow door: everything the plugin asks of the outside, and everything the outside tells it.
//!
//! [`Host`] is what a worker may ask for, in the project's own words; [`Role`] is what it is told. Envoy's
//! implementation (`envoy`, the only user of the SDK) and the simulator's (`sim`) stand side by side, so that the
//! whole plugin runs in a seeded simulation of many workers and many Envoys. No call panics: what Envoy refuses is a
//! `None`, `false` or [`Conflict`], and what it does not have (a stream already gone) is silently not done.
//!
//! Two rules of Envoy shape the door. A stream other than the one whose callback is running may be *replied to* only
//! from a root callback (`on_tick`, `on_message`), few at a time: each reply runs on the stack of the one before.
//! And request fields can be read only until the request was let through.

#[cfg(target_os = "wasi")]
pub mod envoy;
#[cfg(not(target_family = "wasm"))]
pub mod sim;

use crate::http::Fields;
use crate::time::{Mono, Wall};
use std::time::Duration;

/// One HTTP stream (a request and its response) within one worker's VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// A shared queue; its number is valid in the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u32);

/// A callout under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalloutId(pub u32);

/// A metric of this process, defined by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricId(pub u32);

/// From one tick to the next, where nothing else is asked for: how late a deadline may be noticed, and counters be
/// handed over.
pub const TICK: Duration = Duration::from_millis(20);

/// The version of a shared value, for compare-and-swap; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub u32);

impl Version {
    /// Expected of a value that is not there yet. A compare-and-swap of an absent value succeeds whatever is
    /// expected, and of one that another worker made meanwhile only if it has this very version, after four billion
    /// writes: so of several that create a value at once, one gets through.
    pub const ABSENT: Self = Self(u32::MAX);
}

/// A shared value changed between read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict;

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the curious.
    Debug,
    /// A change of state worth knowing.
    Info,
    /// Something failed and was survived.
    Warn,
    /// The operator must act.
    Error,
}

/// Kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows; `add` adds.
    Counter,
    /// Goes up and down; `add` adds over all workers.
    Gauge,
}

/// What a callback answers about its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Goes on through the filter chain.
    Continue,
    /// Stays until resumed or replied to.
    Pause,
}

/// Who produced the response whose head has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The upstream itself.
    Upstream,
    /// Envoy, on the upstream's behalf: no connection, reset, timeout, no healthy host.
    UpstreamFailure,
    /// Envoy for reasons that are not the upstream's: another filter's reply, its own limits.
    Local,
    /// This plugin's own reply.
    Own,
}

/// What a worker may ask of its host.
pub trait Host {
    /// The wall clock.
    fn wall(&self) -> Wall;
    /// The monotonic clock, comparable between all workers of the process.
    fn mono(&self) -> Mono;
    /// Random bits.
    fn random(&self) -> u64;

    /// The request's fields with pseudo fields; empty once the request was let through.
    fn request_fields(&self, stream: StreamId) -> Fields;
    /// The request's body as far as it has come, `len` bytes, while [`Role::on_request_body`] holds it.
    fn request_body(&self, stream: StreamId, len: usize) -> Vec<u8>;
    /// Replaces a request field before the request is let through; `None` removes it.
    fn set_request_field(&self, stream: StreamId, name: &str, value: Option<&[u8]>);
    /// The response's fields with `:status`, while its head passes.
    fn response_fields(&self, stream: StreamId) -> Fields;
    /// Replaces a response field while its head passes; `None` removes it.
    fn set_response_field(&self, stream: StreamId, name: &str, value: Option<&[u8]>);
    /// Adds a line to the response's fields, behind those of the same name, while its head passes.
    fn add_response_field(&self, stream: StreamId, name: &str, value: &[u8]);
    /// The piece of the response's body that is passing, `len` bytes.
    fn response_piece(&self, stream: StreamId, len: usize) -> Vec<u8>;
    /// Who produced the response whose head is passing.
    fn response_source(&self, stream: StreamId) -> Source;
    /// The cluster the request is routed to; empty if there is no route.
    fn upstream_cluster(&self, stream: StreamId) -> Vec<u8>;
    /// Leaves a word for access logs and spans (filter state `wasm.breakwater.<name>`).
    fn annotate(&self, stream: StreamId, name: &str, value: &str);

    /// Answers a stream that was paused, or whose response head is passing or held.
    fn reply(&self, stream: StreamId, status: u16, fields: &Fields, body: &[u8]);
    /// Lets a paused request through.
    fn resume(&self, stream: StreamId);

    /// A shared value and its version; `None` if there is none. An emptied value reads as empty bytes.
    fn shared(&self, key: &[u8]) -> Option<(Vec<u8>, Version)>;
    /// Writes a shared value; with `expected`, only if it still has that version, or if there
    /// is none. Whoever creates a value beside others expects [`Version::ABSENT`].
    fn share(&self, key: &[u8], value: &[u8], expected: Option<Version>) -> Result<(), Conflict>;

    /// Opens the queue of this name and has its messages delivered to this worker's `on_message`.
    fn open_queue(&self, name: &str) -> Option<QueueId>;
    /// Sends to any worker's queue; `false` if there is no such queue.
    fn send(&self, queue: QueueId, message: &[u8]) -> bool;
    /// Takes one message.
    fn receive(&self, queue: QueueId) -> Option<Vec<u8>>;

    /// Has `on_tick` called at this interval, in whole milliseconds, from now on; not from `on_tick` itself.
    fn tick_every(&self, interval: Duration);

    /// Sends `body` to `cluster` as one HTTP request; the answer comes to `on_callout` of the callback's owner: the
    /// stream, if called from a stream's callback (and never, once the stream is gone), else the root.
    fn call(&self, cluster: &str, body: &[u8], timeout: Duration) -> Option<CalloutId>;

    /// Sends a request without a body to `cluster`, only from a root callback; its end comes to the root's
    /// `on_callout`. `None` if that cannot be done, as where a value is no text.
    fn fetch(&self, cluster: &str, fields: &Fields, timeout: Duration) -> Option<CalloutId>;
    /// In `on_callout`: the whole answer to a fetch, whatever its status, with `:status` among its fields; `None` if
    /// there was none, or its body has more than `most` bytes.
    fn fetched(&self, callout: CalloutId, most: usize) -> Option<(Fields, Vec<u8>)>;

    /// Defines a metric, or finds it; `None` if the host refuses.
    fn metric(&self, kind: MetricKind, name: &str) -> Option<MetricId>;
    /// Adds to a metric.
    fn add(&self, metric: MetricId, amount: i64);
    /// Writes a log line.
    fn log(&self, level: Level, line: &str);
}

/// What the host tells one worker (one root context in one VM).
///
/// `self` is shared: Envoy calls back one at a time, and no call of [`Host`] calls back into the same worker.
pub trait Role {
    /// The worker's clock ticks.
    fn on_tick(&mut self);
    /// A message waits in a queue of this worker; called once per message.
    fn on_message(&mut self, queue: QueueId);
    /// A callout ended: the body of its 200 answer, or `None` for any failure. Of a fetch the body is empty, since few
    /// want it and it may be large: [`Host::fetched`] reads it.
    fn on_callout(&mut self, callout: CalloutId, answer: Option<Vec<u8>>);
    /// A request's head arrived; `end` if it has no body.
    fn on_request(&mut self, stream: StreamId, end: bool) -> Flow;
    /// `len` bytes of a request's body are there; `end` with the last ones. On `Pause` they are held, and come again
    /// with those that follow.
    fn on_request_body(&mut self, _stream: StreamId, _len: usize, _end: bool) -> Flow {
        Flow::Continue
    }
    /// A request ends with trailers: no more of its body comes. On `Pause` they are held with it.
    fn on_request_trailers(&mut self, _stream: StreamId) -> Flow {
        Flow::Continue
    }
    /// A response's head passes, from whatever [`Source`]; `end` if it has no body.
    fn on_response(&mut self, stream: StreamId, end: bool) -> Flow;
    /// A piece of a response's body passes; `end` with the last one. The response is complete only if `end` was seen.
    fn on_response_body(&mut self, stream: StreamId, len: usize, end: bool) -> Flow;
    /// The stream is over, whether answered, reset or its client gone. Also called for streams never seen before.
    fn on_gone(&mut self, stream: StreamId);
}

/// One side of a connection that a network filter stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Towards the client.
    Downstream,
    /// Towards the upstream.
    Upstream,
}

/// What becomes of the bytes a connection holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// They stay held: the next event brings them again with more behind them.
    Hold,
    /// These are passed on in their place.
    Pass(Vec<u8>),
    /// Nothing is passed on, and the connection is closed, for this reason.
    Close(&'static str),
}

/// What the host tells a network filter about one connection.
pub trait Connection {
    /// How many held bytes of a side must be there before [`Self::on_data`] has anything to do.
    fn needs(&self, side: Side) -> usize;
    /// Bytes came from a side; `held` is all that was not passed on yet, `end` if no more will come.
    fn on_data(&mut self, side: Side, held: &[u8], end: bool) -> Passage;
}
