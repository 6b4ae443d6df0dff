//! The tick: whatever must happen though nobody asks for it.

use super::Worker;
use super::tasks::Task;
use crate::host::{Host, StreamId, TICK};
use crate::time::Mono;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

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
        let overdue = due(&mut self.flights.deadlines, now);
        if !overdue.is_empty() {
            self.later(Task::TimeOut(overdue));
        }
        self.give_up_bodies(now);
        self.watch_leases(now);
        self.release_unsure(now);
        self.probe_remote(now);
        self.heed_operators();
        self.tend_circuits(now);
        self.ask_fleet(now);
        self.counters.flush(&self.host);
    }
}

/// Takes out who is due.
pub(super) fn due(all: &mut BTreeSet<(Mono, StreamId)>, now: Mono) -> VecDeque<StreamId> {
    let later = all.split_off(&(now.after(Duration::from_millis(1)), StreamId(0)));
    std::mem::replace(all, later).into_iter().map(|(_, stream)| stream).collect()
}

/// Timers are not exact, and a tick that comes this early is one.
const EARLY: Duration = Duration::from_millis(2);
