//! From a seed to sequences.
//!
//! A sequence is a handful of exchanges about the same one or two URLs, since it is in what follows upon what that
//! caches go wrong. Each has a theme, which makes the fields of one part of the RFC frequent enough to meet one
//! another; all other fields come in now and then. Pauses and lifetimes are drawn so that what is fresh and what is
//! stale lie clearly apart most of the time.

mod requests;
mod responses;
mod values;

use crate::rng::Rng;
use crate::script::{Failure, Resource, Sequence, Step, Url};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    Anything,
    Directives,
    Callers,
    Variants,
    Validation,
    Parts,
    Writes,
    Failures,
    Heuristic,
    Statuses,
    Targeted,
}

const THEMES: [(u32, Theme); 11] = [
    (10, Theme::Anything),
    (16, Theme::Directives),
    (8, Theme::Callers),
    (11, Theme::Variants),
    (14, Theme::Validation),
    (10, Theme::Parts),
    (9, Theme::Writes),
    (8, Theme::Failures),
    (5, Theme::Heuristic),
    (5, Theme::Statuses),
    (4, Theme::Targeted),
];

/// The sequence of this number.
pub fn sequence(seed: u64, number: usize) -> Sequence {
    let mut rng = Rng::new(
        seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (number as u64).wrapping_mul(0x9e6c_63d0_876a_3f1b),
    );
    let rng = &mut rng;
    let theme = rng.weighted(&THEMES);
    let mut sequence = Sequence { seed, number, round: 0, one_connection: rng.chance(40), steps: Vec::new() };
    let mut world = World { resources: BTreeMap::new(), representations: 0 };
    for place in 0..2 + rng.below(5) {
        let step = step(rng, theme, &sequence, &mut world, place == 0);
        sequence.steps.push(step);
    }
    sequence
}

/// What the origin has.
struct World {
    resources: BTreeMap<Url, Resource>,
    representations: u64,
}

fn step(rng: &mut Rng, theme: Theme, sequence: &Sequence, world: &mut World, first: bool) -> Step {
    // The first request brings something that is worth asking for again.
    let method = if first && rng.chance(90) { "GET" } else { requests::method(rng, theme) };
    let url = if first { Url::A } else { requests::url(rng, theme) };
    let pause = rng.weighted(&[(60, 0), (15, 1_200), (25, 2_300)]);
    let pause = if first { 0 } else { pause };
    let fields = requests::fields(rng, theme);
    let resource = world.resource(rng, theme, sequence, url);
    let is_write = !["GET", "HEAD", "OPTIONS"].contains(&method);
    let mut origin = match is_write {
        true => {
            let answer = responses::written(rng, sequence, url, &resource);
            if answer.status < 400 {
                world.change(rng, theme, sequence, url);
            }
            answer
        }
        false => resource,
    };
    let failing = if theme == Theme::Failures { 45 } else { 4 };
    if !first && rng.chance(failing) {
        let failures =
            [(55, Failure::Status(503)), (10, Failure::Status(500)), (25, Failure::Drop), (10, Failure::Cut)];
        origin.failure = Some(rng.weighted(&failures));
    }
    Step { pause, url, method, fields, body: requests::body(rng, method), origin }
}

impl World {
    /// What is at `url` now: as it was, described anew, or changed.
    fn resource(&mut self, rng: &mut Rng, theme: Theme, sequence: &Sequence, url: Url) -> Resource {
        let change = rng.weighted(&[(50, "none"), (30, "fields"), (20, "representation")]);
        match self.resources.get_mut(&url) {
            Some(resource) if change == "none" => resource.clone(),
            Some(resource) if change == "fields" => {
                responses::refresh(rng, theme, sequence, resource);
                resource.clone()
            }
            _ => {
                self.change(rng, theme, sequence, url);
                self.resources[&url].clone()
            }
        }
    }

    fn change(&mut self, rng: &mut Rng, theme: Theme, sequence: &Sequence, url: Url) {
        self.representations += 1;
        let resource = responses::resource(rng, theme, sequence, self.representations);
        self.resources.insert(url, resource);
    }
}
