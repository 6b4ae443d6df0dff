//! Work that only a root callback may do, in portions.
//!
//! Envoy runs each reply on the stack of the one before, and a portion of some three hundred has been seen to kill
//! the VM; so a callback settles at most [`PORTION`] streams, fewer when the answers are large, and sends the worker
//! a message to be called again for the rest.

use super::leases::Release;
use super::{At, Worker};
use crate::exchange::Event;
use crate::flight::message::Message;
use crate::flight::table::Flight;
use crate::flight::{Outcome, Token};
use crate::host::{Host, QueueId, StreamId};
use crate::http::Fields;
use crate::http::key::Digest;
use std::collections::VecDeque;

/// One piece of work.
#[derive(Debug)]
pub(super) enum Task {
    /// Tell waiters how their flight ended.
    Tell(Outcome, VecDeque<StreamId>),
    /// Let released requests of a rule go whose turn it is.
    LetOut(usize),
    /// Requests that waited long enough.
    TimeOut(VecDeque<StreamId>),
    /// Leaders of fetches through a circuit that has opened.
    Opened(VecDeque<StreamId>),
    /// Requests whose bodies did not come.
    GiveUpBodies,
    /// Let a waiter take a vacant lead.
    Promote(Token),
    /// Store an entry in L2 and L3.
    Store {
        /// The commands: RESP.
        pipeline: Vec<u8>,
        /// How many they are.
        commands: usize,
        /// The entry's key.
        digest: Digest,
        /// The lease to be given back behind that.
        release: Option<Release>,
    },
    /// Give a lease back.
    Release(Release),
    /// Tell the fleet of an open circuit: RESP.
    Hint(Vec<u8>),
    /// Look again whether another Envoy has fetched.
    Look(VecDeque<StreamId>),
    /// Delete a key from L2 and L3.
    Delete {
        /// The key.
        digest: Digest,
        /// Whether its resource has changed, so that nobody shall wait for a fetch that is under way.
        has_changed: bool,
    },
    /// Send a stream's request again, to answer it with what comes.
    Refetch(StreamId, Fields),
    /// Send a request that leads a flight.
    Detach(Token, Fields),
    /// Send a request again, to fetch anew what it asked for.
    Refresh {
        /// The key's digest.
        digest: Digest,
        /// The request.
        fields: Fields,
    },
}

/// What is to be done, in order.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    queue: VecDeque<Task>,
    nudged: bool,
}

impl Tasks {
    /// Drops what was to be stored under a key and is not yet.
    pub(super) fn drop_stores(&mut self, forgotten: Digest) {
        for task in std::mem::take(&mut self.queue) {
            match task {
                // Not so the lease: nobody shall wait for what is dropped.
                Task::Store { digest, release, .. } if digest == forgotten => {
                    self.queue.extend(release.map(Task::Release));
                }
                task => self.queue.push_back(task),
            }
        }
    }

    /// Has a lease given back behind what is to be stored under its key; gives it back here if nothing is.
    pub(super) fn release_after_store(&mut self, lease: Release) -> Option<Release> {
        let mut stores = self.queue.iter_mut().rev().filter_map(|task| match task {
            Task::Store { digest, release, .. } if *digest == lease.digest => Some(release),
            _ => None,
        });
        match stores.next() {
            Some(release) => release.replace(lease),
            None => Some(lease),
        }
    }
}

impl<H: Host> Worker<H> {
    pub(super) fn later(&mut self, task: Task) {
        self.tasks.queue.push_back(task);
        self.nudge();
    }

    pub(super) fn promote_later(&mut self, token: Token) {
        self.later(Task::Promote(token));
    }

    pub(super) fn tell(&mut self, outcome: Outcome, flight: Flight<StreamId>) {
        if !flight.waiters.is_empty() {
            self.later(Task::Tell(outcome, flight.waiters.into_values().collect()));
        }
    }

    /// A message arrived: from another worker, or one's own nudge.
    pub(super) fn message(&mut self, queue: QueueId) {
        let message = self.host.receive(queue).and_then(|bytes| Message::decode(&bytes));
        // A queue of a VM that died under us: its messages are for nobody.
        if self.queue != Some(queue) {
            return;
        }
        match message {
            Some(Message::Ended(token, outcome)) => self.told(token, outcome),
            Some(Message::Nudge) => self.tasks.nudged = false,
            Some(Message::Circuits) => self.woken(),
            None => {}
        }
        self.work();
        self.keep_pace();
    }

