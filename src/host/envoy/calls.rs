//! What a worker may ask of Envoy.
//!
//! Calls about a stream act on Envoy's *effective context*; at the start of a callback that is the context called
//! back, and it is switched only when another is meant, so that the usual callback switches never.

use super::abi::{self, Buffer, Map};
use crate::host::{
    CalloutId, Conflict, Host, Level, MetricId, MetricKind, QueueId, Source, StreamId, Version,
};
use crate::http::Fields;
use crate::time::{Mono, Wall};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// Envoy, as one root context sees it.
#[derive(Clone)]
pub struct EnvoyHost {
    called: Rc<Cell<u32>>,
    effective: Rc<Cell<u32>>,
    /// Callouts under way whose answers nobody may want.
    fetches: Rc<RefCell<BTreeSet<CalloutId>>>,
}

impl EnvoyHost {
    pub(super) fn new(root: u32) -> Self {
        let context = || Rc::new(Cell::new(root));
        Self { called: context(), effective: context(), fetches: Rc::default() }
    }

    /// A callback of this context begins.
    pub(super) fn enter(&self, context: u32) {
        self.called.set(context);
        self.effective.set(context);
    }

    /// Whether a callout that has ended was a fetch.
    pub(super) fn was_fetch(&self, callout: CalloutId) -> bool {
        self.fetches.borrow_mut().remove(&callout)
    }

    /// Whether the context could be made the effective one.
    fn act_as(&self, context: u32) -> bool {
        if self.effective.get() == context {
            return true;
        }
        let known = abi::set_effective_context(context);
        if known {
            self.effective.set(context);
        }
        known
    }
}

impl Host for EnvoyHost {
    fn wall(&self) -> Wall {
        Wall(abi::wall_nanoseconds() / NANOS_PER_MILLI)
    }

    fn mono(&self) -> Mono {
        Mono(abi::mono_nanoseconds() / NANOS_PER_MILLI)
    }

    fn random(&self) -> u64 {
        abi::random()
    }

    fn request_fields(&self, stream: StreamId) -> Fields {
        let block = if self.act_as(stream.0) { abi::header_pairs(Map::Request) } else { None };
        block.and_then(Fields::from_block).unwrap_or_default()
    }

    fn request_body(&self, stream: StreamId, len: usize) -> Vec<u8> {
        let body = if self.act_as(stream.0) { abi::buffer(Buffer::RequestBody, len) } else { None };
        body.unwrap_or_default()
    }

    fn set_request_field(&self, stream: StreamId, name: &str, value: Option<&[u8]>) {
        if !self.act_as(stream.0) {
            return;
        }
        match value {
            Some(value) => abi::replace_header(Map::Request, name, value),
            None => abi::remove_header(Map::Request, name),
        }
    }

    fn response_fields(&self, stream: StreamId) -> Fields {
        let block = if self.act_as(stream.0) { abi::header_pairs(Map::Response) } else { None };
        block.and_then(Fields::from_block).unwrap_or_default()
    }

    fn set_response_field(&self, stream: StreamId, name: &str, value: Option<&[u8]>) {
        if !self.act_as(stream.0) {
            return;
        }
        match value {
            Some(value) => abi::replace_header(Map::Response, name, value),
            None => abi::remove_header(Map::Response, name),
        }
    }

    fn add_response_field(&self, stream: StreamId, name: &str, value: &[u8]) {
        if self.act_as(stream.0) {
            abi::add_header(Map::Response, name, value);
        }
    }

    fn response_piece(&self, stream: StreamId, len: usize) -> Vec<u8> {
        let piece = if self.act_as(stream.0) { abi::buffer(Buffer::ResponseBody, len) } else { None };
        piece.unwrap_or_default()
    }

    fn response_source(&self, stream: StreamId) -> Source {
        let details = if self.act_as(stream.0) { abi::property("response\0code_details") } else { None };
        match details.as_deref() {
            Some(b"via_upstream") => Source::Upstream,
            Some(details) if is_upstream_failure(details) => Source::UpstreamFailure,
            // Without details it is another Wasm filter's reply: the plugin's own ends its interest in the stream.
            Some(_) | None => Source::Local,
        }
    }

    fn upstream_cluster(&self, stream: StreamId) -> Vec<u8> {
        let cluster = if self.act_as(stream.0) { abi::property("xds\0cluster_name") } else { None };
        cluster.unwrap_or_default()
    }

