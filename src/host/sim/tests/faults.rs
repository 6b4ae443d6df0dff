//! Deaths, departures, and what is counted meanwhile.

use super::redis::command;
use super::*;

#[test]
fn a_paused_request_of_a_dead_vm_hangs_until_envoy_loses_patience() {
    let config = Config { stream_idle_timeout: ms(500), ..Config::default() };
    let (mut world, log) = world(config, |_, _| Flow::Pause);
    let client = world.request(ms(1), get(0));
    world.trap(ms(50), 0, 0, None);
    world.run_until(ms(500));
    assert!(world.client(client).unwrap().ended.is_none());
    world.run_until(ms(502));
    let client = world.client(client).unwrap();
    assert_eq!((client.status(), client.vm_died), (Some(503), true));
    assert_eq!(streams_told(&log), [Told::Request(StreamId(2), true)], "the dead hear nothing");
}

#[test]
fn a_request_waiting_for_the_upstream_gets_503_when_the_answer_comes_to_a_dead_vm() {
    let (mut world, _) = world(Config::default(), |_, _| Flow::Continue);
    let client = world.request(ms(1), get(0));
    world.trap(ms(5), 0, 0, None);
    let client = finished(&mut world, client);
    assert_eq!((client.status(), client.ended.unwrap().0), (Some(503), ms(11)));
}

#[test]
fn the_next_request_makes_a_new_vm_which_uses_the_same_stream_numbers() {
    for (backoff, status) in [(0, 200), (100, 503)] {
        let config = Config { reload_backoff: ms(backoff), ..Config::default() };
        let (mut world, _) = world(config, |_, _| Flow::Continue);
        let first = world.request(ms(1), get(0));
        world.trap(ms(50), 0, 0, None);
        let second = world.request(ms(60), get(0));
        world.run_until_idle();
        assert_eq!(world.client(second).unwrap().status(), Some(status));
        if status == 200 {
            assert_eq!(world.client(first).unwrap().stream, world.client(second).unwrap().stream);
        }
    }
}

#[test]
fn a_vm_can_die_in_the_middle_of_a_callback_and_leave_half_of_its_work() {
    let (mut world, _) = world(Config::default(), |host, told| {
        if let Told::Request(..) = told {
            let _ = host.share(b"first", b"1", None);
            let _ = host.share(b"second", b"2", None);
        }
        Flow::Continue
    });
    world.trap(ms(1), 0, 0, Some(1));
    let client = world.request(ms(2), get(0));
    let client = finished(&mut world, client);
    assert_eq!(client.status(), Some(503));
    assert_eq!(world.shared_value(0, b"first"), Some(b"1".to_vec()));
    assert_eq!(world.shared_value(0, b"second"), None);
    assert!(world.faults().is_empty(), "{:?}", world.faults());
}

#[test]
fn a_panic_of_the_plugin_is_a_fault() {
    let (mut world, _) = world(Config::default(), |_, told| {
        assert!(!matches!(told, Told::Request(..)), "on purpose");
        Flow::Continue
    });
    world.request(ms(1), get(0));
    world.run_until_idle();
    assert!(world.faults().concat().contains("on purpose"));
}

#[test]
fn a_restarted_envoy_has_forgotten_all_but_redis_has_not() {
    let config = Config { restart: ms(100), ..Config::default() };
    let (mut world, _) = world(config, |host, told| {
        if let Told::Request(..) = told {
            let _ = host.share(b"key", b"value", None);
            host.call("breakwater_l2", &command(&["SET", "k", "v"]), ms(50));
        }
        Flow::Pause
    });
    let lost = world.request(ms(1), get(0));
    world.restart(ms(50), 0);
    let refused = world.request(ms(100), get(0));
    world.run_until(ms(140));
    assert_eq!(world.shared_value(0, b"key"), None);
    assert_eq!(world.redis_value(b"k"), Some(b"v".to_vec()));
    for client in [lost, refused] {
        assert_eq!(world.client(client).unwrap().ended.unwrap().1, End::Cut);
    }
    let back = world.request(ms(151), get(0));
    world.run_until(ms(160));
    assert!(world.client(back).unwrap().stream.is_some());
}

#[test]
fn whoever_leaves_is_gone_at_once_and_their_callouts_with_them() {
    let (mut world, log) = world(Config::default(), |host, told| {
        if let Told::Request(..) = told {
            host.call("breakwater_l2", &command(&["GET", "k"]), ms(50));
        }
        Flow::Pause
    });
    world.redis(ms(0), Mood { delay: (ms(20), ms(20)), ..Mood::default() });
    let client = world.request(ms(1), get(0));
    world.leave(ms(2), client);
    let client = finished(&mut world, client);
    assert_eq!(client.ended, Some((ms(2), End::Left)));
    assert_eq!(streams_told(&log), [Told::Request(StreamId(2), true), Told::Gone(StreamId(2))]);
}