    /// Does a portion; only from a root callback.
    pub(super) fn work(&mut self) {
        let mut left = PORTION;
        while left > 0 {
            let Some(task) = self.tasks.queue.pop_front() else { break };
            match task {
                Task::Tell(outcome, mut streams) => {
                    let share = left.min(portion(&outcome));
                    left = left.saturating_sub(PORTION.checked_div(share).unwrap_or(1));
                    let mut told: usize = 0;
                    while told < share {
                        let Some(stream) = streams.pop_front() else { break };
                        self.tell_one(stream, &outcome);
                        told = told.saturating_add(1);
                    }
                    left = left.saturating_sub(told);
                    if !streams.is_empty() {
                        self.tasks.queue.push_front(Task::Tell(outcome, streams));
                        break;
                    }
                }
                Task::LetOut(rule_index) => {
                    while left > 0 && self.release_next(rule_index) {
                        left = left.saturating_sub(1);
                    }
                    if left == 0 {
                        self.tasks.queue.push_front(Task::LetOut(rule_index));
                    }
                }
                Task::TimeOut(mut streams) => {
                    while left > 0 {
                        let Some(stream) = streams.pop_front() else { break };
                        self.drive(stream, Event::TimedOut, At::Later);
                        left = left.saturating_sub(1);
                    }
                    if !streams.is_empty() {
                        self.tasks.queue.push_front(Task::TimeOut(streams));
                    }
                }
                Task::Opened(mut streams) => {
                    while left > 0 {
                        let Some(stream) = streams.pop_front() else { break };
                        self.opened(stream);
                        left = left.saturating_sub(1);
                    }
                    if !streams.is_empty() {
                        self.tasks.queue.push_front(Task::Opened(streams));
                    }
                }
                Task::GiveUpBodies => {
                    let now = self.host.mono();
                    while left > 0 && self.give_up_body(now) {
                        left = left.saturating_sub(1);
                    }
                    if left == 0 {
                        self.tasks.queue.push_front(Task::GiveUpBodies);
                    }
                }
                Task::Promote(token) => {
                    self.promote(token);
                    left = left.saturating_sub(1);
                }
                Task::Store { pipeline, commands, digest, release } => {
                    let store = Task::Store { pipeline, commands, digest, release };
                    if let Some(Task::Store { pipeline, commands, release, .. }) =
                        self.behind_deletion(digest, store)
                    {
                        self.store(pipeline, commands, release);
                        left = left.saturating_sub(1);
                    }
                }
                Task::Hint(pipeline) => {
                    self.store(pipeline, 1, None);
                    left = left.saturating_sub(1);
                }
                Task::Release(release) => {
                    self.release(release);
                    left = left.saturating_sub(1);
                }
                Task::Look(mut streams) => {
                    while left > 0 {
                        let Some(stream) = streams.pop_front() else { break };
                        self.drive(stream, Event::Again, At::Later);
                        left = left.saturating_sub(1);
                    }
                    if !streams.is_empty() {
                        self.tasks.queue.push_front(Task::Look(streams));
                    }
                }
                Task::Refresh { digest, fields } => {
                    self.send_refresh(digest, &fields);
                    left = left.saturating_sub(1);
                }
                Task::Detach(token, fields) => {
                    self.send_detached(token, &fields);
                    left = left.saturating_sub(1);
                }
                Task::Refetch(stream, fields) => {
                    self.send_refetch(stream, &fields);
                    left = left.saturating_sub(1);
                }
                Task::Delete { digest, has_changed } => {
                    self.delete(digest, has_changed);
                    left = left.saturating_sub(1);
                }
            }
        }
        if !self.tasks.queue.is_empty() {
            self.nudge();
        }
    }

    pub(super) fn nudge(&mut self) {
        if self.tasks.nudged {
            return;
        }
        // Without a queue the tick does the work.
        if let Some(me) = self.me() {
            self.tasks.nudged = self.host.send(QueueId(me.0), &Message::Nudge.encode());
        }
    }
}

/// How many waiters to answer at once: each answer's body is copied out at the end of the callback.
fn portion(outcome: &Outcome) -> usize {
    let bytes = match outcome {
        Outcome::Answer(answer) => answer.entry.len(),
        Outcome::Alone(_) | Outcome::Failed(_) | Outcome::Lost => 0,
    };
    PORTION_BYTES.checked_div(bytes).unwrap_or(PORTION).clamp(1, PORTION)
}

/// Streams settled per callback.
const PORTION: usize = 32;
/// Bytes copied out per callback.
const PORTION_BYTES: usize = 4 * 1024 * 1024;
