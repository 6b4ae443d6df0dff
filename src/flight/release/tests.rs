use super::*;
use crate::testing::cases;
use proptest::prelude::*;
use std::collections::BTreeMap;

const MOST: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Step {
    Release(usize, u32),
    Next(usize),
    Leave(u32),
}

/// What is tested, with where each request stands, as each keeps it in mind itself.
#[derive(Clone, Debug, Default)]
struct Worker {
    releases: Releases<u32>,
    standings: BTreeMap<u32, (usize, Released)>,
}

impl Worker {
    fn of(streams: impl IntoIterator<Item = u32>) -> Self {
        let mut worker = Self::default();
        for stream in streams {
            worker.release(0, stream);
        }
        worker
    }

    /// Whether it goes.
    fn release(&mut self, rule: usize, stream: u32) -> bool {
        let standing = self.releases.release(rule, stream, MOST);
        self.standings.insert(stream, (rule, standing));
        standing == Released::Out
    }

    fn next(&mut self, rule: usize) -> Option<u32> {
        let stream = self.releases.next(rule, MOST)?;
        self.standings.insert(stream, (rule, Released::Out));
        Some(stream)
    }

    fn leave(&mut self, stream: u32) -> bool {
        let left = self.standings.remove(&stream);
        left.is_some_and(|(rule, standing)| self.releases.leave(rule, standing))
    }
}

/// A naive twin: who is out, and who stays in which order, by rule.
#[derive(Clone, Debug, Default, PartialEq)]
struct Twin {
    out: Vec<(usize, u32)>,
    staying: Vec<(usize, u32)>,
}

impl Twin {
    fn of(all: &[(usize, u32)], rule: usize) -> Vec<u32> {
        all.iter().filter(|(other, _)| *other == rule).map(|(_, stream)| *stream).collect()
    }

    /// Takes the step on both sides and compares what is seen of it.
    fn step(&mut self, worker: &mut Worker, step: Step) {
        match step {
            Step::Release(_, stream) if worker.standings.contains_key(&stream) => {}
            Step::Release(rule, stream) => {
                let (out, staying) = (Self::of(&self.out, rule).len(), Self::of(&self.staying, rule).len());
                let goes = out < MOST && staying == 0;
                assert_eq!(worker.release(rule, stream), goes);
                if goes { &mut self.out } else { &mut self.staying }.push((rule, stream));
            }
            Step::Next(rule) => {
                let first = Self::of(&self.staying, rule).first().copied();
                let expected = first.filter(|_| Self::of(&self.out, rule).len() < MOST);
                assert_eq!(worker.next(rule), expected);
                if let Some(stream) = expected {
                    self.staying.retain(|(_, other)| *other != stream);
                    self.out.push((rule, stream));
                }
            }
            Step::Leave(stream) => {
                let mut all = self.out.iter().chain(&self.staying);
                let rule = all.find(|(_, other)| *other == stream).map(|(rule, _)| *rule);
                self.out.retain(|(_, other)| *other != stream);
                self.staying.retain(|(_, other)| *other != stream);
                let others = rule.is_some_and(|rule| !Self::of(&self.staying, rule).is_empty());
                assert_eq!(worker.leave(stream), others);
            }
        }
        for (rule, lane) in worker.releases.lanes.iter().enumerate() {
            assert!(lane.out <= MOST);
            assert_eq!(lane.out, Self::of(&self.out, rule).len());
            assert!(lane.staying.values().eq(&Self::of(&self.staying, rule)));
        }
        assert_eq!(worker.releases.staying(), self.staying.len());
    }
}

#[test]
fn as_many_go_as_may_and_one_more_stays() {
    let mut worker = Worker::default();
    assert_eq!([1, 2, 3].map(|stream| worker.release(0, stream)), [true, true, false]);
    assert!(worker.release(1, 4), "each rule has its own");
    assert_eq!(worker.next(0), None);
}

#[test]
fn each_that_comes_back_makes_room_for_the_first_that_stays() {
    let mut worker = Worker::of(1..=4);
    assert!(worker.leave(1));
    assert_eq!((worker.next(0), worker.next(0)), (Some(3), None));
    assert!(worker.leave(3));
    assert_eq!(worker.next(0), Some(4));
    assert!(!worker.leave(2) && !worker.leave(4), "nobody stays any more");
}

#[test]
fn who_leaves_while_it_stays_has_no_turn() {
    let mut worker = Worker::of(1..=4);
    worker.leave(3);
    assert_eq!(worker.releases.staying(), 1);
    worker.leave(1);
    assert_eq!(worker.next(0), Some(4));
}

#[test]
fn nobody_overtakes_those_who_stay() {
    let mut worker = Worker::of(1..=3);
    worker.leave(1);
    assert!(!worker.release(0, 4), "it is the turn of another");
    assert_eq!(worker.next(0), Some(3));
}

#[test]
fn every_step_in_every_state_goes_as_a_naive_list_has_it() {
    let steps: Vec<Step> = (0..4).map(|stream| Step::Release(0, stream)).collect();
    let steps: Vec<Step> = steps.into_iter().chain((0..4).map(Step::Leave)).chain([Step::Next(0)]).collect();
    let mut worlds = vec![(Worker::default(), Twin::default())];
    let mut known = 0;
    while known < worlds.len() {
        let (worker, twin) = worlds[known].clone();
        known += 1;
        for step in &steps {
            let (mut worker, mut twin) = (worker.clone(), twin.clone());
            twin.step(&mut worker, *step);
            if !worlds.iter().any(|(_, other)| *other == twin) {
                worlds.push((worker, twin));
            }
        }
    }
    assert!(worlds.iter().any(|(_, twin)| twin.out.len() == MOST && twin.staying.len() == 2));
    assert!(worlds.iter().any(|(_, twin)| twin.out.is_empty() && !twin.staying.is_empty()));
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0_usize..2, 0_u32..12).prop_map(|(rule, stream)| Step::Release(rule, stream)),
        2 => (0_usize..2).prop_map(Step::Next),
        4 => (0_u32..12).prop_map(Step::Leave),
    ]
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn many_go_as_a_naive_list_has_it(steps in prop::collection::vec(any_step(), 0..80)) {
        let (mut worker, mut twin) = (Worker::default(), Twin::default());
        steps.into_iter().for_each(|step| twin.step(&mut worker, step));
    }

    /// If each that leaves has the next one go, nobody stays while there is room, and at the end nothing is left.
    #[test]
    fn while_there_is_room_nobody_stays(steps in prop::collection::vec(any_step(), 0..80)) {
        let (mut worker, mut twin) = (Worker::default(), Twin::default());
        let leave = |worker: &mut Worker, twin: &mut Twin, stream| {
            twin.step(worker, Step::Leave(stream));
            (0..2).for_each(|rule| twin.step(worker, Step::Next(rule)));
        };
        for step in steps {
            match step {
                Step::Leave(stream) => leave(&mut worker, &mut twin, stream),
                step => twin.step(&mut worker, step),
            }
            for rule in 0..2 {
                let (out, staying) = (Twin::of(&twin.out, rule).len(), Twin::of(&twin.staying, rule).len());
                prop_assert!(staying == 0 || out == MOST, "rule {}: {} out, {} stay", rule, out, staying);
            }
        }
        (0..12).for_each(|stream| leave(&mut worker, &mut twin, stream));
        prop_assert_eq!(worker.releases.staying(), 0);
        prop_assert!(worker.releases.lanes.iter().all(|lane| lane.out == 0 && lane.staying.is_empty()));
    }
}
