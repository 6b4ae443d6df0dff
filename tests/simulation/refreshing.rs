//! Refreshes in the background: what is stale answers at once while it is fetched anew, and nobody notices.

use super::*;
use crate::scenario::MARK;

fn refreshing() -> Terms {
    Terms { refreshes: true, stale_if_error: Duration::ZERO, ..terms() }
}

/// Asked for at the beginning it is fresh for a second, the way included; then stale, and for two within its window.
const WINDOW: &str = "max-age=1, stale-while-revalidate=2";

fn serials(world: &World, clients: &[ClientId]) -> Vec<usize> {
    clients.iter().map(|client| found(world, *client).serials.len()).collect()
}

#[test]
fn what_is_stale_answers_at_once_and_is_fetched_anew_once() {
    let mut world = scene(refreshing(), |asked| {
        let answered = Answer::new(200, b"made by the upstream").with("cache-control", WINDOW);
        Outcome::Answer(answered.with("x-serial", &asked.serial.to_string()))
    });
    send(&mut world, 0, [get(0)]);
    let stale = send(&mut world, 1_500, vec![get(0); 5]);
    let fresh = send(&mut world, 2_000, vec![get(0); 5]);
    assert_eq!(asked(&mut world), 2);
    assert_eq!(serials(&world, &[stale.clone(), fresh.clone()].concat()), [0; 10]);
    for (clients, serial) in [(stale, "1"), (fresh, "2")] {
        for client in clients {
            let client = found(&world, client);
            assert_eq!((client.status(), field(&client, "x-serial")), (Some(200), serial.to_owned()));
        }
    }
}

#[test]
fn a_stale_answer_ends_with_its_window() {
    for (at, waits) in [(2_999, 0), (3_000, 1)] {
        let mut world = scene(refreshing(), |_| answer(200, WINDOW));
        send(&mut world, 0, [get(0)]);
        let late = send(&mut world, at, [get(0)]);
        assert_eq!(asked(&mut world), 2, "{at}");
        assert_eq!(serials(&world, &late), [waits], "{at}");
    }
}

#[test]
fn nobody_refreshes_where_no_way_leads_back() {
    let mut world = scene(terms(), |_| answer(200, WINDOW));
    send(&mut world, 0, [get(0)]);
    let stale = send(&mut world, 1_500, [get(0)]);
    assert_eq!(asked(&mut world), 2);
    assert_eq!(serials(&world, &stale), [1]);
}

#[test]
fn a_refresh_that_fails_is_no_clients_failure() {
    for breaker in [false, true] {
        let mut world = scene(Terms { breaker, ..refreshing() }, |asked| match asked.at.as_millis() {
            0..1_000 => answer(200, "max-age=1, stale-while-revalidate=8"),
            _ => answer(503, "no-store"),
        });
        send(&mut world, 0, [get(0)]);
        // The circuit opens on the way, if there is one.
        let stale: Vec<_> = (0..10).flat_map(|n| send(&mut world, 1_500 + n * 200, [get(0)])).collect();
        let refreshes = asked(&mut world) - 1;
        assert!(refreshes >= 5 && (refreshes < 10) == breaker, "{refreshes}");
        for client in stale {
            let client = found(&world, client);
            assert_eq!((client.status(), client.serials.len()), (Some(200), 0), "breaker {breaker}");
        }
    }
}

#[test]
fn a_refresh_that_hangs_is_given_up_and_another_made() {
    let config = Config { interleave: 0, ..Config::default() };
    let mut world = World::new(
        7,
        config,
        |host, envoy, number| worker(host, envoy, number, &refreshing()),
        |asked, _| Script {
            wait: if asked.serial == 2 { MS * 100_000 } else { MS * 100 },
            outcome: answer(200, "max-age=1, stale-while-revalidate=600"),
        },
    );
    send(&mut world, 0, [get(0)]);
    let stale = [1_500, 30_000, 65_000].map(|at| send(&mut world, at, [get(0)])[0]);
    let late = send(&mut world, 65_500, [get(0)]);
    assert_eq!(asked(&mut world), 3, "the first, the one that hangs, and one after it was given up");
    assert_eq!(serials(&world, &[&stale[..], &late].concat()), [0; 4]);
}

#[test]
fn a_mark_from_outside_means_nothing() {
    let mut world = scene(refreshing(), |asked| {
        assert_eq!(asked.fields.get(MARK), None);
        answer(200, WINDOW)
    });
    let forged = |worker| get(worker).with(MARK, "0123456789abcdef0123456789abcdef");
    send(&mut world, 0, [forged(0)]);
    let waits = send(&mut world, 50, [forged(0), forged(1)]);
    let fresh = send(&mut world, 500, [forged(0), forged(1)]);
    let stale = send(&mut world, 1_500, [forged(0)]);
    assert_eq!(asked(&mut world), 2, "the first, and the refresh that the last led to");
    for client in [waits, fresh, stale].concat() {
        let client = found(&world, client);
        assert_eq!((client.body.as_slice(), client.serials.len()), (&b"made by the upstream"[..], 0));
    }
}

/// Confirms another response than it is asked about, and has one that is `cache_control`.
fn confused(asked: &Asked, cache_control: &str) -> Outcome {
    let serial = asked.serial.to_string();
    let (status, tag) = match asked.fields.get("if-none-match") {
        Some(_) => (304, "\"another\"".to_owned()),
        None => (200, format!("\"{serial}\"")),
    };
    let body = if status == 304 { &b""[..] } else { b"made by the upstream" };
    let answer = Answer::new(status, body).with("cache-control", cache_control).with("etag", &tag);
    Outcome::Answer(answer.with("x-serial", &serial))
}

