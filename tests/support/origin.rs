//! The scripted upstream: answers as told, in the order told, and remembers who asked.
//!
//! A handler turns each request into a [`Reply`]. Requests in flight are counted from their head's arrival to their
//! reply's end (or the end of their connection), which is what barriers wait for and tests assert.

use super::gate::Gate;
use super::reply::{Cut, Hold, Reply};
use super::wire::{Head, Inbox};
use super::{PATIENCE, ports};
use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Heads are remembered up to this many; the counts go on.
const REMEMBERED: usize = 4_096;

/// A request as the upstream saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Start line and fields.
    pub head: Head,
    /// The body, whole.
    pub body: Vec<u8>,
    /// What came behind a chunked body.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// How many requests for this path (query included) came before it.
    pub earlier: usize,
}

impl Seen {
    /// The method.
    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    /// The path with its query.
    pub fn path(&self) -> &str {
        self.head.word(1)
    }
}

/// What has happened so far.
#[derive(Clone, Debug, Default)]
struct Tally {
    total: usize,
    in_flight: usize,
    peak: usize,
    abandoned: usize,
    by_path: BTreeMap<String, usize>,
    heads: Vec<Head>,
}

type Answering = Pin<Box<dyn Future<Output = Reply> + Send>>;
type Handler = Box<dyn Fn(Seen) -> Answering + Send + Sync>;

struct Shared {
    handler: Mutex<Arc<Handler>>,
    tally: Mutex<Tally>,
    /// Where holds for a number of requests in flight wait: one gate a number, so that an arrival wakes nobody in vain.
    barriers: Mutex<BTreeMap<usize, Gate>>,
    changed: watch::Sender<()>,
    broken: Mutex<Option<String>>,
}

/// An upstream on a port of its own.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

impl Origin {
    /// Starts one that answers as `handler` says.
    pub async fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::serving(at_once(handler))
    }

    /// As [`Origin::start`], with a handler that may take its time, or ask others first. It is dropped when the asker
    /// goes away.
    pub async fn asking<F>(handler: impl Fn(Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Self::serving(Box::new(move |seen| Box::pin(handler(seen))))
    }

    fn serving(handler: Handler) -> Self {
        super::lift_file_limit();
        let listener = ports::listener();
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            handler: Mutex::new(Arc::new(handler)),
            tally: Mutex::default(),
            barriers: Mutex::default(),
            changed: watch::Sender::new(()),
            broken: Mutex::default(),
        });
        let task = Some(serve(&shared, listener));
        Self { address, shared, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on answers as `handler` says.
    pub fn answer(&self, handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) {
        *lock(&self.shared.handler) = Arc::new(at_once(handler));
    }

    /// Requests so far.
    pub fn total(&self) -> usize {
        lock(&self.shared.tally).total
    }

    /// Requests so far for this path, query included.
    pub fn hits(&self, path: &str) -> usize {
        lock(&self.shared.tally).by_path.get(path).copied().unwrap_or_default()
    }

    /// Requests in flight now.
    pub fn in_flight(&self) -> usize {
        lock(&self.shared.tally).in_flight
    }

    /// The most requests that were in flight at the same time.
    pub fn peak(&self) -> usize {
        lock(&self.shared.tally).peak
    }

    /// Requests whose connection ended before their reply did.
    pub fn abandoned(&self) -> usize {
        lock(&self.shared.tally).abandoned
    }

    /// The heads of the first few thousand requests, in order of arrival.
    pub fn heads(&self) -> Vec<Head> {
        lock(&self.shared.tally).heads.clone()
    }

    /// Forgets what has happened, as if just started (what is in flight stays counted as such).
    pub fn forget(&self) {
        let mut tally = lock(&self.shared.tally);
        *tally = Tally { in_flight: tally.in_flight, peak: tally.in_flight, ..Tally::default() };
        lock(&self.shared.barriers).clear();
    }

    /// Waits until `reached` holds of this upstream, e.g. `|o| o.in_flight() == 1`.
    pub async fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let mut changes = self.shared.changed.subscribe();
        let wait = async {
            while !reached(self) {
                let _ = changes.changed().await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "waited {PATIENCE:?} in vain: {what}");
    }

    /// Dies: every connection is cut, new ones are refused.
    pub async fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // It ends at its next await, and with it its connections and its listener.
            let _ = task.await;
        }
    }

    /// Comes back at the same address.
    pub fn restart(&mut self) {
        assert!(self.task.is_none(), "it is running");
        let listener = ports::bind(self.address).expect("nobody takes a port of that range");
        self.task = Some(serve(&self.shared, listener));
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        let broken = lock(&self.shared.broken).take();
        if let (Some(broken), false) = (broken, std::thread::panicking()) {
            panic!("the upstream met something odd: {broken}");
        }
    }
}

