//! Which known name an unknown one was meant to be.
//!
//! Names are compared without case, `_` and `-`, since `maxBytes` and `max-bytes` are how others write `max_bytes`;
//! then by the fewest insertions, deletions, substitutions and swaps of neighbours that turn one into the other
//! (optimal string alignment). A third of the name may be wrong, and one letter always.

use crate::config::limits;

/// The nearest of `known`, if it is near; the first of several.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > limits::COMPARED {
        return None;
    }
    let name = folded(name);
    let (distance, nearest) =
        known.into_iter().map(|k| (distance(&name, &folded(k)), k)).min_by_key(|(distance, _)| *distance)?;
    let longer = name.len().max(nearest.len());
    (distance <= (longer / 3).max(1) && distance < longer).then_some(nearest)
}

fn folded(name: &str) -> Vec<char> {
    name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

fn distance(a: &[char], b: &[char]) -> usize {
    let at = |row: &[usize], i: usize| row.get(i).copied().unwrap_or(usize::MAX);
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a = None;
    for (i, &char_a) in a.iter().enumerate() {
        let mut row = vec![i.saturating_add(1)];
        let mut previous_b = None;
        for (j, &char_b) in b.iter().enumerate() {
            let next = j.saturating_add(1);
            let substituted = at(&last, j).saturating_add(usize::from(char_a != char_b));
            let deleted = at(&last, next).saturating_add(1);
            let inserted = at(&row, j).saturating_add(1);
            let mut best = substituted.min(deleted).min(inserted);
            if previous_a == Some(char_b) && previous_b == Some(char_a) {
                best = best.min(at(&before_last, j.saturating_sub(1)).saturating_add(1));
            }
            row.push(best);
            previous_b = Some(char_b);
        }
        before_last = std::mem::replace(&mut last, row);
        previous_a = Some(char_a);
    }
    at(&last, b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_the_edits() {
        let d = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
            ("cashe", "cache", 1),
        ] {
            assert_eq!(d(a, b), edits, "{a} {b}");
            assert_eq!(d(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        let known = ["ttl", "max_bytes", "max_object_bytes"];
        for (name, nearest_name) in [
            ("tll", Some("ttl")),
            ("maxBytes", Some("max_bytes")),
            ("max-objectBytes", Some("max_object_bytes")),
            ("max_byte", Some("max_bytes")),
            ("x", None),
            ("", None),
            ("timeout", None),
        ] {
            assert_eq!(nearest(name, known), nearest_name, "{name}");
        }
        assert_eq!(nearest(&"t".repeat(10_000), known), None);
        assert_eq!(nearest("ttl", []), None);
    }
}
