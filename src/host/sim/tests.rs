//! The simulator keeps to what was measured on Envoy.

use super::*;
use crate::host::{CalloutId, Flow, Host, MetricKind, QueueId, Role, Source, StreamId};
use crate::http::Fields;
use std::cell::RefCell;
use std::rc::Rc;

/// What a role is told.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Tick,
    Message(QueueId),
    Callout(CalloutId, Option<Vec<u8>>),
    Request(StreamId, bool),
    Response(StreamId, bool),
    Body(StreamId, usize, bool),
    Gone(StreamId),
}

/// A role that is one function, and writes down what it was told.
struct Puppet<F> {
    host: SimHost,
    place: (usize, usize),
    act: F,
    told: Log,
}

impl<F: FnMut(&SimHost, Told) -> Flow> Puppet<F> {
    fn tell(&mut self, told: Told) -> Flow {
        if told != Told::Tick {
            self.told.borrow_mut().push((self.place, told.clone()));
        }
        (self.act)(&self.host, told)
    }
}

impl<F: FnMut(&SimHost, Told) -> Flow> Role for Puppet<F> {
    fn on_tick(&mut self) {
        self.tell(Told::Tick);
    }
    fn on_message(&mut self, queue: QueueId) {
        self.tell(Told::Message(queue));
    }
    fn on_callout(&mut self, callout: CalloutId, answer: Option<Vec<u8>>) {
        self.tell(Told::Callout(callout, answer));
    }
    fn on_request(&mut self, stream: StreamId, end: bool) -> Flow {
        self.tell(Told::Request(stream, end))
    }
    fn on_response(&mut self, stream: StreamId, end: bool) -> Flow {
        self.tell(Told::Response(stream, end))
    }
    fn on_response_body(&mut self, stream: StreamId, len: usize, end: bool) -> Flow {
        self.tell(Told::Body(stream, len, end))
    }
    fn on_gone(&mut self, stream: StreamId) {
        self.tell(Told::Gone(stream));
    }
}

type Log = Rc<RefCell<Vec<((usize, usize), Told)>>>;

/// A world of puppets before an upstream that answers 200 "hello" after 10 ms.
fn world<F>(config: Config, act: F) -> (World, Log)
where
    F: FnMut(&SimHost, Told) -> Flow + Clone + 'static,
{
    world_before(config, act, |_, _| Script {
        wait: ms(10),
        outcome: Outcome::Answer(Answer::new(200, b"hello")),
    })
}

fn world_before<F>(
    config: Config,
    act: F,
    upstream: impl FnMut(&Asked, &mut Rng) -> Script + 'static,
) -> (World, Log)
where
    F: FnMut(&SimHost, Told) -> Flow + Clone + 'static,
{
    let told = Log::default();
    let log = told.clone();
    let factory = move |host: SimHost, envoy, worker| -> Box<dyn Role> {
        Box::new(Puppet { host, place: (envoy, worker), act: act.clone(), told: log.clone() })
    };
    (World::new(1, config, factory, upstream), told)
}

