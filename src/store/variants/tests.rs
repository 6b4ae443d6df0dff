use super::*;
use crate::http::Vary;
use crate::http::key::{KeySpec, key};
use crate::testing::cases;
use proptest::prelude::*;

fn request(language: &str) -> Fields {
    Fields::of([(&b":path"[..], &b"/"[..]), (b"accept-language", language.as_bytes())])
}

fn selecting(language: &str) -> Vec<u8> {
    Vary::read(&Fields::of([(&b"vary"[..], &b"accept-language"[..])])).selecting_fields(&request(language))
}

fn variant(language: &str, received_at: u64, of_use_until: u64, used_at: u64) -> Variant {
    Variant {
        selecting: selecting(language),
        received_at: Wall(received_at),
        of_use_until: Wall(of_use_until),
        used_at: Wall(used_at),
    }
}

fn of(variants: &[Variant]) -> Index {
    let mut index = Index::new(b"key");
    for variant in variants {
        index.admit(variant.clone(), MAX_VARIANTS, Wall(0));
    }
    index
}

#[test]
fn a_request_selects_its_own_variant() {
    let index = of(&[variant("de", 1, 9, 1), variant("fr", 2, 9, 2)]);
    let selected = |language| {
        let found = index.selected(&request(language));
        found.iter().map(|variant| variant.received_at.0).collect::<Vec<_>>()
    };
    assert_eq!(selected("de"), [1]);
    assert_eq!(selected("fr"), [2]);
    assert!(selected("en").is_empty());
}

#[test]
fn of_several_that_are_selected_the_last_received_comes_first() {
    let by_path = Variant {
        selecting: Vary::read(&Fields::of([(&b"vary"[..], &b"accept"[..])])).selecting_fields(&request("de")),
        ..variant("de", 7, 9, 1)
    };
    let index = of(&[variant("de", 1, 9, 1), by_path]);
    let found: Vec<_> = index.selected(&request("de")).iter().map(|variant| variant.received_at.0).collect();
    assert_eq!(found, [7, 1]);
}

#[test]
fn the_list_takes_so_many_and_not_one_more() {
    let now = Wall(100);
    let mut index = Index::new(b"key");
    for n in 0..3 {
        assert_eq!(index.admit(variant(&n.to_string(), n, 200, n), 3, now), []);
    }
    let gone = index.admit(variant("new", 50, 200, 50), 3, now);
    assert_eq!(gone, [variant("0", 0, 200, 0)], "asked for longest ago");
    assert_eq!(index.variants().len(), 3);
    let gone = index.admit(variant("new", 60, 200, 60), 3, now);
    assert_eq!(gone, [], "the same again drives out nobody");
}

#[test]
fn what_is_of_no_more_use_goes_before_what_is_seldom_asked_for() {
    let mut index = of(&[variant("seldom", 1, 200, 1), variant("useless", 2, 100, 90)]);
    assert_eq!(index.admit(variant("new", 3, 200, 99), 2, Wall(100)), [variant("useless", 2, 100, 90)]);
}

#[test]
fn a_use_is_noted_once_a_second() {
    let mut index = of(&[variant("de", 0, 9_999, 0)]);
    assert!(!index.use_now(&selecting("de"), Wall(999)));
    assert!(index.use_now(&selecting("de"), Wall(1_000)));
    assert!(!index.use_now(&selecting("de"), Wall(1_001)));
    assert!(!index.use_now(&selecting("fr"), Wall(9_000)));
}

#[test]
fn of_two_copies_the_later_variants_are_joined() {
    let mut one = of(&[variant("de", 5, 9, 1), variant("fr", 1, 9, 1)]);
    one.join(&of(&[variant("de", 4, 9, 1), variant("fr", 2, 9, 1), variant("en", 3, 9, 1)]), 8, Wall(0));
    let known = ["de", "fr", "en"].map(|language| one.received_at(&selecting(language)).unwrap().0);
    assert_eq!(known, [5, 2, 3]);
    one.drop_outdated(Wall(3));
    assert_eq!(one.variants().len(), 1);
}

#[test]
fn lines_are_appended_until_the_log_is_twice_as_long_as_the_list_may_be() {
    let mut index = Index::new(b"key");
    let mut redis = Vec::new();
    for n in 0..20_u64 {
        let language = (n % 3).to_string();
        index.admit(variant(&language, n, 99, n), 3, Wall(0));
        match index.publish(false, 3) {
            Publication::Append => redis.extend(index.line(&selecting(&language))),
            Publication::Replace => redis = index.encode(),
        }
        let read = Index::read(&redis).unwrap();
        assert_eq!(read.logged, index.logged);
        assert!(read.logged <= 6, "{n}: {}", read.logged);
        for variant in index.variants() {
            assert_eq!(read.received_at(&variant.selecting), Some(variant.received_at), "{n}");
        }
    }
    assert_eq!(index.publish(true, 3), Publication::Replace);
}

