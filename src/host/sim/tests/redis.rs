//! Redis in all its moods, and all that may befall it.

use super::*;
use crate::host::sim::redis::Redis;

pub(super) fn command(words: &[&str]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command += &format!("${}\r\n{word}\r\n", word.len());
    }
    command.into_bytes()
}

/// What Redis says to an Envoy's pipeline.
fn ask(redis: &mut Redis, envoy: usize, at: u64, commands: &[&[&str]]) -> String {
    let pipeline = commands.iter().map(|words| command(words)).collect::<Vec<_>>().concat();
    let answer = redis.answer(envoy, &pipeline, ms(at), &mut Rng::new(1)).unwrap();
    String::from_utf8(answer.unwrap()).unwrap()
}

/// What a pipeline is answered, and when, under `mood`.
fn asked_of_redis(mood: Mood, pipeline: Vec<u8>) -> (Option<Vec<u8>>, Duration) {
    let answer = Rc::new(RefCell::new(None));
    let heard = answer.clone();
    let (mut world, _) = world(Config { redis: mood, ..Config::default() }, move |host, told| {
        match told {
            Told::Request(..) => drop(host.call("breakwater_l2", &pipeline, ms(50)).unwrap()),
            Told::Callout(_, answer) => *heard.borrow_mut() = Some(answer),
            _ => {}
        }
        Flow::Pause
    });
    world.request(ms(1), get(0));
    while answer.borrow().is_none() && world.step() {}
    assert!(world.faults().is_empty(), "{:?}", world.faults());
    let answer = answer.take().unwrap();
    (answer, world.now())
}

#[test]
fn redis_answers_in_every_mood_within_the_callouts_timeout() {
    let ping = || command(&["GET", "k"]);
    assert_eq!(asked_of_redis(Mood::default(), ping()).0.unwrap(), b"$-1\r\n");
    assert_eq!(asked_of_redis(Mood::down(), ping()).0.unwrap(), b"-upstream failure\r\n");
    assert_eq!(asked_of_redis(Mood::frozen(), ping()), (None, ms(51)));
    let slow = Mood { delay: (ms(80), ms(80)), ..Mood::default() };
    assert_eq!(asked_of_redis(slow, ping()), (None, ms(51)));
}

#[test]
fn redis_carries_out_pipelines_in_order_and_forgets_in_time() {
    let mut redis = Redis::default();
    let mut ask = |at, commands: &[&[&str]]| ask(&mut redis, 0, at, commands);
    let set = ["SET", "k", "v", "PX", "100", "NX"];
    assert_eq!(ask(0, &[&["GET", "k"], &set, &set, &["get", "k"]]), "$-1\r\n+OK\r\n$-1\r\n$1\r\nv\r\n");
    assert_eq!(ask(99, &[&["GET", "k"]]), "$1\r\nv\r\n");
    assert_eq!(ask(100, &[&["GET", "k"], &set]), "$-1\r\n+OK\r\n");
    assert_eq!(ask(101, &[&["DEL", "k", "l"], &["DEL", "k"]]), ":1\r\n:0\r\n");
    assert!(ask(102, &[&["SELECT", "1"], &["SET", "k", "v", "PX", "0"]]).matches("-ERR").count() == 2);
}

