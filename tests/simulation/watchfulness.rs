//! Who watches the watchman: the judge lets a right plugin pass and notices each way of being wrong.

use crate::judge::{Promise, Reach};
use crate::run::{Maker, Reaching, run, run_seeds};
use crate::scenario::{MARK, Terms};
use crate::toy::{Flaw, Toy};
use breakwater::host::sim::SimHost;
use breakwater::host::{CalloutId, Flow, Host, Level, QueueId, Role, StreamId};

/// Does nothing at all, but for taking off the mark that is its own.
struct PassThrough(SimHost);

impl Role for PassThrough {
    fn on_tick(&mut self) {}
    fn on_message(&mut self, _: QueueId) {}
    fn on_callout(&mut self, _: CalloutId, _: Option<Vec<u8>>) {}
    fn on_request(&mut self, stream: StreamId, _: bool) -> Flow {
        self.0.set_request_field(stream, MARK, None);
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

#[test]
fn the_simulation_finds_nothing_where_nothing_is_done() {
    run_seeds(100, |host, _, _, _| Box::new(PassThrough(host)), |_| Reach::Nowhere);
}

#[test]
fn the_simulation_finds_nothing_in_a_right_coalescer() {
    run_seeds(
        300,
        |host, _, _, terms| Box::new(Toy::new(host, Flaw::None, terms.wait_timeout)),
        |_| Reach::Worker,
    );
}

#[test]
fn a_seed_runs_the_same_way_twice() {
    for seed in 0..10 {
        let maker: Maker = |host, _, _, terms| Box::new(Toy::new(host, Flaw::None, terms.wait_timeout));
        let [first, second] = [(); 2].map(|()| run(seed, maker, |_| Reach::Worker, true).unwrap().trace());
        assert!(!first.is_empty());
        assert_eq!(first, second, "seed {seed}");
    }
}

/// The first promise found broken in each of the first seeds, until `expected` is among them.
fn assert_noticed(expected: Promise, reach: Reaching, maker: Maker) {
    let mut found = Vec::new();
    for seed in 0..200 {
        if let Err(failure) = run(seed, maker, reach, false) {
            if failure.breach.promise == expected {
                return;
            }
            found.push(format!("seed {seed}: {:?}", failure.breach));
        }
    }
    panic!("{expected:?} was never found broken, only {found:#?}");
}

#[test]
fn the_simulation_notices_a_flight_that_ends_at_its_workers_edge() {
    let maker: Maker = |host, _, _, terms| Box::new(Toy::new(host, Flaw::None, terms.wait_timeout));
    assert_noticed(Promise::OneFlight, |_| Reach::Envoy, maker);
}

/// The toy with leases among all workers.
fn leasing(host: SimHost, flaw: Flaw, terms: &Terms) -> Box<dyn Role> {
    let toy = Toy::new(host, flaw, terms.wait_timeout);
    Box::new(if leasing_reaches(terms) == Reach::Workers { toy.leasing(terms.lease) } else { toy })
}

fn leasing_reaches(terms: &Terms) -> Reach {
    if terms.reach() == Reach::Fleet { Reach::Workers } else { Reach::Worker }
}

#[test]
fn the_simulation_finds_nothing_in_right_leases() {
    run_seeds(300, |host, _, _, terms| leasing(host, Flaw::None, terms), leasing_reaches);
}

macro_rules! notices_of_leases {
    ($($test:ident: $flaw:ident breaks $promise:ident;)*) => {
        $(
            #[test]
            fn $test() {
                let maker: Maker = |host, _, _, terms| leasing(host, Flaw::$flaw, terms);
                assert_noticed(Promise::$promise, leasing_reaches, maker);
            }
        )*
    };
}

notices_of_leases! {
    the_simulation_notices_a_flight_beside_another_envoys_lease: IgnoresLeases breaks OneFlight;
    the_simulation_notices_a_lease_that_ends_before_its_flight: LetsLeasesEnd breaks OneFlight;
    the_simulation_notices_the_end_of_anothers_lease: EndsLeasesOfOthers breaks OneFlight;
    the_simulation_notices_a_lease_for_ever: LeasesForEver breaks Leases;
    the_simulation_notices_a_lease_that_is_kept: KeepsLeases breaks Leases;
    the_simulation_notices_whoever_waits_for_redis: NeedsRedis breaks NobodyStranded;
}

macro_rules! notices {
    ($($test:ident: $flaw:ident breaks $promise:ident;)*) => {
        $(
            #[test]
            fn $test() {
                fn maker(host: SimHost, _: usize, _: usize, terms: &Terms) -> Box<dyn Role> {
                    Box::new(Toy::new(host, Flaw::$flaw, terms.wait_timeout))
                }
                assert_noticed(Promise::$promise, |_| Reach::Worker, maker);
            }
        )*
    };
}

notices! {
    the_simulation_notices_a_second_flight: NoFlight breaks OneFlight;
    the_simulation_notices_a_private_answer_shared: IgnoresPermission breaks Sharing;
    the_simulation_notices_a_fragment_shared: SharesFragments breaks Whole;
    the_simulation_notices_the_stranded: Strands breaks NobodyStranded;
    the_simulation_notices_an_answer_older_than_a_write: IgnoresWrites breaks AfterWrites;
    the_simulation_notices_an_answer_past_its_lifetime: NeverExpires breaks Fresh;
    the_simulation_notices_a_reply_from_another_streams_callback: AnswersFromStream breaks Manners;
    the_simulation_notices_too_many_replies_at_once: AnswersAllAtOnce breaks Manners;
    the_simulation_notices_growth_without_bound: Leaks breaks Bounded;
    the_simulation_notices_a_private_answer_kept: KeepsEverything breaks Keeping;
    the_simulation_notices_an_error_without_cause: FailsAtTimes breaks Cause;
    the_simulation_notices_the_mark_at_the_upstream: PassesTheMark breaks Refreshing;
    the_simulation_notices_two_refreshes_at_a_time: RefreshesAlways breaks Refreshing;
    the_simulation_notices_a_panic: Panics breaks Manners;
}

/// Says something of its circuit with each first request of a second, and lets all pass.
struct Talker(PassThrough, &'static str, u64);

impl Role for Talker {
    fn on_tick(&mut self) {}
    fn on_message(&mut self, _: QueueId) {}
    fn on_callout(&mut self, _: CalloutId, _: Option<Vec<u8>>) {}
    fn on_request(&mut self, stream: StreamId, end: bool) -> Flow {
        let second = self.0.0.mono().0 / 1_000;
        if second > self.2 {
            self.2 = second;
            self.0.0.log(Level::Warn, self.1);
        }
        self.0.on_request(stream, end)
    }
    fn on_response(&mut self, _: StreamId, _: bool) -> Flow {
        Flow::Continue
    }
    fn on_response_body(&mut self, _: StreamId, _: usize, _: bool) -> Flow {
        Flow::Continue
    }
    fn on_gone(&mut self, _: StreamId) {}
}

/// Such a line breaks a promise about circuits.
macro_rules! notices_a_line {
    ($($name:ident: $line:literal;)*) => {
        $(
            #[test]
            fn $name() {
                let maker: Maker = |host, _, _, _| Box::new(Talker(PassThrough(host), $line, 0));
                assert_noticed(Promise::Circuits, |_| Reach::Nowhere, maker);
            }
        )*
    };
}

notices_a_line! {
    the_simulation_notices_a_request_that_passes_an_open_circuit:
        "circuit default to origin: closed -> open for 900 ms (failure-rate)";
    the_simulation_notices_two_probes_at_a_time:
        "circuit default to origin: open -> half-open (time-over)";
    the_simulation_notices_a_circuit_that_calls_slow_what_is_not:
        "circuit default to origin: closed -> open for 1 ms (slow-calls)";
}
