//! What is a breaker, as a caller meets it?
//!
//! Something that lets a request go or does not, and is told what became of those it let go. All else differs between
//! them: who is watched (a command, a cluster, each host of one), when a call is given up, and whether anything happens
//! with time alone.

/// When a caller gives up where the breaker has no time limit of its own: Envoy's default for a route.
pub const ROUTE_TIMEOUT_MS: u64 = 15_000;

/// One breaker. Times are milliseconds on a clock that starts at zero.
pub trait Peer {
    /// What an admitted request carries until it ends.
    type Ticket;

    /// After how long a call without an answer is a failure.
    const TIMEOUT_MS: u64 = ROUTE_TIMEOUT_MS;

    /// Whether a request may go.
    fn admit(&mut self, now_ms: u64) -> Option<Self::Ticket>;

    /// What became of it.
    fn ended(&mut self, ticket: Self::Ticket, ok: bool, took_ms: u64, now_ms: u64);

    /// When `tick` is wanted next.
    fn due(&self) -> u64 {
        u64::MAX
    }

    /// Lets it do what it does with time alone.
    fn tick(&mut self, _now_ms: u64) {}

    /// How often it has opened, or has taken a host out.
    fn opened(&self) -> u64;

    /// Whether a request that came now would be refused, or at most be a probe.
    fn is_open(&self, now_ms: u64) -> bool;

    /// To which host it sends this request; `None` if that is not its business.
    fn host(&self, _ticket: &Self::Ticket) -> Option<usize> {
        None
    }
}
