//! What clients send, and what each of them got.

use super::happening::Calls;
use super::lines::Lines;
use crate::host::{CalloutId, StreamId};
use std::collections::BTreeMap;
use std::time::Duration;

/// One request of one client; numbered in the order of [`World::request`](super::World::request). Requests that the
/// plugin itself sends come behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// A request as a client sends it.
#[derive(Clone, Debug, Default)]
pub struct ClientRequest {
    /// Which Envoy it reaches.
    pub envoy: usize,
    /// Which worker it reaches.
    pub worker: usize,
    /// Its fields with pseudo fields.
    pub fields: Lines,
    /// Whether a body follows the head.
    pub body: bool,
    /// Refused by an earlier filter: the plugin hears of it only when it is over.
    pub denied: bool,
}

impl ClientRequest {
    /// A request without body for `path` on host `origin.test`.
    pub fn new(envoy: usize, worker: usize, method: &str, path: &str) -> Self {
        let fields = Lines::default()
            .with(":method", method)
            .with(":scheme", "http")
            .with(":authority", "origin.test")
            .with(":path", path);
        Self { envoy, worker, fields, body: false, denied: false }
    }

    /// The same with one more field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields = self.fields.with(name, value);
        self
    }
}

/// How a client's request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a complete response.
    Complete,
    /// The connection broke: no response, or not all of it.
    Cut,
    /// The client left.
    Left,
}

/// The record of one request, from the client's side.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its number.
    pub id: ClientId,
    /// The request, as sent.
    pub request: ClientRequest,
    /// Which callout it is, if the plugin itself sent it ([`Host::fetch`](crate::host::Host::fetch)).
    pub fetch: Option<CalloutId>,
    /// The stream it became, once it arrived at a living VM.
    pub stream: Option<StreamId>,
    /// When it arrived.
    pub began: Duration,
    /// The response's fields with `:status`, as far as one came.
    pub head: Option<Lines>,
    /// What came of the body.
    pub body: Vec<u8>,
    /// When and how it ended.
    pub ended: Option<(Duration, End)>,
    /// The upstream requests it caused.
    pub serials: Vec<u64>,
    /// What the plugin left for access logs.
    pub annotations: BTreeMap<String, String>,
    /// The plugin's host calls in this stream's own callbacks.
    pub calls: Calls,
    /// Whether the VM that held it died.
    pub vm_died: bool,
}

impl Client {
    pub(super) fn new(id: ClientId, request: ClientRequest) -> Self {
        Self {
            id,
            request,
            fetch: None,
            stream: None,
            began: Duration::ZERO,
            head: None,
            body: Vec::new(),
            ended: None,
            serials: Vec::new(),
            annotations: BTreeMap::new(),
            calls: Calls::default(),
            vm_died: false,
        }
    }

    /// The response's status, if a head came.
    pub fn status(&self) -> Option<u16> {
        let status = self.head.as_ref()?.get(":status")?;
        std::str::from_utf8(status).ok()?.parse().ok()
    }
}