#[test]
fn what_is_no_pipeline_is_refused() {
    let mut redis = Redis::default();
    for bytes in
        [&b"GET k\r\n"[..], b"*1\r\n$9\r\nGET\r\n", b"*1\r\n$3\r\nGETx", b"*0\r\n", b"*2\r\n$3\r\nGET\r\n"]
    {
        assert!(redis.answer(0, bytes, ms(0), &mut Rng::new(1)).is_err(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_mood_towards_one_envoy_is_not_felt_by_the_others() {
    let mut redis = Redis::default();
    redis.befall(Mishap::Toward(1, Some(Mood::down())), ms(0));
    assert_eq!(ask(&mut redis, 0, 0, &[&["GET", "k"]]), "$-1\r\n");
    assert_eq!(ask(&mut redis, 1, 0, &[&["GET", "k"]]), "-upstream failure\r\n");
    redis.befall(Mishap::Mood(Mood::frozen()), ms(0));
    assert_eq!(redis.mood(1).error, 1000, "what was said of one stands, whatever is said of all");
    redis.befall(Mishap::Toward(1, None), ms(0));
    assert_eq!(redis.mood(1).loss, 1000);
}

#[test]
fn what_redis_refuses_is_refused_and_the_rest_carried_out() {
    let set = ["SET", "k", "v"];
    let release = ["EVAL", std::str::from_utf8(crate::redis::script::RELEASE).unwrap(), "1", "k", "v"];
    for (refusal, expected) in [
        (Refusal::Writes, ["-READONLY", "$1\r\nv", "-READONLY"]),
        (Refusal::Scripts, ["+OK", "$1\r\nv", "-NOPERM"]),
    ] {
        let mut redis = Redis::default();
        ask(&mut redis, 0, 0, &[&set]);
        redis.befall(Mishap::Mood(Mood { refusal: Some(refusal), ..Mood::default() }), ms(0));
        for (command, expected) in [&set[..], &["GET", "k"], &release].into_iter().zip(expected) {
            let answer = ask(&mut redis, 0, 0, &[command]);
            assert!(answer.starts_with(expected), "{refusal:?}: {answer}");
        }
    }
}

#[test]
fn keys_on_lame_servers_fail_and_the_others_do_not() {
    let mut redis = Redis::default();
    let failures = |redis: &mut Redis| {
        let is_lame = |n: &u32| ask(redis, 0, 0, &[&["GET", &format!("key{n}")]]) == "-upstream failure\r\n";
        (0..1000).filter(is_lame).count()
    };
    for (lame, expected) in [(0, 0..1), (300, 200..400), (1000, 1000..1001)] {
        redis.befall(Mishap::Mood(Mood { lame, ..Mood::default() }), ms(0));
        let found = failures(&mut redis);
        assert!(expected.contains(&found), "{lame}: {found}");
        assert_eq!(failures(&mut redis), found, "always the same");
    }
}

#[test]
fn redis_forgets_the_keys_it_is_told_to() {
    for (part, left) in [(":lock:", "$-1\r\n$1\r\n2\r\n"), ("", "$-1\r\n$-1\r\n")] {
        let mut redis = Redis::default();
        ask(&mut redis, 0, 0, &[&["SET", "bw:lock:x", "1"], &["SET", "bw:2:x", "2"]]);
        redis.befall(Mishap::Forgets(part), ms(1));
        assert_eq!(ask(&mut redis, 0, 1, &[&["GET", "bw:lock:x"], &["GET", "bw:2:x"]]), left);
    }
}

#[test]
fn a_replica_that_takes_over_lacks_the_last_writes_of_every_kind_and_no_others() {
    let mut redis = Redis::default();
    ask(&mut redis, 0, 0, &[&["SET", "a", "1", "PX", "1000"], &["SET", "b", "1"], &["SET", "c", "1"]]);
    ask(&mut redis, 0, 10, &[&["SET", "new", "1"], &["APPEND", "c", "2"], &["DEL", "b"]]);
    ask(&mut redis, 0, 11, &[&["PEXPIRE", "a", "9000"], &["SET", "b", "2"]]);
    let gets: [&[&str]; 3] = [&["GET", "new"], &["GET", "b"], &["GET", "c"]];
    redis.befall(Mishap::FailsOver(ms(10)), ms(20));
    assert_eq!(ask(&mut redis, 0, 20, &gets), "$1\r\n1\r\n$-1\r\n$2\r\n12\r\n", "all but the last");
    redis.befall(Mishap::FailsOver(ms(15)), ms(20));
    assert_eq!(ask(&mut redis, 0, 20, &gets), "$-1\r\n$1\r\n1\r\n$1\r\n1\r\n");
    assert_eq!(ask(&mut redis, 0, 1000, &[&["GET", "a"]]), "$-1\r\n", "nor when it would have ended");
}

#[test]
fn a_split_redis_takes_writes_on_both_sides_and_keeps_those_of_one() {
    for (survivor, expected) in [(Side::Former, "$1\r\n0\r\n"), (Side::Replica, "$1\r\n1\r\n")] {
        let mut redis = Redis::default();
        ask(&mut redis, 0, 0, &[&["SET", "k", "old"]]);
        ask(&mut redis, 0, 10, &[&["SET", "late", "1"]]);
        redis.befall(Mishap::Splits(vec![1, 2], ms(5)), ms(12));
        assert_eq!(ask(&mut redis, 0, 12, &[&["GET", "late"]]), "$1\r\n1\r\n");
        assert_eq!(ask(&mut redis, 1, 12, &[&["GET", "late"], &["GET", "k"]]), "$-1\r\n$3\r\nold\r\n");
        ask(&mut redis, 0, 13, &[&["SET", "k", "0"]]);
        ask(&mut redis, 2, 14, &[&["SET", "k", "1"]]);
        assert_eq!(ask(&mut redis, 1, 15, &[&["GET", "k"]]), "$1\r\n1\r\n", "both talk to the same replica");
        redis.befall(Mishap::Heals(survivor), ms(20));
        for envoy in 0..3 {
            assert_eq!(ask(&mut redis, envoy, 20, &[&["GET", "k"]]), expected, "{survivor:?}");
        }
    }
}

#[test]
fn what_befalls_redis_does_so_at_its_moment_and_to_the_envoy_it_concerns() {
    let config = Config { envoys: 2, ..Config::default() };
    let heard = Rc::new(RefCell::new(Vec::new()));
    let log = heard.clone();
    let (mut world, _) = world(config, move |host, told| {
        match told {
            Told::Request(..) => {
                host.call("breakwater_l2", &command(&["SET", "k", "v", "NX"]), ms(50));
                return Flow::Pause;
            }
            Told::Callout(_, answer) => {
                let answer = String::from_utf8(answer.unwrap_or_default()).unwrap();
                log.borrow_mut().push((host.envoy, answer.trim_end().to_owned()));
            }
            _ => {}
        }
        Flow::Continue
    });
    world.befall(ms(10), Mishap::Toward(1, Some(Mood::down())));
    world.befall(ms(20), Mishap::Forgets(""));
    for (at, envoy) in [(1, 0), (5, 1), (15, 1), (25, 0)] {
        world.request(ms(at), ClientRequest::new(envoy, 0, "GET", "/"));
    }
    world.run_until(ms(30));
    let expected = [(0, "+OK"), (1, "$-1"), (1, "-upstream failure"), (0, "+OK")];
    assert_eq!(*heard.borrow(), expected.map(|(envoy, answer)| (envoy, answer.to_owned())));
    assert_eq!(world.redis_lasts(b"k"), Some(None));
    assert_eq!(world.redis_lasts(b"l"), None);
}