#[test]
fn a_request_denied_before_the_plugin_is_only_heard_of_when_it_is_over() {
    let (mut world, log) = world(Config::default(), |_, _| Flow::Continue);
    let client = world.request(ms(1), ClientRequest { denied: true, ..get(0) });
    assert_eq!(finished(&mut world, client).status(), Some(403));
    assert_eq!(streams_told(&log), [Told::Gone(StreamId(2))]);
}

#[test]
fn failures_of_the_upstream_are_told_from_its_answers() {
    let outcomes = [
        (Outcome::Answer(Answer::new(503, b"")), 503, Source::Upstream),
        (Outcome::Reset, 503, Source::UpstreamFailure),
        (Outcome::Timeout, 504, Source::UpstreamFailure),
        (Outcome::Local(429), 429, Source::Local),
    ];
    for (outcome, status, source) in outcomes {
        let (mut world, _) = world_before(
            Config::default(),
            move |host, told| {
                if let Told::Response(stream, _) = told {
                    assert_eq!(host.response_source(stream), source);
                }
                Flow::Continue
            },
            move |_, _| Script { wait: ms(1), outcome: outcome.clone() },
        );
        let client = world.request(ms(1), get(0));
        assert_eq!(finished(&mut world, client).status(), Some(status));
        assert!(world.faults().is_empty(), "{:?}", world.faults());
    }
}

#[test]
fn a_broken_body_has_no_end() {
    let (mut world, log) = world_before(
        Config::default(),
        |_, _| Flow::Continue,
        |_, _| {
            let answer = Answer { cut: Some(3), ..Answer::new(200, b"hello") };
            Script { wait: ms(1), outcome: Outcome::Answer(answer) }
        },
    );
    let client = world.request(ms(1), get(0));
    let client = finished(&mut world, client);
    assert_eq!((client.body.as_slice(), client.ended.unwrap().1), (&b"hel"[..], End::Cut));
    assert!(!streams_told(&log).iter().any(|told| matches!(told, Told::Body(_, _, true))));
}

#[test]
fn metrics_are_collected_by_name_over_all_workers() {
    let (mut world, _) = world(Config::default(), |host, told| {
        if let Told::Request(..) = told {
            host.add(host.metric(MetricKind::Counter, "requests").unwrap(), 1);
        }
        Flow::Continue
    });
    world.request(ms(1), get(0));
    world.request(ms(1), get(1));
    world.run_until_idle();
    assert_eq!((world.metric(0, "requests"), world.metric(0, "other")), (Some(2), None));
}

#[test]
fn a_gauge_below_zero_is_a_fault() {
    for (amount, sound) in [(0, true), (-1, false)] {
        let (mut world, _) = world(Config::default(), move |host, told| {
            if let Told::Request(..) = told {
                host.add(host.metric(MetricKind::Gauge, "held").unwrap(), amount);
            }
            Flow::Continue
        });
        world.request(ms(1), get(0));
        world.run_until_idle();
        assert_eq!(world.faults().is_empty(), sound);
    }
}

#[test]
fn host_calls_are_counted_for_the_stream_they_were_made_for() {
    let (mut world, _) = world(Config::default(), |host, told| {
        if let Told::Request(stream, _) = told {
            host.shared(b"k");
            let _ = host.share(b"k", b"v", None);
            host.reply(stream, 200, &Fields::new(), b"");
        }
        Flow::Continue
    });
    let client = world.request(ms(1), get(0));
    assert_eq!(finished(&mut world, client).calls, Calls { all: 3, gets: 1, sets: 1 });
}

#[test]
fn what_bears_the_marker_is_told_when_it_is_kept() {
    let config = Config { marker: b"no=".to_vec(), ..Config::default() };
    let (mut world, _) = world(config, |host, told| {
        if let Told::Request(..) = told {
            let _ = host.share(b"k", b"n no=12; no=345", None);
        }
        Flow::Continue
    });
    world.request(ms(1), get(0));
    world.run_until_idle();
    let kept = world.happenings().into_iter().filter_map(|happening| match happening {
        Happening::Kept { serial, place: Place::Shared, .. } => Some(serial),
        _ => None,
    });
    assert_eq!(kept.collect::<Vec<_>>(), [12, 345]);
}