fn at_once(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Handler {
    Box::new(move |seen| Box::pin(ready(handler(&seen))))
}

fn serve(shared: &Arc<Shared>, listener: TcpListener) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(Arc::clone(&shared), stream));
                },
                Some(ended) = connections.join_next() => if let Err(error) = ended && error.is_panic() {
                    lock(&shared.broken).get_or_insert_with(|| format!("its handler panicked: {error}"));
                },
            }
        }
    })
}

async fn connection(shared: Arc<Shared>, mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let (mut read, mut write) = stream.split();
    let mut inbox = Inbox::default();
    loop {
        match exchange(&shared, &mut inbox, &mut read, &mut write).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                lock(&shared.broken).get_or_insert_with(|| error.to_string());
                return;
            }
            Err(_) => return,
        }
    }
}

/// One request and its reply; whether the connection may carry another.
async fn exchange(
    shared: &Shared,
    inbox: &mut Inbox,
    read: &mut ReadHalf<'_>,
    write: &mut WriteHalf<'_>,
) -> io::Result<bool> {
    let Some(head) = inbox.head(read).await? else { return Ok(false) };
    let mut flight = Flight::begin(shared, &head);
    if head.field("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        write.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let body = inbox.body(read, &head, false).await?;
    let to_head = head.word(0) == "HEAD";
    let handler = Arc::clone(&*lock(&shared.handler));
    let trailers = std::mem::take(&mut inbox.trailers);
    let answering = handler(Seen { head, body, trailers, earlier: flight.earlier });

    let answered = async {
        let reply = answering.await;
        send(shared, &reply, to_head, write).await?;
        Ok::<_, io::Error>(reply.cut.is_none())
    };
    let goes_on = tokio::select! {
        answered = answered => answered?,
        () = gone(read) => return Ok(false),
    };
    flight.whole = true;
    Ok(goes_on)
}

async fn send(shared: &Shared, reply: &Reply, to_head: bool, write: &mut WriteHalf<'_>) -> io::Result<()> {
    hold(shared, &reply.before_head).await;
    if reply.cut == Some(Cut::BeforeHead) {
        return Ok(());
    }
    let mut bytes = reply.head_bytes();
    if !reply.before_body.is_empty() {
        write.write_all(&bytes).await?;
        bytes.clear();
        hold(shared, &reply.before_body).await;
    }
    bytes.extend(reply.body_bytes(to_head));
    if to_head || reply.later.is_empty() {
        return write.write_all(&bytes).await;
    }
    for (before, piece) in &reply.later {
        write.write_all(&bytes).await?;
        hold(shared, std::slice::from_ref(before)).await;
        bytes = Reply::chunk(piece);
    }
    bytes.extend(reply.end_bytes());
    write.write_all(&bytes).await
}

async fn hold(shared: &Shared, holds: &[Hold]) {
    for hold in holds {
        match hold {
            Hold::For(time) => tokio::time::sleep(*time).await,
            Hold::At(gate) => gate.passed().await,
            Hold::InFlight(wanted) => {
                // The gate first, then the look: an arrival in between finds the gate.
                let gate = lock(&shared.barriers).entry(*wanted).or_default().clone();
                if lock(&shared.tally).peak < *wanted {
                    gate.passed().await;
                }
            }
        }
    }
}

/// Returns when the other side has closed; never if it sends more instead.
async fn gone(read: &mut ReadHalf<'_>) {
    if let Ok(1..) = read.peek(&mut [0]).await {
        std::future::pending::<()>().await;
    }
}

/// A request in flight; it ends with this value, however that comes about.
struct Flight<'a> {
    shared: &'a Shared,
    earlier: usize,
    whole: bool,
}

impl<'a> Flight<'a> {
    fn begin(shared: &'a Shared, head: &Head) -> Self {
        let (earlier, peak) = {
            let mut tally = lock(&shared.tally);
            tally.total += 1;
            tally.in_flight += 1;
            tally.peak = tally.peak.max(tally.in_flight);
            if tally.heads.len() < REMEMBERED {
                tally.heads.push(head.clone());
            }
            let count = tally.by_path.entry(head.word(1).to_owned()).or_default();
            *count += 1;
            let earlier = *count - 1;
            (earlier, tally.peak)
        };
        if let Some(gate) = lock(&shared.barriers).get(&peak) {
            gate.open();
        }
        shared.changed.send_replace(());
        Self { shared, earlier, whole: false }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        {
            let mut tally = lock(&self.shared.tally);
            tally.in_flight -= 1;
            tally.abandoned += usize::from(!self.whole);
        }
        self.shared.changed.send_replace(());
    }
}

/// A poisoned lock means that a handler panicked: that is reported on its own.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
