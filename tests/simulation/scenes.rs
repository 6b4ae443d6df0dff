//! Small scenes with a known end: what the seeds found wrong once, and what can be counted.

use crate::judge::Reach;
use crate::scenario::Terms;
use crate::wall::worker;
use breakwater::host::sim::{
    Answer, Asked, Client, ClientId, ClientRequest, Config, Happening, Mood, Outcome, Script, World,
};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn terms() -> Terms {
    Terms {
        wait_timeout: MS * 5_000,
        lease: MS * 10_000,
        max_waiters: 1024,
        all_waiters: 16_384,
        refuses: false,
        parallel: None,
        detach: false,
        scope: Reach::Envoy,
        l2: false,
        redis_timeout: MS * 50,
        l2_ttl: MS * 300_000,
        l1_ttl: MS * 100,
        l1_max_bytes: 1 << 20,
        max_object_bytes: 1 << 18,
        breaker: false,
        opens: true,
        sheds: false,
        slow_call: None,
        fleet_hint: false,
        stale_if_error: Duration::from_secs(3_600),
        refreshes: false,
        stale_while_revalidate: Duration::ZERO,
        early_refresh: 0,
        shared_bytes: usize::MAX,
        message_bytes: usize::MAX,
    }
}

/// A world of one Envoy with two workers, whose upstream answers after 100 ms.
fn scene(terms: Terms, upstream: fn(&Asked) -> Outcome) -> World {
    let config = Config { interleave: 0, tell_calls: true, ..Config::default() };
    World::new(
        7,
        config,
        move |host, envoy, number| worker(host, envoy, number, &terms),
        move |asked, _| Script { wait: MS * 100, outcome: upstream(asked) },
    )
}

fn get(worker: usize) -> ClientRequest {
    ClientRequest::new(0, worker, "GET", "/r")
}

fn answer(status: u16, cache_control: &str) -> Outcome {
    Outcome::Answer(Answer::new(status, b"made by the upstream").with("cache-control", cache_control))
}

fn send(world: &mut World, at: u32, requests: impl IntoIterator<Item = ClientRequest>) -> Vec<ClientId> {
    requests.into_iter().map(|request| world.request(MS * at, request)).collect()
}

/// Runs to the end and says how often the upstream was asked.
fn asked(world: &mut World) -> usize {
    world.run_until_idle();
    assert_eq!(world.faults(), [""; 0]);
    let happenings = world.happenings();
    happenings.iter().filter(|happening| matches!(happening, Happening::Asked(_))).count()
}

fn found(world: &World, client: ClientId) -> Client {
    world.client(client).unwrap()
}

