use super::*;
use crate::host::sim::{Answer, Config, Outcome, Script, SimHost, World};
use crate::host::{CalloutId, Flow, QueueId, Role, StreamId};
use std::collections::BTreeSet;
use std::time::Duration;

const RULES: [&str; 3] = ["chat", "list", "default"];

/// A worker that counts once, and hands over with every tick.
struct Counting {
    host: SimHost,
    counters: Option<Counters>,
    count: fn(&mut Counters, &SimHost),
}

impl Role for Counting {
    fn on_tick(&mut self) {
        let counters = self.counters.get_or_insert_with(|| {
            let mut counters = Counters::define(&self.host, &RULES);
            (self.count)(&mut counters, &self.host);
            counters
        });
        counters.flush(&self.host);
    }
    fn on_message(&mut self, _: QueueId) {}
    fn on_callout(&mut self, _: CalloutId, _: Option<Vec<u8>>) {}
    fn on_request(&mut self, _: StreamId, _: bool) -> Flow {
        Flow::Continue
    }
    fn on_response(&mut self, _: StreamId, _: bool) -> Flow {
        Flow::Continue
    }
    fn on_response_body(&mut self, _: StreamId, _: usize, _: bool) -> Flow {
        Flow::Continue
    }
    fn on_gone(&mut self, _: StreamId) {}
}

/// What an Envoy of two workers and the main thread shows after some ticks.
fn shown(count: fn(&mut Counters, &SimHost)) -> World {
    let factory =
        move |host: SimHost, _, _| -> Box<dyn Role> { Box::new(Counting { host, counters: None, count }) };
    let upstream =
        |_: &_, _: &mut _| Script { wait: Duration::ZERO, outcome: Outcome::Answer(Answer::new(200, b"")) };
    let mut world = World::new(1, Config::default(), factory, upstream);
    world.run_until(Duration::from_millis(200));
    assert!(world.faults().is_empty(), "{:?}", world.faults());
    world
}

const VMS: i64 = 3;

#[test]
fn all_stats_stand_at_zero_from_the_start() {
    let metrics = shown(|_, _| {}).metrics(0);
    assert!(metrics.iter().all(|(_, value)| *value == 0));
    let expected = RULES.len() * (Answered::ALL.len() + Reason::ALL.len() + Cause::ALL.len())
        + Occurrence::ALL.len()
        + 4;
    assert_eq!(metrics.len(), expected);
}

#[test]
fn what_is_counted_shows_under_its_own_name_and_no_other() {
    let world = shown(|counters, _| {
        counters.answered(1, Answered::HitL2);
        counters.answered(1, Answered::HitL2);
        counters.answered(0, Answered::Refused);
        counters.because(2, Reason::VaryMiss);
        counters.occurred(Occurrence::BreakerOpened);
    });
    let counted: Vec<_> = world.metrics(0).into_iter().filter(|(_, value)| *value != 0).collect();
    let expected = [
        ("breakwater.requests.refused.rule.chat", VMS),
        ("breakwater.requests.hit-l2.rule.list", 2 * VMS),
        ("breakwater.reasons.vary-miss.rule.default", VMS),
        ("breakwater.breaker.opened", VMS),
    ];
    assert_eq!(counted, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn everything_countable_has_a_counter_of_its_own() {
    let world = shown(|counters, host| {
        counters.waiting(1, host);
        counters.circuits([1; 3]);
        for rule in 0..RULES.len() {
            Cause::ALL.into_iter().for_each(|cause| counters.transition(rule, cause));
            Answered::ALL.into_iter().for_each(|answered| counters.answered(rule, answered));
            Reason::ALL.into_iter().for_each(|reason| counters.because(rule, reason));
        }
        Occurrence::ALL.into_iter().for_each(|occurrence| counters.occurred(occurrence));
    });
    let wrong: Vec<_> = world.metrics(0).into_iter().filter(|(_, value)| *value != VMS).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn what_goes_up_and_down_shows_as_it_stands() {
    let waiters = |count| shown(count).metrics(0).into_iter().find(|(name, _)| name == "breakwater.waiters");
    let told = waiters(|counters, host| {
        for waiters in [3, 5, 2] {
            counters.waiting(waiters, host);
            counters.flush(host);
        }
    });
    assert_eq!(told.unwrap().1, 2 * VMS);
    // Of a worker that goes, nothing is handed over any more.
    let gone = |count| waiters(count).unwrap().1;
    let some = gone(|counters, host| going(counters, host, 2));
    let none = gone(|counters, host| going(counters, host, 0));
    assert_eq!((some, none), (3 * VMS, 0));
}

fn going(counters: &mut Counters, host: &SimHost, waiters: usize) {
    counters.waiting(3, host);
    counters.flush(host);
    counters.waiting(waiters, host);
    *counters = Counters::define(host, &RULES);
}

#[test]
fn a_rule_that_is_not_there_is_counted_nowhere() {
    let world = shown(|counters, _| {
        counters.answered(RULES.len(), Answered::Miss);
        counters.because(usize::MAX, Reason::Stale);
    });
    assert!(world.metrics(0).iter().all(|(_, value)| *value == 0));
}

#[test]
fn each_word_is_used_once() {
    let answered: BTreeSet<_> = Answered::ALL.map(Answered::word).into();
    let stats: BTreeSet<_> = Occurrence::ALL.map(Occurrence::stat).into();
    assert_eq!((answered.len(), stats.len()), (Answered::ALL.len(), Occurrence::ALL.len()));
    assert!(stats.iter().all(|stat| stat.starts_with("breakwater.")));
}
