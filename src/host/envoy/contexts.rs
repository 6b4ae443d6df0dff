//! What the SDK's dispatcher calls.
//!
//! One module carries two plugins: the root named `breakwater` makes a worker for HTTP, the one named
//! `breakwater.redis` a bridge for connections. Which one a root context is shows only when it is configured. Each
//! root of a VM has its own worker, since Envoy runs the old and the new configuration side by side for a while.

use super::abi::{self, Buffer};
use super::calls::EnvoyHost;
use crate::host::{CalloutId, Connection, Flow, Host, Level, Passage, QueueId, Role, Side, StreamId, TICK};
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType};
use std::cell::RefCell;
use std::rc::Rc;

/// What to make of the two roots; each refuses a wrong configuration with lines for people.
#[derive(Clone, Copy)]
pub struct Plugin {
    /// Makes the worker of an HTTP root.
    pub worker: NewWorker,
    /// Makes what makes the bridge of each connection.
    pub bridge: NewBridge,
}

/// Makes a worker under a configuration.
pub type NewWorker = fn(EnvoyHost, &[u8]) -> Made<Box<dyn Role>>;

/// Makes what makes bridges under a configuration.
pub type NewBridge = fn(&[u8]) -> Made<NewConnection>;

/// What was made, or why the configuration is refused: a line per mistake.
pub type Made<T> = Result<T, String>;

/// Makes the filter of one connection.
pub type NewConnection = Box<dyn Fn() -> Box<dyn Connection>>;

type Worker = Rc<RefCell<Box<dyn Role>>>;

/// Registers the plugin with the SDK.
pub fn start(make: fn() -> Plugin) {
    // The dispatcher takes a plain function, so what it makes roots of cannot be captured.
    MAKE.with(|slot| *slot.borrow_mut() = Some(make));
    proxy_wasm::set_root_context(|context| {
        let plugin = MAKE.with(|slot| slot.borrow().map(|make| make()));
        Box::new(Root { host: EnvoyHost::new(context), context, plugin, kind: Kind::Unconfigured })
    });
}

thread_local! {
    static MAKE: RefCell<Option<fn() -> Plugin>> = const { RefCell::new(None) };
}

struct Root {
    host: EnvoyHost,
    context: u32,
    plugin: Option<Plugin>,
    kind: Kind,
}

enum Kind {
    Unconfigured,
    Http(Worker),
    Network(NewConnection),
}

