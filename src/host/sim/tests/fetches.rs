//! What the plugin asks of itself: a request like others, and a word to the root when it is over.

use super::*;

/// A world whose worker, told of the first request, fetches `/inner` from a root callback; `act` answers for the rest.
fn fetching(
    wait: u64,
    timeout: u64,
    mut act: impl FnMut(&SimHost, Told) -> Flow + Clone + 'static,
) -> (World, Log) {
    world_before(
        Config { workers: 1, ..Config::default() },
        move |host, told| {
            match &told {
                Told::Request(StreamId(2), _) => {
                    let queue = host.open_queue("q").unwrap();
                    assert!(host.send(queue, b""));
                }
                Told::Message(queue) => {
                    host.receive(*queue);
                    assert_eq!(host.fetch("breakwater_loop", &inner(), ms(timeout)), Some(CalloutId(1)));
                }
                _ => {}
            }
            act(host, told)
        },
        move |asked, _| {
            let status = if asked.fields.get("x-mark").is_some() { 200 } else { 404 };
            Script { wait: ms(wait), outcome: Outcome::Answer(Answer::new(status, b"hello")) }
        },
    )
}

fn inner() -> Fields {
    ClientRequest::new(0, 0, "GET", "/inner").with("x-mark", "1").fields.to_fields()
}

fn callouts(log: &Log) -> Vec<Option<Vec<u8>>> {
    let answer = |told| if let Told::Callout(_, answer) = told { Some(answer) } else { None };
    streams_told(log).into_iter().filter_map(answer).collect()
}

#[test]
fn a_fetch_is_a_request_on_its_own_worker_and_its_answer_comes_to_the_root() {
    let (mut world, log) = fetching(10, 500, |_, _| Flow::Continue);
    let outer = world.request(ms(1), get(0));
    world.run_until_idle();
    assert!(streams_told(&log).contains(&Told::Request(StreamId(3), true)));
    assert_eq!(callouts(&log), [Some(Vec::new())], "that it was answered, not with what");
    let inner = world.client(ClientId(outer.0 + 1)).unwrap();
    assert_eq!((inner.fetch, inner.request.fields.get(":path")), (Some(CalloutId(1)), Some(&b"/inner"[..])));
    assert_eq!(world.client(outer).unwrap().fetch, None);
    assert!(world.now() < ms(100), "its timeout is off the agenda");
    assert!(world.faults().is_empty(), "{:?}", world.faults());
}

#[test]
fn a_fetch_that_is_not_answered_with_200_failed() {
    let (mut world, log) = fetching(10, 500, |host, told| match told {
        Told::Request(stream @ StreamId(3), _) => {
            host.reply(stream, 503, &Fields::new(), b"no");
            Flow::Pause
        }
        _ => Flow::Continue,
    });
    world.request(ms(1), get(0));
    world.run_until_idle();
    assert_eq!(callouts(&log), [None]);
}

#[test]
fn what_a_fetch_was_answered_can_be_read_whatever_its_status_unless_it_is_too_much() {
    let whole = Some((b"503".to_vec(), b"no".to_vec()));
    for (timeout, most, expected) in [(500, 2, whole), (500, 1, None), (10, 2, None)] {
        let read = Rc::new(RefCell::new(Vec::new()));
        let reads = Rc::clone(&read);
        let (mut world, _) = fetching(50, timeout, move |host, told| match told {
            Told::Callout(callout, _) => {
                let fetched = host.fetched(callout, most);
                let status = |fields: &Fields| fields.get(b":status").unwrap_or_default().to_vec();
                reads.borrow_mut().push(fetched.map(|(fields, body)| (status(&fields), body)));
                Flow::Continue
            }
            Told::Response(stream @ StreamId(3), _) => {
                host.reply(stream, 503, &Fields::new(), b"no");
                Flow::Continue
            }
            _ => Flow::Continue,
        });
        world.request(ms(1), get(0));
        world.run_until_idle();
        assert_eq!(*read.borrow(), [expected]);
    }
}

#[test]
fn a_fetch_that_takes_too_long_is_given_up_and_its_stream_reset() {
    for pauses in [false, true] {
        let (mut world, log) = fetching(100, 50, move |_, told| match told {
            Told::Request(StreamId(3), _) if pauses => Flow::Pause,
            _ => Flow::Continue,
        });
        let outer = world.request(ms(1), get(0));
        world.run_until(ms(60));
        assert_eq!(callouts(&log), [None]);
        assert_eq!(streams_told(&log).last(), Some(&Told::Gone(StreamId(3))), "reset after the answer");
        world.run_until(ms(200));
        assert_eq!(world.client(ClientId(outer.0 + 1)).unwrap().ended.unwrap().1, End::Left);
        assert_eq!(callouts(&log).len(), 1);
    }
}

#[test]
fn a_fetch_of_a_vm_that_died_is_told_to_nobody() {
    let (mut world, log) = fetching(10, 500, |_, _| Flow::Continue);
    world.request(ms(1), get(0));
    world.trap(ms(6), 0, 0, None);
    // It makes a new VM, which knows of no callout.
    world.request(ms(8), get(0).with("x-mark", "1"));
    world.run_until(ms(12));
    assert_eq!(callouts(&log), []);
}

#[test]
fn a_fetch_that_cannot_be_sent_is_refused() {
    let (mut world, _) = world(Config::default(), |host, told| {
        if told == Told::Tick {
            let noise = Fields::of([(&b":path"[..], &b"/\xff"[..])]);
            assert_eq!(host.fetch("breakwater_loop", &noise, ms(50)), None, "no text");
            assert_eq!(host.fetch("elsewhere", &inner(), ms(50)), None, "no such cluster");
        }
        Flow::Continue
    });
    world.run_until(ms(50));
    assert!(world.faults().is_empty(), "{:?}", world.faults());
}

#[test]
fn a_fetch_from_a_streams_callback_is_a_fault() {
    let (mut world, _) = world(Config::default(), |host, told| {
        if let Told::Request(StreamId(2), _) = told {
            host.fetch("breakwater_loop", &inner(), ms(50));
        }
        Flow::Continue
    });
    world.request(ms(1), get(0));
    world.run_until_idle();
    assert_eq!(world.faults().len(), 1, "{:?}", world.faults());
}
