//! The pure layers inside WebAssembly, where the plugin lives: 32-bit sizes, no threads, other libraries below.
//!
//! What holds natively is tested in the rooms themselves; here each room does its main work once.
#![cfg(all(target_family = "wasm", target_os = "unknown"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use breakwater::http::{Fields, Reason};
use breakwater::time::{Mono, Wall};
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
