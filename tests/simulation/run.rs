//! One run, and many of them on two threads.

use crate::judge::{Breach, Judge, Promise, Reach};
use crate::origin::{Made, Origin};
use crate::scenario::{Scenario, Terms};
use breakwater::host::Role;
use breakwater::host::sim::{ClientId, SimHost, World};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Makes a worker's role.
pub type Maker = fn(SimHost, usize, usize, &Terms) -> Box<dyn Role>;

/// How far it reaches at most with these terms.
pub type Reaching = fn(&Terms) -> Reach;

/// How a run went wrong, and what led there.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub breach: Breach,
    pub trace: Vec<String>,
}

/// Runs one seed's scenario.
pub fn run(seed: u64, maker: Maker, reach: Reaching, trace: bool) -> Result<World, Failure> {
    let mut scenario = Scenario::of(seed);
    scenario.config.trace = trace;
    let origin = Rc::new(RefCell::new(Origin::new(scenario.kinds.clone(), scenario.health)));
    let mut judge = Judge::new(&scenario, origin.clone(), reach(&scenario.terms));
    let terms = scenario.terms;
    let mut world = World::new(
        seed,
        scenario.config.clone(),
        move |host, envoy, worker| maker(host, envoy, worker, &terms),
        {
            let origin = origin.clone();
            move |asked, rng| origin.borrow_mut().ask(asked, rng)
        },
    );
    scenario.schedule(&mut world);
    let end = Duration::from_secs(60);
    let verdict = loop {
        if let Err(breach) = judge.look(&mut world) {
            break Err(breach);
        }
        if world.is_idle() {
            break judge.close(&world);
        }
        if world.now() > end {
            let what = format!("not at rest after {end:?}");
            break Err(Breach { promise: Promise::NobodyStranded, what });
        }
        world.step();
    };
    match verdict {
        Ok(()) => Ok(world),
        Err(breach) => {
            let mut trace = world.trace();
            trace.push(format!("{terms:?}"));
            for line in &mut trace {
                tell_request(line, &world);
                tell_answer(line, &origin.borrow());
            }
            Err(Failure { seed, breach, trace })
        }
    }
}

/// Where a client comes in, what it asks for and where.
fn tell_request(line: &mut String, world: &World) {
    let Some((_, number)) = line.split_once(" Began(ClientId(") else { return };
    let Ok(number) = number.trim_end_matches(')').parse() else { return };
    let Some(client) = world.client(ClientId(number)) else { return };
    let request = client.request;
    line.push_str(&format!(" on {}.{} {:?}", request.envoy, request.worker, request.fields));
}

/// What the upstream says.
fn tell_answer(line: &mut String, origin: &Origin) {
    let Some((_, number)) = line.split_once(" Heading { serial: ") else { return };
    let Ok(number) = number.trim_end_matches(" }").parse() else { return };
    let Some(made) = origin.made.get(&number) else { return };
    let Made { status, forbidden, confirms, lifetime, .. } = &**made;
    line.push_str(&format!(" {status} {confirms:?} for {lifetime:?}, {forbidden:?}"));
}

/// A number that the environment asks for.
pub fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect(name))
}

/// Runs many seeds and panics with the smallest that fails and what led there; `BREAKWATER_SEED` runs that one alone.
pub fn run_seeds(seeds: u64, maker: Maker, reach: Reaching) {
    if let Some(seed) = asked("BREAKWATER_SEED") {
        return report(run(seed, maker, reach, true).map(|_| ()), usize::MAX);
    }
    let next = AtomicU64::new(0);
    let worst = Mutex::new(None::<u64>);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || worst.lock().unwrap().is_some_and(|worst| worst < seed) {
                        return;
                    }
                    if run(seed, maker, reach, false).is_err() {
                        let mut worst = worst.lock().unwrap();
                        *worst = Some(worst.map_or(seed, |known| known.min(seed)));
                    }
                }
            });
        }
    });
    if let Some(seed) = worst.into_inner().unwrap() {
        report(run(seed, maker, reach, true).map(|_| ()), 150);
        panic!("seed {seed} failed once and not again: the simulation is not deterministic");
    }
}

fn report(outcome: Result<(), Failure>, lines: usize) {
    if let Err(failure) = outcome {
        let from = failure.trace.len().saturating_sub(lines);
        for line in &failure.trace[from..] {
            eprintln!("{line}");
        }
        let Failure { seed, breach, .. } = failure;
        panic!(
            "seed {seed}: {:?} broken: {}\nreplay with BREAKWATER_SEED={seed}",
            breach.promise, breach.what
        );
    }
}