impl Root {
    fn with_worker(&self, act: impl FnOnce(&mut dyn Role)) {
        self.host.enter(self.context);
        if let Kind::Http(worker) = &self.kind
            && let Ok(mut worker) = worker.try_borrow_mut()
        {
            act(worker.as_mut());
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, fields: usize, body: usize, _: usize) {
        let wanted = if self.host.was_fetch(CalloutId(token)) { 0 } else { body };
        let answer = callout_answer(fields, wanted);
        self.with_worker(|worker| worker.on_callout(CalloutId(token), answer));
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let Some(plugin) = self.plugin else { return false };
        let text = abi::buffer(Buffer::PluginConfiguration, size).unwrap_or_default();
        let root_id = abi::property("plugin_root_id").unwrap_or_default();
        let made = match root_id.as_slice() {
            b"breakwater" => (plugin.worker)(self.host.clone(), &text)
                .map(|worker| Kind::Http(Rc::new(RefCell::new(worker)))),
            b"breakwater.redis" => (plugin.bridge)(&text).map(Kind::Network),
            other => Err(format!(
                "root_id: found \"{}\"; allowed: breakwater (HTTP filter), breakwater.redis (network filter)",
                String::from_utf8_lossy(other)
            )),
        };
        match made {
            Ok(kind) => {
                if matches!(kind, Kind::Http(_)) {
                    self.host.tick_every(TICK);
                }
                self.kind = kind;
                true
            }
            Err(problems) => {
                for line in problems.lines() {
                    self.host.log(Level::Error, &format!("configuration refused: {line}"));
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        self.with_worker(|worker| worker.on_tick());
    }

    fn on_queue_ready(&mut self, queue: u32) {
        self.with_worker(|worker| worker.on_message(QueueId(queue)));
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(match self.kind {
            Kind::Network(_) => ContextType::StreamContext,
            Kind::Http(_) | Kind::Unconfigured => ContextType::HttpContext,
        })
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        let worker = match &self.kind {
            Kind::Http(worker) => Some(Rc::clone(worker)),
            Kind::Network(_) | Kind::Unconfigured => None,
        };
        Some(Box::new(Http { host: self.host.clone(), context, worker }))
    }

    fn create_stream_context(&self, _: u32) -> Option<Box<dyn StreamContext>> {
        let connection = match &self.kind {
            Kind::Network(new) => Some(new()),
            Kind::Http(_) | Kind::Unconfigured => None,
        };
        Some(Box::new(Network { host: self.host.clone(), connection, held: [Vec::new(), Vec::new()] }))
    }
}

/// One HTTP stream.
struct Http {
    host: EnvoyHost,
    context: u32,
    worker: Option<Worker>,
}

impl Http {
    fn with_worker<T>(&self, otherwise: T, act: impl FnOnce(&mut dyn Role, StreamId) -> T) -> T {
        self.host.enter(self.context);
        match self.worker.as_ref().map(|worker| worker.try_borrow_mut()) {
            Some(Ok(mut worker)) => act(worker.as_mut(), StreamId(self.context)),
            Some(Err(_)) | None => otherwise,
        }
    }
}

impl Context for Http {
    fn on_http_call_response(&mut self, token: u32, fields: usize, body: usize, _: usize) {
        let answer = callout_answer(fields, body);
        self.with_worker((), |worker, _| worker.on_callout(CalloutId(token), answer));
    }
}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        action(self.with_worker(Flow::Continue, |worker, stream| worker.on_request(stream, end)))
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        action(self.with_worker(Flow::Continue, |worker, stream| worker.on_request_body(stream, size, end)))
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        action(self.with_worker(Flow::Continue, |worker, stream| worker.on_request_trailers(stream)))
    }

    fn on_http_response_headers(&mut self, _: usize, end: bool) -> Action {
        action(self.with_worker(Flow::Continue, |worker, stream| worker.on_response(stream, end)))
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        action(self.with_worker(Flow::Continue, |worker, stream| worker.on_response_body(stream, size, end)))
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        action(self.with_worker(Flow::Continue, |worker, stream| worker.on_response_body(stream, 0, true)))
    }
}

/// The SDK drops a stream's context when Envoy deletes it: as soon as the stream is over, however it ended. Its other
/// callbacks at the end (`on_done`, `on_log`) are not even exported (`UNUSED_CALLBACKS` in the Makefile).
impl Drop for Http {
    fn drop(&mut self) {
        self.with_worker((), |worker, stream| worker.on_gone(stream));
    }
}

/// One connection. What Envoy has read is moved here at once: bytes that a paused filter leaves in Envoy's buffer
/// count against the connection's buffer limit, and above it Envoy stops reading for ever.
struct Network {
    host: EnvoyHost,
    connection: Option<Box<dyn Connection>>,
    held: [Vec<u8>; 2],
}

impl Network {
    fn data(&mut self, side: Side, size: usize, end: bool) -> Action {
        let buffer = match side {
            Side::Downstream => Buffer::DownstreamData,
            Side::Upstream => Buffer::UpstreamData,
        };
        let [downstream, upstream] = &mut self.held;
        let held = match side {
            Side::Downstream => downstream,
            Side::Upstream => upstream,
        };
        let Some(connection) = &mut self.connection else { return close(&self.host, "unconfigured") };
        if size > 0 {
            let Some(bytes) = abi::buffer(buffer, size) else { return close(&self.host, "buffer") };
            if !abi::set_buffer(buffer, size, b"") {
                return close(&self.host, "buffer");
            }
            if held.is_empty() {
                *held = bytes;
            } else {
                held.reserve(connection.needs(side).saturating_sub(held.len()));
                held.extend_from_slice(&bytes);
            }
        }
        match connection.on_data(side, held, end) {
            Passage::Hold => Action::Continue,
            Passage::Pass(bytes) => {
                *held = Vec::new();
                if abi::set_buffer(buffer, 0, &bytes) {
                    Action::Continue
                } else {
                    close(&self.host, "buffer")
                }
            }
            Passage::Close(reason) => {
                *held = Vec::new();
                close(&self.host, reason)
            }
        }
    }
}

impl Context for Network {}

impl StreamContext for Network {
    fn on_downstream_data(&mut self, size: usize, end: bool) -> Action {
        self.data(Side::Downstream, size, end)
    }

    fn on_upstream_data(&mut self, size: usize, end: bool) -> Action {
        self.data(Side::Upstream, size, end)
    }
}

fn close(host: &EnvoyHost, reason: &str) -> Action {
    host.log(Level::Warn, &format!("bridge connection closed: {reason}"));
    abi::close_downstream();
    Action::Pause
}

fn action(flow: Flow) -> Action {
    match flow {
        Flow::Continue => Action::Continue,
        Flow::Pause => Action::Pause,
    }
}

/// The body of a callout's answer, if it is a 200. A callout that broke off has no fields at all, one that timed out
/// or found no upstream has Envoy's 503 or 504, whose body is text.
fn callout_answer(fields: usize, size: usize) -> Option<Vec<u8>> {
    if fields == 0 || abi::callout_status().as_deref() != Some(b"200") {
        return None;
    }
    abi::buffer(Buffer::CalloutBody, size)
}
