use super::*;
use crate::redis::{Bridge, Limits, Step};
use crate::store::entry::Meta;
use crate::testing::cases;
use proptest::prelude::*;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use std::time::Duration;

const DIGEST: Digest = Digest([0xab; 16]);

fn l2() -> L2 {
    L2 {
        cluster: "c".into(),
        ttl: Duration::from_secs(300),
        timeout: Duration::from_millis(50),
        max_object_bytes: 1_000,
        l3_ttl: Duration::from_secs(3_600),
    }
}

fn entry(body: &[u8]) -> Entry<'_> {
    Entry {
        meta: Meta {
            status: 200,
            received_at: Wall(0),
            initial_age: Duration::ZERO,
            fresh_until: Wall(10_000),
            stale_until: Wall(70_000),
            refresh_until: Wall(10_000),
            authorized: false,
            never_stale: false,
            etag_generated: false,
            took: Duration::ZERO,
        },
        key: b"",
        selecting: b"",
        tags: b"",
        fields: b"",
        body,
    }
}

#[test]
fn both_tiers_are_asked_in_one_pipeline() {
    let text = String::from_utf8(lookup("bw", DIGEST, None)).unwrap();
    let hex = "ab".repeat(16);
    assert_eq!(
        text,
        format!("*2\r\n$3\r\nGET\r\n$37\r\nbw:2:{hex}\r\n*2\r\n$3\r\nGET\r\n$37\r\nbw:3:{hex}\r\n")
    );
}

#[test]
fn a_lookup_is_two_values_or_unavailable() {
    let read_lookup = |answer| read_lookup(answer, None).map(|(found, _)| found);
    assert_eq!(read_lookup(b"$1\r\nx\r\n$-1\r\n"), Ok(Found { l2: Some(b"x"), l3: None, wrong_type: false }));
    assert_eq!(
        read_lookup(b"-WRONGTYPE x\r\n$1\r\ny\r\n"),
        Ok(Found { l2: None, l3: Some(b"y"), wrong_type: true })
    );
    for answer in
        [&b""[..], b"$-1\r\n", b"-upstream failure\r\n-upstream failure\r\n", b"garbage", b"+OK\r\n+OK\r\n"]
    {
        assert_eq!(read_lookup(answer), Err(Unavailable), "{answer:?}");
    }
}

#[test]
fn l2_keeps_for_the_freshness_and_l3_for_the_staleness() {
    let (pipeline, commands) = store("bw", DIGEST, &l2(), &entry(b"x"), Wall(4_000)).unwrap();
    let text = String::from_utf8_lossy(&pipeline).into_owned();
    assert_eq!(commands, 2);
    assert!(text.contains("PX\r\n$4\r\n6000\r\n") && text.ends_with("PX\r\n$5\r\n66000\r\n"), "{text}");
    assert_eq!(store("bw", DIGEST, &l2(), &entry(b"x"), Wall(10_000)).unwrap().1, 1, "stale: L3 alone");
    assert_eq!(store("bw", DIGEST, &l2(), &entry(b"x"), Wall(70_000)), None, "of no more use");
}

#[test]
fn an_entry_at_the_size_limit_is_written_and_one_byte_more_is_not() {
    let room = 1_000 - entry(b"").encoded_len();
    assert!(store("bw", DIGEST, &l2(), &entry(&vec![0; room]), Wall(0)).is_some());
    assert_eq!(store("bw", DIGEST, &l2(), &entry(&vec![0; room + 1]), Wall(0)), None);
}

#[test]
fn a_full_redis_refuses_but_is_there() {
    assert_eq!(read_written(b"+OK\r\n+OK\r\n", 2), Ok(Written::Done));
    assert_eq!(read_written(b":2\r\n", 1), Ok(Written::Done));
    assert_eq!(read_written(b"-OOM command not allowed\r\n+OK\r\n", 2), Ok(Written::Refused));
    assert_eq!(read_written(b"-upstream failure\r\n+OK\r\n", 2), Err(Unavailable));
    assert_eq!(read_written(b"+OK\r\n", 2), Err(Unavailable));
}

/// The commands of a pipeline, as an independent reader finds them.
fn commands(mut pipeline: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut commands = Vec::new();
    while !pipeline.is_empty() {
        let (frame, length) = decode(pipeline).unwrap().unwrap();
        let OwnedFrame::Array(words) = frame else { panic!("{frame:?} is no command") };
        let word = |word| match word {
            OwnedFrame::BulkString(bytes) => bytes,
            other => panic!("{other:?} is no word of a command"),
        };
        commands.push(words.into_iter().map(word).collect());
        pipeline = &pipeline[length..];
    }
    commands
}

/// Whether the bridge lets it pass.
fn passes(pipeline: &[u8]) -> bool {
    let head = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", pipeline.len());
    let mut bridge = Bridge::new(Limits { max_request_bytes: 1 << 20, max_reply_bytes: 1 << 20 });
    let step = bridge.on_downstream(&[head.as_bytes(), pipeline].concat(), false);
    step == Step::Replace(pipeline.to_vec())
}

