//! The tick: whatever must happen though nobody asks for it.

use super::Worker;
use super::tasks::Task;
use crate::host::{Host, StreamId, TICK};
use crate::time::Mono;
use std::collections::VecDeque;

impl<H: Host> Worker<H> {
    pub(super) fn tick(&mut self) {
        let now = self.host.mono();
        self.look_again_at(now);
        if self.is_hurried() {
            self.nudge();
        }
        // What comes in between is for them alone.
        if now >= self.next_tick {
            self.next_tick = now.after(TICK.saturating_sub(EARLY));
            self.whole_tick(now);
        }
        self.work();
    }

    fn whole_tick(&mut self, now: Mono) {
        let overdue = self.overdue(now);
        if !overdue.is_empty() {
            self.later(Task::TimeOut(overdue));
        }
        self.give_up_bodies(now);
        self.watch_leases(now);
        self.release_unsure(now);
        self.probe_remote(now);
        self.synchronize_breakers();
        self.counters.flush(&self.host);
    }

    /// Who has waited for as long as it may.
    fn overdue(&mut self, now: Mono) -> VecDeque<StreamId> {
        let later =
            self.flights.deadlines.split_off(&(now.after(std::time::Duration::from_millis(1)), StreamId(0)));
        let overdue = std::mem::replace(&mut self.flights.deadlines, later);
        overdue.into_iter().map(|(_, stream)| stream).collect()
    }
}

/// Timers are not exact, and a tick that comes this early is one.
const EARLY: std::time::Duration = std::time::Duration::from_millis(2);