fn field(client: &Client, name: &str) -> String {
    let value = client.head.as_ref().and_then(|head| head.get(name));
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

#[test]
fn an_answer_from_l1_takes_few_calls_of_the_host() {
    let mut world = scene(terms(), |_| answer(200, "max-age=60"));
    send(&mut world, 0, [get(0)]);
    // The first hit copies the slot into the worker's memory, the second is answered from there.
    let hits = [150, 160].map(|at| send(&mut world, at, [get(0)])[0]);
    world.run_until_idle();
    let happenings = world.happenings();
    let calls = hits.map(|client| {
        let stream = found(&world, client).stream;
        let of = |callback: &str| {
            let called = happenings.iter().find_map(|happening| match happening {
                Happening::Called { callback: name, stream: owner, calls, worker: 0, .. }
                    if *name == callback && *owner == stream =>
                {
                    Some(*calls)
                }
                _ => None,
            });
            called.unwrap_or_else(|| panic!("no {callback}"))
        };
        (of("on_request").all, of("on_request").gets, of("on_response").all, of("on_gone").all)
    });
    // Fields, shared value, clock, a word for the access log, reply; and two shared values more for the copy. These
    // answers state no type, so the one that Envoy states is taken off while the head passes.
    assert_eq!(calls, [(7, 3, 1, 0), (5, 1, 1, 0)]);
}

#[test]
fn one_waiter_more_than_allowed_goes_to_the_upstream() {
    for (waiters, expected) in [(3, 1), (4, 2), (5, 3)] {
        let mut world = scene(Terms { max_waiters: 3, ..terms() }, |_| answer(200, "max-age=60"));
        send(&mut world, 0, vec![get(0)]);
        send(&mut world, 10, vec![get(0); waiters]);
        assert_eq!(asked(&mut world), expected, "{waiters} wait");
    }
}

#[test]
fn one_waiter_more_than_allowed_for_all_urls_goes_to_the_upstream() {
    let get = |worker, url| ClientRequest::new(0, worker, "GET", url);
    for (waiters, expected) in [(3, 3), (4, 3), (5, 4), (6, 5)] {
        let mut world = scene(Terms { all_waiters: 4, ..terms() }, |_| answer(200, "max-age=60"));
        send(&mut world, 0, [get(0, "/a"), get(0, "/b"), get(0, "/c")]);
        send(&mut world, 10, (0..waiters).map(|n| get(0, ["/a", "/b", "/c"][n % 3])));
        // Those of the other worker are its own.
        send(&mut world, 10, vec![get(1, "/a"); 4]);
        assert_eq!(asked(&mut world), expected, "{waiters} wait");
    }
}

#[test]
fn one_waiter_more_than_allowed_is_refused_where_the_rule_says_so() {
    let refuses = Terms { max_waiters: 3, refuses: true, ..terms() };
    let mut world = scene(refuses, |_| answer(200, "max-age=60"));
    send(&mut world, 0, [get(0)]);
    let clients = send(&mut world, 10, vec![get(0); 5]);
    // Who does not want the upstream is told so, as ever.
    let content = send(&mut world, 20, [get(0).with("cache-control", "only-if-cached")])[0];
    assert_eq!(asked(&mut world), 1);
    let clients = clients.into_iter().map(|client| found(&world, client));
    let (waiters, refused): (Vec<_>, Vec<_>) = clients.partition(|client| client.status() == Some(200));
    assert_eq!((waiters.len(), refused.len()), (3, 2));
    for client in refused {
        let told = ["retry-after", "cache-status", "proxy-status"].map(|name| field(&client, name));
        let details = "breakwater; error=proxy_internal_response; details=\"too many wait for the same\"";
        assert_eq!(client.status(), Some(503));
        assert_eq!(told, ["1", "breakwater; detail=too-many-waiters", details]);
    }
    assert_eq!(found(&world, content).status(), Some(504));
    let counted = world.metrics(0);
    for (name, expected) in [("requests.refused", 3), ("reasons.too-many-waiters", 2)] {
        let name = format!("breakwater.{name}.rule.default");
        assert!(counted.contains(&(name.clone(), expected)), "{name} in {counted:?}");
    }
}

#[test]
fn a_failure_that_is_its_clients_alone_does_not_send_the_wave_after_it() {
    let mut world = scene(terms(), |_| answer(503, "no-store"));
    let leader = send(&mut world, 0, [get(0)])[0];
    let waiters = send(&mut world, 10, [get(0), get(0), get(1), get(1)]);
    assert_eq!(asked(&mut world), 2, "one of them tries once more");
    assert_eq!(found(&world, leader).body, b"made by the upstream");
    let waiters: Vec<_> = waiters.into_iter().map(|waiter| found(&world, waiter)).collect();
    assert_eq!(waiters.iter().filter(|waiter| waiter.serials.len() == 1).count(), 1);
    for waiter in waiters.into_iter().filter(|waiter| waiter.serials.is_empty()) {
        assert_eq!((waiter.status(), waiter.serials.len()), (Some(503), 0));
        assert!(!waiter.body.is_empty() && waiter.body != b"made by the upstream");
        assert!(field(&waiter, "proxy-status").starts_with("breakwater; error="), "{waiter:?}");
        assert!(field(&waiter, "cache-status").contains("collapsed"), "{waiter:?}");
    }
}

#[test]
fn what_a_filter_says_to_one_client_is_not_said_to_the_others() {
    let mut world = scene(terms(), |asked| match asked.fields.get("x-caller") {
        Some(_) => Outcome::Local(403),
        None => answer(200, "max-age=60"),
    });
    let leader = send(&mut world, 0, [get(0).with("x-caller", "refused")])[0];
    let waiters = send(&mut world, 10, [get(0), get(0), get(1)]);
    assert_eq!(asked(&mut world), 2, "the refused one, and who took its place");
    assert_eq!(found(&world, leader).status(), Some(403));
    for waiter in waiters {
        assert_eq!(found(&world, waiter).status(), Some(200));
    }
}

#[test]
fn a_head_request_does_not_part_the_waves_that_follow() {
    let mut world = scene(terms(), |_| answer(200, "max-age=60"));
    send(&mut world, 0, [ClientRequest::new(0, 0, "HEAD", "/r")]);
    send(&mut world, 200, vec![get(0); 10]);
    assert_eq!(asked(&mut world), 2);
}

#[test]
fn an_authorized_request_does_not_part_the_waves_of_others() {
    let mut world = scene(terms(), |_| answer(200, "max-age=60"));
    let authorized = get(0).with("authorization", "Bearer a");
    send(&mut world, 0, [authorized.clone()]);
    send(&mut world, 10, vec![get(0); 10]);
    assert_eq!(asked(&mut world), 2, "who waited for what is not theirs, waits again for one of them");

    let mut world = scene(terms(), |_| answer(200, "max-age=60"));
    send(&mut world, 0, [authorized.clone()]);
    send(&mut world, 200, vec![get(0); 10]);
    assert_eq!(asked(&mut world), 2, "who comes later finds nothing remembered against them");

    let mut world = scene(terms(), |_| answer(200, "max-age=60"));
    send(&mut world, 0, [authorized.clone()]);
    send(&mut world, 200, vec![authorized; 10]);
    assert_eq!(asked(&mut world), 11, "the authorized do not wait for what they may not share");
}

#[test]
fn a_write_parts_the_flights_of_all_workers_whatever_the_scope() {
    for scope in [Reach::Worker, Reach::Envoy] {
        let mut world = scene(Terms { scope, ..terms() }, |_| answer(200, "max-age=60"));
        send(&mut world, 0, [ClientRequest::new(0, 1, "POST", "/r")]);
        // Under way when the write is answered, and for long enough that another comes.
        let early = send(&mut world, 50, [get(0)])[0];
        let late = send(&mut world, 120, [get(0)])[0];
        assert_eq!(asked(&mut world), 3, "{scope:?}");
        assert!([early, late].iter().all(|client| found(&world, *client).serials.len() == 1));
    }
}

#[test]
fn a_write_is_not_answered_from_the_store_while_the_circuit_is_open() {
    let mut world = scene(Terms { breaker: true, ..terms() }, |asked| match asked.at.as_millis() {
        0..500 => answer(200, "max-age=60"),
        _ => Outcome::Reset,
    });
    send(&mut world, 0, [get(0)]);
    // Writes that fail one after another open the circuit.
    let write = || ClientRequest::new(0, 0, "POST", "/r");
    (0..5).for_each(|n| drop(send(&mut world, 500 + n * 110, [write()])));
    let refused = send(&mut world, 1_100, [write()])[0];
    let stale = send(&mut world, 1_100, [get(0)])[0];
    assert_eq!(asked(&mut world), 6);
    assert_eq!(found(&world, refused).status(), Some(503));
    assert_eq!(found(&world, stale).status(), Some(200));
}

#[test]
fn what_redis_kept_through_a_write_it_did_not_hear_of_is_not_served() {
    let mut world = scene(Terms { l2: true, ..terms() }, |_| answer(200, "max-age=60"));
    send(&mut world, 0, [get(0)]);
    world.redis(MS * 300, Mood::down());
    send(&mut world, 310, [ClientRequest::new(0, 0, "POST", "/r")]);
    world.redis(MS * 600, Mood::default());
    // Both workers have found Redis again by then, with the entry that it was not told to forget.
    world.run_until(MS * 2_000);
    assert!(world.redis_keys().iter().any(|key| key.starts_with(b"bw:2:")));
    let late = send(&mut world, 2_000, [get(1)])[0];
    assert_eq!(asked(&mut world), 3);
    assert_eq!(found(&world, late).serials.len(), 1);
    // Nor later, when L1 holds what replaced it and asks behind itself again.
    let later = send(&mut world, 3_000, [get(0)])[0];
    world.run_until_idle();
    assert_eq!(found(&world, later).body, b"made by the upstream");
}

#[test]
fn whoever_gets_a_stored_answer_gets_the_type_that_the_upstream_stated_or_none() {
    fn origin(asked: &Asked, empty: bool) -> Outcome {
        let confirms = asked.fields.get("if-none-match").is_some();
        let body: &[u8] = if empty || confirms { b"" } else { b"made by the upstream" };
        let answer = Answer::new(if confirms { 304 } else { 200 }, body).with("etag", "\"1\"");
        let answer = answer.with("cache-control", "max-age=1");
        Outcome::Answer(if empty { answer.with("content-type", "x/y") } else { answer })
    }
    // In place of the upstream's 304 Envoy lets nothing be put right: an empty type is the nearest to none, and an
    // empty body has none.
    for (upstream, stated, in_place) in [
        ((|asked| origin(asked, false)) as fn(&Asked) -> Outcome, None, Some("")),
        (|asked| origin(asked, true), Some("x/y"), None),
    ] {
        let mut world = scene(terms(), upstream);
        // A leader and who waits for it, here and on the other worker; hits, from shared data and from memory.
        let mut clients = send(&mut world, 0, [0, 0, 1].map(get));
        clients.extend([150, 160].map(|at| send(&mut world, at, [get(0)])[0]));
        // And again, when it is confirmed.
        clients.extend(send(&mut world, 1_500, [1, 1, 0].map(get)));
        assert_eq!(asked(&mut world), 2);
        for client in clients.iter().map(|client| found(&world, *client)) {
            let status = field(&client, "cache-status");
            let led = status.contains("fwd-status=304") && !status.contains("collapsed");
            let kind = client.head.as_ref().and_then(|head| head.get("content-type"));
            let expected = if led { in_place } else { stated };
            assert_eq!(kind, expected.map(str::as_bytes), "{status}");
        }
    }
}

#[test]
fn of_variants_that_are_stored_at_once_none_is_left_out_of_the_index() {
    let varies = |_: &Asked| {
        let answer = Answer::new(200, b"made by the upstream").with("vary", "accept-language");
        Outcome::Answer(answer.with("cache-control", "max-age=60"))
    };
    let mut world = scene(Terms { l2: true, ..terms() }, varies);
    let languages = ["de", "en", "fr", "it"];
    let of = |worker: usize, language: &str| get(worker).with("accept-language", language);
    send(&mut world, 0, [of(0, "de"), of(1, "en"), of(0, "fr"), of(1, "it")]);
    // Past `l1.ttl` only what Redis holds is believed.
    for (at, language) in (5..).map(|n| n * 200).zip(languages) {
        send(&mut world, at, [of(0, language), of(1, language)]);
    }
    assert_eq!(asked(&mut world), languages.len());
}

#[test]
fn a_response_that_begins_to_vary_takes_the_place_of_the_one_that_did_not() {
    let begins = |asked: &Asked| {
        let answer = Answer::new(200, b"made by the upstream").with("cache-control", "max-age=1");
        let answer = answer.with("etag", &format!("\"{}\"", asked.serial));
        Outcome::Answer(if asked.serial == 1 { answer } else { answer.with("vary", "accept-language") })
    };
    // The other Envoy has nothing of it in its memory, and learns from Redis alone what is there.
    let config = Config { envoys: 2, interleave: 0, ..Config::default() };
    let terms = Terms { l2: true, ..terms() };
    let mut world = World::new(
        7,
        config,
        move |host, envoy, number| worker(host, envoy, number, &terms),
        move |asked, _| Script { wait: MS * 10, outcome: begins(asked) },
    );
    let of =
        |envoy, language: &str| ClientRequest::new(envoy, 0, "GET", "/r").with("accept-language", language);
    send(&mut world, 0, [of(0, "de")]);
    send(&mut world, 2_000, [of(1, "de")]);
    send(&mut world, 2_400, [of(0, "de"), of(1, "de")]);
    assert_eq!(asked(&mut world), 2);
}

#[test]
fn a_wave_in_several_languages_asks_for_each_of_them_once_in_a_worker() {
    let of = |worker: usize, language: &str| get(worker).with("accept-language", language);
    // The first of all is led for both workers, the others in each.
    for (workers, expected) in [(1, 3), (2, 5)] {
        let mut world = scene(terms(), |_| {
            let answer = Answer::new(200, b"made by the upstream").with("vary", "accept-language");
            Outcome::Answer(answer.with("cache-control", "max-age=0"))
        });
        let wave =
            (0..60).flat_map(|n| (0..workers).map(move |worker| of(worker, ["de", "en", "fr"][n % 3])));
        let clients = send(&mut world, 0, wave);
        assert_eq!(asked(&mut world), expected, "{workers} workers");
        assert!(clients.iter().all(|client| found(&world, *client).status() == Some(200)));
    }
}

mod refreshing;
mod releasing;