/// Answers of Redis, of `redis_proxy`, and of nobody.
fn any_answer() -> impl Strategy<Value = Vec<u8>> {
    let reply = prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..9).prop_map(|bytes| [format!("${}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat()),
        6 => prop::sample::select(vec![
            &b"$-1\r\n"[..], b"*-1\r\n", b"+OK\r\n", b":2\r\n", b"-WRONGTYPE x\r\n", b"-OOM x\r\n", b"-READONLY x\r\n", b"-upstream failure\r\n", b"*0\r\n", b"*1\r\n$1\r\nx\r\n",
        ]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(reply, 0..4).prop_map(|replies| replies.concat())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_answer_is_found_values_or_unavailable(answer in any_answer(), commands in 0_usize..4) {
        let _ = read_written(&answer, commands);
        let Ok((found, _)) = read_lookup(&answer, None) else { return Ok(()) };
        let (first, length) = decode(&answer).unwrap().unwrap();
        let (second, _) = decode(&answer[length..]).unwrap().unwrap();
        for (value, frame) in [(found.l2, first), (found.l3, second)] {
            let expected = match &frame {
                OwnedFrame::BulkString(bytes) => Some(&bytes[..]),
                OwnedFrame::Null => None,
                OwnedFrame::Error(text) if text.starts_with("WRONGTYPE") => None,
                other => panic!("{other:?} is no value"),
            };
            prop_assert_eq!(value, expected);
        }
    }

    #[test]
    fn what_is_written_is_what_is_asked_for(namespace in "[a-z:]{1,6}", digest in any::<[u8; 16]>(), body in prop::collection::vec(any::<u8>(), 0..40), now in 0_u64..80_000) {
        let (digest, entry) = (Digest(digest), entry(&body));
        let asked = lookup(&namespace, digest, None);
        prop_assert!(passes(&asked));
        let names: Vec<_> = commands(&asked).into_iter().map(|words| words[1].clone()).collect();
        for (has_changed, lease) in [(false, vec![]), (true, vec![leases::key(&namespace, digest)])] {
            let (gone, count) = delete(&namespace, digest, has_changed);
            prop_assert!(passes(&gone));
            prop_assert_eq!(commands(&gone), [[vec![b"DEL".to_vec()], names.clone(), lease].concat()]);
            prop_assert_eq!(count, 1);
        }
        let Some((pipeline, count)) = store(&namespace, digest, &l2(), &entry, Wall(now)) else {
            prop_assert!(now >= 70_000);
            return Ok(());
        };
        prop_assert!(passes(&pipeline));
        let written = commands(&pipeline);
        prop_assert_eq!(written.len(), count);
        for words in &written {
            let [set, name, bytes, px, stay] = &words[..] else { panic!("{words:?}") };
            prop_assert_eq!((&set[..], &px[..]), (&b"SET"[..], &b"PX"[..]));
            prop_assert!(names.contains(name));
            prop_assert_eq!(Entry::read(bytes), Some(entry.clone()));
            let stay: u64 = std::str::from_utf8(stay).unwrap().parse().unwrap();
            let until = if *name == names[0] { 10_000 } else { 70_000 };
            prop_assert_eq!(now + stay, until);
        }
    }

    #[test]
    fn a_variant_is_written_before_the_index_that_names_it(digest in any::<[u8; 16]>(), other in any::<[u8; 16]>(), now in 0_u64..9_000) {
        let (digest, other) = (Digest(digest), Digest(other));
        let index = Index::new(b"key");
        for (publication, names) in [
            (Publication::Replace, &["SET", "SET", "SET", "SET"][..]),
            (Publication::Append, &["SET", "SET", "SET", "APPEND", "PEXPIRE", "SET", "APPEND", "PEXPIRE"]),
        ] {
            let (pipeline, count) =
                store_variant("bw", digest, other, &l2(), &entry(b"x"), (&index, publication), Wall(now)).unwrap();
            prop_assert!(passes(&pipeline));
            let written = commands(&pipeline);
            prop_assert_eq!(written.len(), count);
            let given: Vec<_> = written.iter().map(|words| std::str::from_utf8(&words[0]).unwrap()).collect();
            prop_assert_eq!(given, names);
            let indexes = written.iter().filter(|words| Index::read(&words[2]).is_some()).count();
            prop_assert_eq!(indexes, if publication == Publication::Append { 4 } else { 2 });
            let stays = |key: &[u8]| -> Vec<u64> {
                let of_key = written.iter().filter(|words| words[1] == key && words[0] != b"APPEND");
                let stay = of_key.map(|words| if words[0] == b"SET" { &words[4] } else { &words[2] });
                stay.map(|stay| std::str::from_utf8(stay).unwrap().parse().unwrap()).collect()
            };
            for tier in TIERS {
                let variant = stays(&key("bw", tier, other));
                let index = stays(&key("bw", tier, digest));
                prop_assert!(digest == other || index.iter().all(|stay| *stay >= variant[0]), "the index outlasts what it names");
            }
        }
    }
}