    fn annotate(&self, stream: StreamId, name: &str, value: &str) {
        let path = match name {
            "outcome" => "breakwater.outcome",
            "rule" => "breakwater.rule",
            "breaker" => "breakwater.breaker",
            _ => return,
        };
        if self.act_as(stream.0) {
            abi::set_property(path, value.as_bytes());
        }
    }

    fn reply(&self, stream: StreamId, status: u16, fields: &Fields, body: &[u8]) {
        if self.act_as(stream.0) {
            abi::send_local_response(status, fields.as_block(), body);
        }
    }

    fn resume(&self, stream: StreamId) {
        if self.act_as(stream.0) {
            abi::continue_request();
        }
    }

    fn shared(&self, key: &[u8]) -> Option<(Vec<u8>, Version)> {
        abi::shared_data(key).map(|(value, cas)| (value, Version(cas)))
    }

    fn share(&self, key: &[u8], value: &[u8], expected: Option<Version>) -> Result<(), Conflict> {
        let cas = expected.map_or(0, |version| version.0);
        if abi::set_shared_data(key, value, cas) { Ok(()) } else { Err(Conflict) }
    }

    fn open_queue(&self, name: &str) -> Option<QueueId> {
        abi::register_queue(name).map(QueueId)
    }

    fn send(&self, queue: QueueId, message: &[u8]) -> bool {
        abi::enqueue(queue.0, message)
    }

    fn receive(&self, queue: QueueId) -> Option<Vec<u8>> {
        abi::dequeue(queue.0)
    }

    fn tick_every(&self, interval: Duration) {
        abi::set_tick_period(u32::try_from(interval.as_millis()).unwrap_or(u32::MAX).max(1));
    }

    fn call(&self, cluster: &str, body: &[u8], timeout: Duration) -> Option<CalloutId> {
        // The SDK delivers the answer to the context whose callback is running, Envoy to the effective one.
        if !self.act_as(self.called.get()) {
            return None;
        }
        let head = vec![(":method", "POST"), (":path", "/"), (":authority", "breakwater")];
        let token = proxy_wasm::hostcalls::dispatch_http_call(cluster, head, Some(body), vec![], timeout);
        token.ok().map(CalloutId)
    }

    fn fetch(&self, cluster: &str, fields: &Fields, timeout: Duration) -> Option<CalloutId> {
        if !self.act_as(self.called.get()) {
            return None;
        }
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let head = fields.iter().map(|(name, value)| Some((text(name)?, text(value)?)));
        let head: Vec<_> = head.collect::<Option<_>>()?;
        let token = proxy_wasm::hostcalls::dispatch_http_call(cluster, head, None, vec![], timeout);
        let callout = CalloutId(token.ok()?);
        self.fetches.borrow_mut().insert(callout);
        Some(callout)
    }

    fn fetched(&self, _: CalloutId, most: usize) -> Option<(Fields, Vec<u8>)> {
        let fields = abi::header_pairs(Map::CalloutResponse).and_then(Fields::from_block)?;
        fields.get(b":status")?;
        // One byte more than may be there tells that it is too much.
        let body = abi::buffer(Buffer::CalloutBody, most.saturating_add(1)).unwrap_or_default();
        (body.len() <= most).then_some((fields, body))
    }

    fn metric(&self, kind: MetricKind, name: &str) -> Option<MetricId> {
        let kind = match kind {
            MetricKind::Counter => 0,
            MetricKind::Gauge => 1,
        };
        abi::define_metric(kind, name).map(MetricId)
    }

    fn add(&self, metric: MetricId, amount: i64) {
        if amount != 0 {
            abi::increment_metric(metric.0, amount);
        }
    }

    fn log(&self, level: Level, line: &str) {
        let level = match level {
            Level::Debug => 1,
            Level::Info => 2,
            Level::Warn => 3,
            Level::Error => 4,
        };
        abi::log(level, line);
    }
}

/// Envoy's words for an upstream that did not answer (its `response_code_details`). What overflowed Envoy's own
/// limits says nothing about the upstream.
fn is_upstream_failure(details: &[u8]) -> bool {
    const FAILURES: [&[u8]; 8] = [
        b"upstream_reset_before_response_started",
        b"upstream_reset_after_response_started",
        b"response_timeout",
        b"upstream_response_timeout",
        b"upstream_per_try_timeout",
        b"upstream_per_try_idle_timeout",
        b"upstream_max_stream_duration_reached",
        b"no_healthy_upstream",
    ];
    FAILURES.iter().any(|failure| details.starts_with(failure)) && !details.ends_with(b"{overflow}")
}

const NANOS_PER_MILLI: u64 = 1_000_000;
