//! Waiters whose answer was not for them: all at once, or by turns; and whatever becomes of one, the next has its turn.

use super::*;

fn by_turns(parallel: u32) -> Terms {
    Terms { parallel: Some(parallel), ..terms() }
}

fn of(url: &str) -> ClientRequest {
    ClientRequest::new(0, 0, "GET", url)
}

/// Runs to the end; how many were at the upstream at a time, without a head yet, and how often it was asked.
fn peak(world: &mut World) -> (usize, usize) {
    world.run_until_idle();
    assert_eq!(world.faults(), [""; 0]);
    let (mut there, mut peak, mut asked) = (std::collections::BTreeSet::new(), 0, 0);
    for happening in world.happenings() {
        match happening {
            Happening::Asked(request) => {
                asked += 1;
                there.insert(request.serial);
            }
            Happening::Heading { serial } | Happening::Stopped { serial, .. } => drop(there.remove(&serial)),
            _ => {}
        }
        peak = peak.max(there.len());
    }
    (peak, asked)
}

fn ended(world: &World, client: ClientId) -> Duration {
    found(world, client).ended.unwrap().0
}

#[test]
fn so_many_of_a_worker_are_at_the_upstream_at_a_time() {
    for (parallel, expected) in [(None, 20), (Some(1), 2), (Some(3), 6), (Some(100), 20)] {
        let mut world = scene(Terms { parallel, ..terms() }, |_| answer(200, "private"));
        let leader = send(&mut world, 0, [get(0)]);
        let waiters = send(&mut world, 10, (0..20).map(|n| get(n % 2)));
        assert_eq!(peak(&mut world), (expected, 21), "{parallel:?}");
        let serials: std::collections::BTreeSet<_> = leader
            .iter()
            .chain(&waiters)
            .map(|client| found(&world, *client))
            .map(|client| (client.status(), client.serials.clone()))
            .collect();
        assert!(
            serials.len() == 21 && serials.iter().all(|(status, own)| *status == Some(200) && own.len() == 1)
        );
        for waiter in waiters {
            assert_eq!(
                field(&found(&world, waiter), "cache-status"),
                "breakwater; fwd=miss; collapsed=?0; detail=private"
            );
        }
    }
}

#[test]
fn they_go_in_the_order_in_which_they_came() {
    let mut world = scene(by_turns(1), |_| answer(200, "private"));
    send(&mut world, 0, [get(0)]);
    let waiters: Vec<_> = (10..15).flat_map(|at| send(&mut world, at, [get(0)])).collect();
    assert_eq!(peak(&mut world), (1, 6));
    assert!(waiters.iter().map(|client| ended(&world, *client)).is_sorted());
}

#[test]
fn who_has_stayed_for_as_long_as_it_may_goes_beside_the_others() {
    let mut world = scene(Terms { wait_timeout: MS * 250, ..by_turns(1) }, |_| answer(200, "private"));
    send(&mut world, 0, [get(0)]);
    let waiters = send(&mut world, 10, vec![get(0); 8]);
    // One by turns at 100 ms and at 200 ms; at 260 ms all others, beside the second.
    assert_eq!(peak(&mut world), (7, 9));
    let last = waiters.iter().map(|client| ended(&world, *client)).max().unwrap();
    assert!((MS * 360..MS * 450).contains(&last), "{last:?}");
}

type Happen = fn(&mut World) -> Vec<ClientId>;

/// What may happen to released requests, three of which are out from the hundredth millisecond on.
const MISHAPS: [(&str, Happen); 6] = [
    ("all are answered", |world| send(world, 10, vec![get(0); 10])),
    ("the upstream resets them", |world| send(world, 10, vec![get(0).with("x-fate", "reset"); 10])),
    ("another filter answers them", |world| send(world, 10, vec![get(0).with("x-fate", "denied"); 10])),
    ("they leave, out or staying", |world| {
        let clients = send(world, 10, vec![get(0); 10]);
        clients.iter().for_each(|client| world.leave(MS * 150, *client));
        clients
    }),
    ("some have stayed for as long as they may", |world| send(world, 10, vec![get(0); 40])),
    ("their VM dies", |world| {
        world.trap(MS * 150, 0, 0, None);
        send(world, 10, vec![get(0); 10])
    }),
];

#[test]
fn whatever_becomes_of_the_released_the_next_have_their_turn() {
    for (mishap, happen) in MISHAPS {
        let terms = Terms { wait_timeout: MS * 600, ..by_turns(3) };
        let mut world = scene(terms, |asked| match asked.fields.get("x-fate") {
            Some(b"reset") => Outcome::Reset,
            Some(b"denied") => Outcome::Local(403),
            _ => answer(200, "private"),
        });
        send(&mut world, 0, [get(0)]);
        let clients = happen(&mut world);
        world.run_until(MS * 3_000);
        let is_over = |client: &ClientId| found(&world, *client).ended.is_some();
        // Whom a dead VM held is let go by Envoy's own timeout alone.
        assert!(mishap == "their VM dies" || clients.iter().all(is_over), "{mishap}");
        world.happenings();
        // A wave for another URL: the leader, and three rounds of three.
        let wave = send(&mut world, 3_000, vec![of("/other"); 10]);
        assert_eq!(peak(&mut world), (3, 10), "{mishap}");
        let last = wave.iter().map(|client| ended(&world, *client)).max().unwrap();
        assert!((MS * 3_400..MS * 3_450).contains(&last), "{mishap}: {last:?}");
        let waiting = world.metric(0, "breakwater.waiters");
        assert!(mishap == "their VM dies" || waiting == Some(0), "{mishap}: {waiting:?}");
    }
}

#[test]
fn an_open_circuit_refuses_those_who_stay_at_once() {
    let mut world = scene(Terms { breaker: true, ..by_turns(1) }, |asked| match asked.serial {
        1 => answer(200, "private"),
        _ => Outcome::Reset,
    });
    send(&mut world, 0, [get(0)]);
    let waiters = send(&mut world, 10, vec![get(0); 40]);
    // Five failures open it.
    assert_eq!(peak(&mut world), (1, 6));
    let last = waiters.iter().map(|client| ended(&world, *client)).max().unwrap();
    assert!(last < MS * 700, "{last:?}");
    assert_eq!(world.metric(0, "breakwater.waiters"), Some(0));
}

#[test]
fn those_without_authorization_do_not_stay_for_what_is_refused_to_others() {
    let mut world = scene(by_turns(1), |_| answer(200, "max-age=60"));
    let authorized = get(0).with("authorization", "Bearer a");
    send(&mut world, 0, [authorized.clone()]);
    let by_turns = send(&mut world, 10, vec![authorized; 4]);
    let together = send(&mut world, 11, vec![get(0); 10]);
    // One fetch for all without, beside the first of those with.
    assert_eq!(peak(&mut world), (2, 6));
    assert!(together.iter().all(|client| ended(&world, *client) < MS * 250));
    assert!(by_turns.iter().map(|client| ended(&world, *client)).max().unwrap() >= MS * 500);
}

#[test]
fn those_who_stay_count_among_the_waiters_of_the_worker() {
    let mut world = scene(Terms { all_waiters: 5, ..by_turns(1) }, |_| answer(200, "private"));
    send(&mut world, 0, [get(0)]);
    send(&mut world, 10, vec![get(0); 5]);
    // One is out and four stay: there is room for one to wait for another URL, and the next goes by itself.
    send(&mut world, 120, [of("/other")]);
    send(&mut world, 130, vec![of("/other"); 2]);
    assert_eq!(peak(&mut world), (3, 9));
}
