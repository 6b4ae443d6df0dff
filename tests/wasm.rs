//! The pure layers inside WebAssembly, where the plugin lives: 32-bit sizes, no threads, other libraries below.
//!
//! What holds natively is tested in the rooms themselves; here each room does its main work once.
#![cfg(all(target_family = "wasm", target_os = "unknown"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use breakwater::http::{self, Fields, Reason};
use breakwater::time::{Mono, Wall};
use breakwater::{breaker, config, redis, store};
use std::time::Duration;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn every_reason_has_a_word_of_its_own() {
    let mut words: Vec<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Reason::ALL.len());
}

#[wasm_bindgen_test]
fn fields_come_back_as_they_went_in() {
    let fields = Fields::of([(&b"age"[..], &b"7"[..]), (b"x-odd", b"\xff"), (b"age", b"")]);
    let again = Fields::from_block(fields.as_block().to_vec()).expect("a block of ours is sound");
    let pairs: Vec<_> = again.iter().collect();
    assert_eq!(pairs, [(&b"age"[..], &b"7"[..]), (b"x-odd", b"\xff"), (b"age", b"")]);
}

#[wasm_bindgen_test]
fn lengths_beyond_an_address_space_of_32_bits_are_refused() {
    for lengths in [[u32::MAX, 0], [0, u32::MAX], [u32::MAX, u32::MAX], [u32::MAX / 2, u32::MAX / 2 + 2]] {
        for count in [1_u32, u32::MAX / 8, u32::MAX / 8 + 1, u32::MAX] {
            let mut block = count.to_le_bytes().to_vec();
            block.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
            block.extend([b'a'; 64]);
            assert!(Fields::from_block(block).is_none(), "{count} fields of {lengths:?}");
        }
    }
}

#[wasm_bindgen_test]
fn times_saturate_in_64_bits_here_too() {
    assert_eq!(Wall(u64::from(u32::MAX)).after(Duration::from_millis(1)), Wall(1 << 32));
    assert_eq!(Mono(u64::MAX).after(Duration::MAX).since(Mono(0)), Duration::from_millis(u64::MAX));
}

#[wasm_bindgen_test]
fn a_key_has_the_same_digest_here_as_anywhere() {
    let request =
        Fields::of([(&b":scheme"[..], &b"http"[..]), (b":authority", b"a"), (b":path", b"/x?b=2&a=1")]);
    let key = http::key::key(&http::KeySpec::default(), &request).unwrap();
    let mut hex = Vec::new();
    key.digest().write_hex(&mut hex);
    let native: String =
        blake3::hash(key.bytes()).as_bytes()[..16].iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(String::from_utf8(hex).unwrap(), native);
}

#[wasm_bindgen_test]
fn a_private_response_is_not_shared_and_a_fresh_one_is_kept() {
    let request = http::RequestHead::read(&Fields::of([(&b":method"[..], &b"GET"[..])]));
    let policy = http::StoringPolicy::default();
    let judged = |cache_control: &[u8]| {
        let fields = Fields::of([(&b":status"[..], &b"200"[..]), (b"cache-control", cache_control)]);
        let response = http::ResponseHead::read(&fields, Wall(1_000));
        http::judge(&request, &response, false, &policy, Wall(1_000), Wall(1_000))
    };
    assert_eq!(judged(b"private").share, Err(Reason::Private));
    assert_eq!(judged(b"max-age=60").store.unwrap().fresh_for(), Duration::from_secs(60));
}

#[wasm_bindgen_test]
fn an_entry_and_a_pipeline_come_back_as_they_went_in() {
    let meta = store::entry::Meta {
        status: 200,
        received_at: Wall(1),
        initial_age: Duration::ZERO,
        fresh_until: Wall(u64::from(u32::MAX) + 9),
        stale_until: Wall(u64::from(u32::MAX) + 9),
        refresh_until: Wall(u64::from(u32::MAX) + 9),
        authorized: false,
        never_stale: false,
        etag_generated: false,
        took: Duration::ZERO,
    };
    let block = Fields::new();
    let entry =
        store::Entry { meta, key: b"k", selecting: b"", tags: b"", fields: block.as_block(), body: b"body" };
    let bytes = entry.encode();
    assert_eq!(store::Entry::read_foreign(&bytes, Wall(1)), Some(entry));
    assert_eq!(redis::replies(b"$4\r\nbody\r\n:1\r\n", 2).unwrap().len(), 2);
}

#[wasm_bindgen_test]
fn a_circuit_opens_on_failures_in_a_row() {
    let plan = config::parse(b"{}").unwrap();
    let mut circuit = breaker::Breaker::new(plan.default_rule.breaker.clone());
    for _ in 0..plan.default_rule.breaker.consecutive_failures {
        if let breaker::Admission::Pass(permit) =
            circuit.admit(breaker::Call { invited: false, timed: true }, Mono(1), 0)
        {
            circuit.record(permit, breaker::Outcome::NONE, Mono(2), 0);
        }
    }
    assert_eq!(circuit.state(Mono(3)), breaker::State::Open);
}
