//! How durations and sizes are written: `"100ms"`, `"1h30m"`, `"64MiB"`.
//!
//! A number without a unit is refused, since whoever writes `ttl: 5` may mean any unit. All arithmetic is exact and
//! in integers: a value that is no whole number of milliseconds or bytes is refused rather than rounded. What
//! [`duration_text`] and [`size_text`] print, [`duration`] and [`size`] read back as the same value.

use std::fmt;
use std::time::Duration;

/// Why a text is no duration or no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitError {
    /// Not a number followed by a unit.
    Form,
    /// A number alone.
    NoUnit,
    /// A unit that is not known here.
    Unit,
    /// Several units that do not get smaller from left to right.
    Order,
    /// No whole number of milliseconds or bytes.
    TooFine,
    /// Longer than 366 days, or more bytes than can be counted.
    TooLarge,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "write a number and its unit without spaces",
            Self::NoUnit => "write the unit",
            Self::Unit => "use a unit named here",
            Self::Order => "write the larger unit first, each unit once",
            Self::TooFine => "write a whole number of the smallest unit",
            Self::TooLarge => "write a smaller value",
        })
    }
}

/// Reads a duration: one or more of `<number><unit>` with units `d`, `h`, `m`, `s`, `ms`, the larger first.
///
/// # Errors
/// Says what is wrong with the text; anything beyond [`LONGEST`] is [`UnitError::TooLarge`].
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut smallest_yet = u64::MAX;
    while !rest.is_empty() || smallest_yet == u64::MAX {
        let (quantity, unit, after) = quantity(rest)?;
        let unit_ms = scale(unit, &DURATION_UNITS)?;
        if unit_ms >= smallest_yet {
            return Err(UnitError::Order);
        }
        smallest_yet = unit_ms;
        total = total.checked_add(quantity.times(unit_ms)?).ok_or(UnitError::TooLarge)?;
        rest = after;
    }
    let total = Duration::from_millis(total);
    if total > LONGEST {
        return Err(UnitError::TooLarge);
    }
    Ok(total)
}

/// Writes a duration as [`duration`] reads it; what is finer than a millisecond is dropped.
pub fn duration_text(duration: Duration) -> String {
    let mut rest = crate::time::millis(duration);
    let mut text = String::new();
    for (name, unit_ms) in DURATION_UNITS {
        let count = rest.checked_div(unit_ms).unwrap_or(0);
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(name);
            rest = rest.checked_rem(unit_ms).unwrap_or(0);
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// Reads a size: `<number><unit>` with unit `B`, `KiB`, `MiB` or `GiB`, each 1024 of the one before.
///
/// # Errors
/// Says what is wrong with the text.
pub fn size(text: &str) -> Result<u64, UnitError> {
    let (quantity, unit, rest) = quantity(text)?;
    if !rest.is_empty() {
        return Err(UnitError::Form);
    }
    quantity.times(scale(unit, &SIZE_UNITS)?)
}

/// Writes a size as [`size`] reads it, in the largest unit that needs no fraction.
pub fn size_text(bytes: u64) -> String {
    let exact = SIZE_UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.checked_rem(*unit) == Some(0));
    match exact {
        Some((name, unit)) => format!("{}{name}", bytes.checked_div(*unit).unwrap_or(0)),
        None => format!("{bytes}B"),
    }
}

/// Longest duration that can be written.
pub const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// A decimal number as written: `whole + fraction / denominator`.
struct Quantity {
    whole: u64,
    fraction: u64,
    denominator: u64,
}

impl Quantity {
    fn times(&self, scale: u64) -> Result<u64, UnitError> {
        let whole = self.whole.checked_mul(scale).ok_or(UnitError::TooLarge)?;
        let part = u128::from(self.fraction).saturating_mul(u128::from(scale));
        let denominator = u128::from(self.denominator);
        if part.checked_rem(denominator) != Some(0) {
            return Err(UnitError::TooFine);
        }
        let part =
            part.checked_div(denominator).and_then(|p| u64::try_from(p).ok()).ok_or(UnitError::TooLarge)?;
        whole.checked_add(part).ok_or(UnitError::TooLarge)
    }
}

/// Takes one number and its unit off the front; a unit is letters.
fn quantity(text: &str) -> Result<(Quantity, &str, &str), UnitError> {
    let (whole, mut rest) = digits(text);
    let mut fraction = "";
    if let Some(after_point) = rest.strip_prefix('.') {
        (fraction, rest) = digits(after_point);
        if fraction.is_empty() {
            return Err(UnitError::Form);
        }
    }
    if whole.is_empty() {
        return Err(UnitError::Form);
    }
    if fraction.len() > FRACTION_DIGITS {
        return Err(UnitError::TooFine);
    }
    if rest.is_empty() {
        return Err(UnitError::NoUnit);
    }
    let quantity = Quantity {
        whole: whole.parse().map_err(|_| UnitError::TooLarge)?,
        fraction: if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| UnitError::Form)? },
        denominator: fraction.bytes().fold(1, |d: u64, _| d.saturating_mul(10)),
    };
    let unit_end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(unit_end).ok_or(UnitError::Form)?;
    if unit.is_empty() {
        return Err(UnitError::Form);
    }
    Ok((quantity, unit, rest))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn scale(unit: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    units.iter().find_map(|(name, scale)| (*name == unit).then_some(*scale)).ok_or(UnitError::Unit)
}