#[test]
fn lines_of_several_who_store_at_once_are_all_read_whatever_their_order() {
    let [de, fr] = [variant("de", 1, 9, 1), variant("fr", 2, 9, 2)].map(|variant| of(&[variant]));
    let lines = [
        de.line(&selecting("de")),
        fr.line(&selecting("fr")),
        of(&[variant("de", 3, 9, 3)]).line(&selecting("de")),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let read = Index::read(&order.map(|line| lines[line].clone()).concat()).unwrap();
        let known = ["de", "fr"].map(|language| read.received_at(&selecting(language)).unwrap().0);
        assert_eq!(known, [3, 2]);
    }
}

#[test]
fn a_log_is_of_one_key_and_has_an_end() {
    let line = of(&[variant("de", 1, 9, 1)]).line(&selecting("de"));
    let mut other = Index::new(b"other");
    other.admit(variant("fr", 1, 9, 1), 8, Wall(0));
    assert_eq!(Index::read(&[line.clone(), other.line(&selecting("fr"))].concat()), None);
    let longest = usize::try_from(LONGEST_LOG).unwrap();
    assert!(Index::read(&line.repeat(longest)).is_some());
    assert_eq!(Index::read(&line.repeat(longest + 1)), None);
    assert_eq!(Index::read(&[&line[..], b"x"].concat()), None);
    let many: Vec<u8> = (0..MAX_VARIANTS + 1)
        .flat_map(|n| of(&[variant(&n.to_string(), n as u64, 9, n as u64)]).line(&selecting(&n.to_string())))
        .collect();
    let read = Index::read(&many).unwrap();
    assert_eq!((read.variants().len(), read.received_at(&selecting("0"))), (MAX_VARIANTS, None));
}

#[test]
fn variants_and_keys_have_digests_of_their_own() {
    let key = key(&KeySpec::default(), &request("de")).unwrap();
    let digests =
        [digest(key.bytes(), &selecting("de")), digest(key.bytes(), &selecting("fr")), key.digest()];
    assert_ne!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
    assert_ne!(digest(b"ab", b"c"), digest(b"a", b"bc"));
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_bytes_are_an_index_or_a_miss(mut bytes in prop::collection::vec(any::<u8>(), 0..120), own in any::<bool>()) {
        if own && bytes.len() > 3 {
            bytes[..3].copy_from_slice(MAGIC);
        }
        if let Some(index) = Index::read(&bytes) {
            prop_assert_eq!(Index::read(&index.encode()), Some(index));
        }
    }

    #[test]
    fn what_is_written_is_read_back(variants in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), any::<u64>(), any::<u64>(), any::<u64>()), 0..20)) {
        let mut index = Index::new(b"some key");
        for (selecting, received_at, of_use_until, used_at) in variants {
            let variant = Variant { selecting, received_at: Wall(received_at), of_use_until: Wall(of_use_until), used_at: Wall(used_at) };
            index.admit(variant, 8, Wall(0));
            prop_assert!(index.variants().len() <= 8);
        }
        let bytes = index.encode();
        prop_assert_eq!(Index::read(&bytes), Some(index));
        for len in 0..bytes.len() {
            prop_assert_eq!(Index::read(&bytes[..len]), None);
        }
    }

    #[test]
    fn nearly_an_index_is_one_or_a_miss(languages in prop::collection::vec("[a-c]{0,2}", 0..4), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in 0_usize..3, asked in "[a-c]{0,2}", now in any::<u64>()) {
        let variants: Vec<_> = languages.iter().map(|language| variant(language, 5, 9, 1)).collect();
        let mut bytes = of(&variants).encode();
        let place = at.index(bytes.len());
        bytes[place] = byte;
        bytes.truncate(bytes.len() - cut);
        let Some(mut index) = Index::read(&bytes) else { return Ok(()) };
        index.selected(&request(&asked));
        index.use_now(&selecting(&asked), Wall(now));
        index.join(&of(&variants), 2, Wall(now));
        index.drop_outdated(Wall(now));
        prop_assert!(index.variants().len() <= MAX_VARIANTS);
    }
}