fn get(worker: usize) -> ClientRequest {
    ClientRequest::new(0, worker, "GET", "/")
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn streams_told(log: &Log) -> Vec<Told> {
    log.borrow().iter().map(|(_, told)| told.clone()).collect()
}

fn finished(world: &mut World, client: ClientId) -> Client {
    world.run_until_idle();
    world.client(client).unwrap()
}

#[test]
fn a_request_let_through_is_answered_by_the_upstream_in_pieces() {
    let (mut world, log) = world(Config::default(), |_, _| Flow::Continue);
    let client = world.request(ms(1), get(0));
    let client = finished(&mut world, client);
    assert_eq!((client.status(), client.body.as_slice()), (Some(200), &b"hello"[..]));
    let told = streams_told(&log);
    assert_eq!(told.first(), Some(&Told::Request(StreamId(2), true)));
    assert_eq!(told.get(1), Some(&Told::Response(StreamId(2), false)));
    let pieces: Vec<_> = told
        .iter()
        .filter_map(|told| if let Told::Body(_, n, end) = told { Some((*n, *end)) } else { None })
        .collect();
    assert_eq!(pieces.iter().map(|(n, _)| n).sum::<usize>(), 5);
    assert_eq!(pieces.iter().filter(|(_, end)| *end).count(), 1);
    assert_eq!(told.last(), Some(&Told::Gone(StreamId(2))));
    assert!(world.faults().is_empty());
}

#[test]
fn request_fields_are_gone_once_the_request_was_let_through() {
    let (mut world, _) = world(Config::default(), |host, told| {
        match told {
            Told::Request(stream, _) => {
                assert_eq!(host.request_fields(stream).get(b":path"), Some(&b"/"[..]))
            }
            Told::Response(stream, _) => assert!(host.request_fields(stream).is_empty()),
            _ => {}
        }
        Flow::Continue
    });
    world.request(ms(1), get(0));
    world.run_until_idle();
    assert!(world.faults().is_empty(), "{:?}", world.faults());
}

#[test]
fn a_reply_passes_the_plugin_as_its_own() {
    let (mut world, log) = world(Config::default(), |host, told| {
        match told {
            Told::Request(stream, _) => host.reply(stream, 418, &Fields::new(), b"tea"),
            Told::Response(stream, _) => {
                assert_eq!(host.response_source(stream), Source::Own);
                host.add_response_field(stream, "x-seen", b"1");
            }
            _ => {}
        }
        Flow::Continue
    });
    let client = world.request(ms(1), get(0));
    let client = finished(&mut world, client);
    assert_eq!((client.status(), client.body.as_slice()), (Some(418), &b"tea"[..]));
    assert_eq!(client.head.unwrap().get("x-seen"), Some(&b"1"[..]));
    assert!(client.serials.is_empty());
    let id = StreamId(2);
    let whole = [Told::Request(id, true), Told::Response(id, false), Told::Body(id, 3, true), Told::Gone(id)];
    assert_eq!(streams_told(&log), whole);
    assert!(world.faults().is_empty(), "{:?}", world.faults());
}

#[test]
fn a_reply_takes_the_place_of_the_response_whose_head_passes() {
    let (mut world, log) = world(Config::default(), |host, told| {
        if let Told::Response(stream, _) = told {
            host.reply(stream, 503, &Fields::new(), b"stale");
        }
        Flow::Continue
    });
    let client = world.request(ms(1), get(0));
    let client = finished(&mut world, client);
    assert_eq!((client.status(), client.body.as_slice()), (Some(503), &b"stale"[..]));
    let id = StreamId(2);
    assert_eq!(streams_told(&log), [Told::Request(id, true), Told::Response(id, false), Told::Gone(id)]);
    assert!(world.faults().is_empty(), "{:?}", world.faults());
}

/// Pauses all requests; in the next tick does `act` with all of them.
fn in_one_tick(requests: u32, act: impl Fn(&SimHost, StreamId) + Clone + 'static) -> World {
    let mut waiting = Vec::new();
    let (mut world, _) = world(Config::default(), move |host, told| {
        match told {
            Told::Request(stream, _) => {
                waiting.push(stream);
                return Flow::Pause;
            }
            Told::Tick => waiting.drain(..).for_each(|stream| act(host, stream)),
            _ => {}
        }
        Flow::Continue
    });
    for _ in 0..requests {
        world.request(ms(0), get(0));
    }
    world.run_until(ms(30));
    world
}

#[test]
fn more_actions_in_one_callback_than_the_stack_holds_are_a_fault() {
    for (count, sound) in [(MAX_ACTIONS, true), (MAX_ACTIONS + 1, false)] {
        let world = in_one_tick(count, |host, stream| host.resume(stream));
        assert_eq!(world.faults().is_empty(), sound, "{count}: {:?}", world.faults());
    }
}

#[test]
fn a_second_action_on_a_stream_is_a_fault() {
    let twice: [fn(&SimHost, StreamId); 3] = [
        |host, stream| [(); 2].iter().for_each(|()| host.resume(stream)),
        |host, stream| [(); 2].iter().for_each(|()| host.reply(stream, 200, &Fields::new(), b"")),
        |host, stream| {
            host.reply(stream, 200, &Fields::new(), b"");
            host.resume(stream);
        },
    ];
    for act in twice {
        assert_eq!(in_one_tick(1, act).faults().len(), 1);
    }
}

#[test]
fn replying_to_another_stream_from_a_streams_callback_is_a_fault_and_resuming_is_not() {
    for (reply, sound) in [(true, false), (false, true)] {
        let mut first = None;
        let (mut world, _) = world(Config::default(), move |host, told| match (told, first) {
            (Told::Request(stream, _), None) => {
                first = Some(stream);
                Flow::Pause
            }
            (Told::Request(..), Some(first)) => {
                if reply {
                    host.reply(first, 200, &Fields::new(), b"")
                } else {
                    host.resume(first)
                }
                Flow::Continue
            }
            _ => Flow::Continue,
        });
        world.request(ms(1), get(0));
        world.request(ms(2), get(0));
        world.run_until(ms(50));
        assert_eq!(world.faults().is_empty(), sound, "{:?}", world.faults());
    }
}

#[test]
fn a_response_without_a_body_may_be_held_and_replaced_later_or_waits_for_envoys_patience() {
    for (replies, expected) in [(true, (Some(200), &b"later"[..])), (false, (Some(504), b"stream timeout"))] {
        let mut held = None;
        let respond = |_: &Asked, _: &mut Rng| {
            let answer = Answer::new(304, b"");
            Script { wait: ms(1), outcome: Outcome::Answer(answer) }
        };
        let (mut world, log) = world_before(
            Config::default(),
            move |host, told| match told {
                Told::Response(stream, true) => {
                    held = Some(stream);
                    Flow::Pause
                }
                Told::Tick if replies => {
                    if let Some(stream) = held.take() {
                        host.reply(stream, 200, &Fields::new(), b"later");
                    }
                    Flow::Continue
                }
                _ => Flow::Continue,
            },
            respond,
        );
        let client = world.request(ms(1), get(0));
        let client = finished(&mut world, client);
        assert_eq!((client.status(), client.body.as_slice()), expected);
        let id = StreamId(2);
        let all = [Told::Request(id, true), Told::Response(id, true), Told::Gone(id)];
        assert_eq!(streams_told(&log), all, "what takes its place passes no filter");
        assert!(world.faults().is_empty(), "{:?}", world.faults());
    }
}

#[test]
fn a_response_whose_body_comes_may_not_be_held() {
    let (mut world, _) = world(Config::default(), |_, told| match told {
        Told::Response(..) => Flow::Pause,
        _ => Flow::Continue,
    });
    world.request(ms(1), get(0));
    world.run_until_idle();
    assert_eq!(world.faults().len(), 1);
}

#[test]
fn actions_on_a_stream_that_is_gone_do_nothing_and_are_counted() {
    let (mut world, _) = world(Config::default(), |host, told| {
        if let Told::Tick = told {
            host.resume(StreamId(77));
        }
        Flow::Continue
    });
    world.run_until(ms(19));
    assert!(world.faults().is_empty());
    assert_eq!(world.late_actions(), 3, "one for each worker, and the main thread's");
}

#[test]
fn compare_and_swap_fails_only_where_somebody_came_between() {
    let config = Config { interleave: 1000, workers: 3, ..Config::default() };
    for (atomic, exact) in [(true, true), (false, false)] {
        let count = move |host: &SimHost| {
            while let Some((value, version)) = host.shared(b"n") {
                let next = [value[0] + 1];
                if host.share(b"n", &next, atomic.then_some(version)).is_ok() {
                    return;
                }
            }
        };
        let (mut world, _) = world(config.clone(), move |host, told| {
            match told {
                Told::Tick if host.shared(b"n").is_none() => drop(host.share(b"n", &[0], None)),
                Told::Request(..) => count(host),
                _ => {}
            }
            Flow::Continue
        });
        for n in 0..90 {
            world.request(ms(30), get(n % 3));
        }
        world.run_until_idle();
        let total = world.shared_value(0, b"n").unwrap()[0];
        assert_eq!(total == 90, exact, "{total} of 90");
    }
}

#[test]
fn a_write_to_an_absent_key_succeeds_whatever_is_expected() {
    let mut process = process::Process::new(0, 0);
    assert_eq!(process.share(b"k", b"a", Some(crate::host::Version(9))), Ok(()));
    let (_, version) = process.shared(b"k").unwrap();
    assert_eq!(process.share(b"k", b"b", Some(version)), Ok(()));
    assert_eq!(process.share(b"k", b"c", Some(version)), Err(crate::host::Conflict));
    assert_eq!(process.footprint().shared_bytes, 2);
}

#[test]
fn a_queue_opened_again_keeps_its_messages_and_moves_to_the_new_reader() {
    let mut process = process::Process::new(0, 0);
    let queue = process.open_queue("q", 0);
    assert!(process.send(queue, b"one"));
    assert_eq!(process.open_queue("q", 1), queue);
    assert_eq!(process.reader(queue), Some(1));
    assert_eq!(process.receive(queue), Some(b"one".to_vec()));
    assert_eq!(process.footprint().message_bytes, 0);
    assert!(!process.send(queue + 1, b""));
}

#[test]
fn each_message_is_told_once_to_the_queues_reader() {
    let (mut world, log) = world(Config::default(), |host, told| {
        match told {
            Told::Request(StreamId(2), _) => {
                let queue = host.open_queue("q").unwrap();
                (0..5).for_each(|n| assert!(host.send(queue, &[n])));
            }
            Told::Message(queue) => assert_eq!(host.receive(queue).unwrap().len(), 1),
            _ => {}
        }
        Flow::Continue
    });
    world.request(ms(1), get(1));
    world.run_until_idle();
    let messages = log
        .borrow()
        .iter()
        .filter(|(place, told)| *place == (0, 1) && matches!(told, Told::Message(_)))
        .count();
    assert_eq!(messages, 5);
    assert_eq!(world.footprint(0).messages, 0);
}

mod faults;
mod fetches;
mod redis;