/// More digits behind the point than any unit here can use.
const FRACTION_DIGITS: usize = 18;

const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_exactly() {
        for (text, ms) in [
            ("0s", 0),
            ("100ms", 100),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("0.25s", 250),
            ("1d2h3m4s5ms", 93_784_005),
            ("0.001s", 1),
            ("366d", 31_622_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_duration_is_refused_with_its_reason() {
        for (text, error) in [
            ("", UnitError::Form),
            ("0", UnitError::NoUnit),
            ("5", UnitError::NoUnit),
            ("1h30", UnitError::NoUnit),
            ("s", UnitError::Form),
            ("-1s", UnitError::Form),
            ("+1s", UnitError::Form),
            ("1.s", UnitError::Form),
            (".5s", UnitError::Form),
            ("1 s", UnitError::Form),
            (" 1s", UnitError::Form),
            ("1s ", UnitError::Form),
            ("1e3s", UnitError::Unit),
            ("5M", UnitError::Unit),
            ("5us", UnitError::Unit),
            ("5sec", UnitError::Unit),
            ("٣s", UnitError::Form),
            ("30m1h", UnitError::Order),
            ("1s1s", UnitError::Order),
            ("0.5ms", UnitError::TooFine),
            ("0.0001s", UnitError::TooFine),
            ("0.0000000000000000000s", UnitError::TooFine),
            ("366d1ms", UnitError::TooLarge),
            ("99999999999999999999s", UnitError::TooLarge),
            ("18446744073709551615d", UnitError::TooLarge),
        ] {
            assert_eq!(duration(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn sizes_are_read_exactly() {
        for (text, bytes) in [
            ("0B", 0),
            ("1024B", 1024),
            ("256KiB", 256 << 10),
            ("64MiB", 64 << 20),
            ("1GiB", 1 << 30),
            ("1.5KiB", 1536),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_size_is_refused_with_its_reason() {
        for (text, error) in [
            ("64", UnitError::NoUnit),
            ("64MB", UnitError::Unit),
            ("64mib", UnitError::Unit),
            ("64 MiB", UnitError::Form),
            ("1GiB1MiB", UnitError::Form),
            ("0.5B", UnitError::TooFine),
            ("18446744073709551615GiB", UnitError::TooLarge),
            ("MiB", UnitError::Form),
        ] {
            assert_eq!(size(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn texts_are_canonical() {
        let ms = Duration::from_millis;
        assert_eq!(duration_text(ms(0)), "0s");
        assert_eq!(duration_text(ms(5_400_000)), "1h30m");
        assert_eq!(duration_text(ms(1_500)), "1s500ms");
        assert_eq!(duration_text(LONGEST), "366d");
        assert_eq!(size_text(0), "0B");
        assert_eq!(size_text(1 << 20), "1MiB");
        assert_eq!(size_text(1536 << 10), "1536KiB");
        assert_eq!(size_text(1025), "1025B");
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn a_printed_duration_is_read_back(ms in 0..=31_622_400_000_u64) {
            let original = Duration::from_millis(ms);
            prop_assert_eq!(duration(&duration_text(original)), Ok(original));
        }

        #[test]
        fn a_printed_size_is_read_back(bytes: u64, shift in 0..64_u32) {
            let original = bytes >> shift << (shift / 2);
            prop_assert_eq!(size(&size_text(original)), Ok(original));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "(\\PC|[0-9.]{1,24}[smhdKMGiB]{0,3}){0,6}") {
            let _ = (duration(&text), size(&text));
        }
    }
}