#[test]
fn who_is_told_of_another_response_than_was_asked_about_gets_the_whole_anew() {
    let head = ClientRequest::new(0, 0, "HEAD", "/r");
    for (requests, expected, body) in [
        (vec![get(0), get(0), get(1)], 200, "made by the upstream"),
        // This upstream knows no ranges.
        (vec![get(0).with("range", "bytes=0-3")], 200, "made by the upstream"),
        (vec![head], 200, ""),
    ] {
        // The stale copy might stand in, but something better can be had.
        let terms = Terms { stale_if_error: Duration::from_secs(60), ..refreshing() };
        let mut world = scene(terms, |asked| confused(asked, "max-age=1"));
        send(&mut world, 0, [get(0)]);
        let clients = send(&mut world, 2_000, requests);
        assert_eq!(asked(&mut world), 3, "the first, one about the stale copy, and one for all of it");
        for client in clients {
            let client = found(&world, client);
            assert_eq!((client.status(), field(&client, "x-serial")), (Some(expected), "3".to_owned()));
            assert_eq!(client.body, body.as_bytes());
        }
    }
}

#[test]
fn what_comes_anew_and_is_for_one_client_alone_reaches_it_and_nobody_else() {
    let mut world = scene(refreshing(), |asked| match asked.serial {
        1 => confused(asked, "max-age=1"),
        _ => confused(asked, "private"),
    });
    send(&mut world, 0, [get(0)]);
    let clients = send(&mut world, 2_000, [get(0), get(1), get(0)]);
    world.run_until_idle();
    assert_eq!(world.faults(), [""; 0]);
    let mut serials: Vec<_> =
        clients.iter().map(|client| field(&found(&world, *client), "x-serial")).collect();
    assert!(clients.iter().all(|client| found(&world, *client).status() == Some(200)));
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), clients.len());
}

#[test]
fn a_client_that_leaves_while_its_request_is_sent_again_is_missed_by_nobody() {
    let mut world = scene(refreshing(), |asked| confused(asked, "max-age=1"));
    send(&mut world, 0, [get(0)]);
    let left = send(&mut world, 2_000, [get(0)]);
    world.leave(MS * 2_150, left[0]);
    let later = send(&mut world, 2_400, [get(0)]);
    assert_eq!(asked(&mut world), 3, "what was sent again is stored");
    assert_eq!(field(&found(&world, later[0]), "x-serial"), "3");
}

#[test]
fn what_comes_anew_may_be_larger_than_what_is_stored_up_to_a_limit() {
    const STORED: usize = 1 << 14;
    const LARGEST: usize = 16 << 20;
    for (size, expected) in [(STORED + 1, 200), (LARGEST, 200), (LARGEST + 1, 502)] {
        let terms = Terms { max_object_bytes: STORED, ..refreshing() };
        let config = Config { interleave: 0, ..Config::default() };
        let mut world = World::new(
            7,
            config,
            move |host, envoy, number| worker(host, envoy, number, &terms),
            move |asked, _| {
                let mut outcome = confused(asked, "max-age=1");
                if let (3, Outcome::Answer(answer)) = (asked.serial, &mut outcome) {
                    answer.body = vec![b'x'; size];
                }
                Script { wait: MS * 100, outcome }
            },
        );
        send(&mut world, 0, [get(0)]);
        let client = send(&mut world, 2_000, [get(0)])[0];
        let next = send(&mut world, 4_000, [get(0)])[0];
        world.run_until_idle();
        assert_eq!(world.faults(), [""; 0]);
        let client = found(&world, client);
        assert_eq!(client.status(), Some(expected), "{size}");
        assert!(expected != 200 || client.body.len() == size);
        assert_eq!(
            found(&world, next).status(),
            Some(200),
            "the copy is gone, and the next is not told so again"
        );
    }
}

#[test]
fn a_refresh_holds_up_nobody_who_can_be_answered_meanwhile() {
    // Past `l1.ttl` Redis is asked, by one for all of a worker. If it holds nothing any more, for another Envoy has let a
    // write through, they wait.
    for (written, expected) in [(false, Some(200)), (true, None)] {
        let terms = Terms { l2: true, ..refreshing() };
        let mut world = World::new(
            7,
            Config { envoys: 2, interleave: 0, ..Config::default() },
            move |host, envoy, number| worker(host, envoy, number, &terms),
            move |asked, _| {
                let is_refresh = asked.serial > 1 && asked.fields.get(":method") == Some(b"GET");
                Script { wait: MS * if is_refresh { 1_000 } else { 10 }, outcome: answer(200, WINDOW) }
            },
        );
        send(&mut world, 0, [get(0)]);
        send(&mut world, 1_500, [get(0)]);
        if written {
            send(&mut world, 1_600, [ClientRequest::new(1, 0, "POST", "/r")]);
        }
        let clients = send(&mut world, 1_700, [0, 0, 1, 1, 0, 1].map(get));
        let statuses =
            |world: &World| clients.iter().map(|client| found(world, *client).status()).collect::<Vec<_>>();
        world.run_until(MS * 1_800);
        assert_eq!(statuses(&world), vec![expected; clients.len()]);
        assert_eq!(asked(&mut world), 2 + usize::from(written));
        assert_eq!(statuses(&world), vec![Some(200); clients.len()]);
    }
}
