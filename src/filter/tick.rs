//! The tick: whatever must happen though nobody asks for it.

use super::Worker;
use super::tasks::Task;
use crate::host::{Host, StreamId};
use crate::time::Mono;
use std::collections::VecDeque;

impl<H: Host> Worker<H> {
    pub(super) fn tick(&mut self) {
        let now = self.host.mono();
        let overdue = self.overdue(now);
        if !overdue.is_empty() {
            self.later(Task::TimeOut(overdue));
        }
        self.give_up_bodies(now);
        self.watch_leases(now);
        self.probe_remote(now);
        self.synchronize_breakers();
        self.counters.flush(&self.host);
        self.work();
    }

    /// Who has waited for as long as it may.
    fn overdue(&mut self, now: Mono) -> VecDeque<StreamId> {
        let later =
            self.flights.deadlines.split_off(&(now.after(std::time::Duration::from_millis(1)), StreamId(0)));
        let overdue = std::mem::replace(&mut self.flights.deadlines, later);
        overdue.into_iter().map(|(_, stream)| stream).collect()
    }
}
