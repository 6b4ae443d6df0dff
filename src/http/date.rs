//! When an HTTP date is (RFC 9110 §5.6.7).
//!
//! Three forms are read: the one that is sent today (IMF-fixdate), that of RFC 850, that of C's `asctime`. Names may
//! be in any case; nothing else is forgiven, because a date that is not valid must be taken for the past (RFC 9111
//! §5.3) and a guess would keep a response longer than its author meant. That the weekday fits the date is not
//! checked: it adds nothing. Nothing is allocated.

use crate::time::Wall;

/// The moment `value` names, `None` if it is no HTTP date; what lies before 1970 is 1970.
///
/// `now` places the two-digit years of RFC 850: one that seems more than 50 years ahead is the past century's.
pub fn parse(value: &[u8], now: Wall) -> Option<Wall> {
    imf_fixdate(value).or_else(|| rfc850(value, now)).or_else(|| asctime(value)).and_then(Moment::wall)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(value: &[u8]) -> Option<Moment> {
    let mut text = Text(value);
    text.name(&SHORT_DAYS)?;
    text.literal(b", ")?;
    let day = text.number(2)?;
    text.literal(b" ")?;
    let month = text.name(&MONTHS)?;
    text.literal(b" ")?;
    let year = text.number(4)?;
    text.literal(b" ")?;
    let second = text.time_of_day()?;
    text.literal(b" GMT")?;
    text.end()?;
    Some(Moment { year, month, day, second })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(value: &[u8], now: Wall) -> Option<Moment> {
    let mut text = Text(value);
    text.name(&LONG_DAYS)?;
    text.literal(b", ")?;
    let day = text.number(2)?;
    text.literal(b"-")?;
    let month = text.name(&MONTHS)?;
    text.literal(b"-")?;
    let short_year = text.number(2)?;
    text.literal(b" ")?;
    let second = text.time_of_day()?;
    text.literal(b" GMT")?;
    text.end()?;
    let latest = now.0.saturating_add(FIFTY_YEARS_MS);
    let this_year = year_of(now);
    let century = this_year.saturating_sub(this_year % 100);
    // The latest year with these two digits that is not more than 50 years ahead.
    [century.saturating_add(100), century, century.saturating_sub(100)]
        .into_iter()
        .map(|century| Moment { year: century.saturating_add(short_year), month, day, second })
        .find(|moment| moment.wall().is_some_and(|wall| wall.0 <= latest))
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(value: &[u8]) -> Option<Moment> {
    let mut text = Text(value);
    text.name(&SHORT_DAYS)?;
    text.literal(b" ")?;
    let month = text.name(&MONTHS)?;
    text.literal(b" ")?;
    let day = match text.literal(b" ") {
        Some(()) => text.number(1)?,
        None => text.number(2)?,
    };
    text.literal(b" ")?;
    let second = text.time_of_day()?;
    text.literal(b" ")?;
    let year = text.number(4)?;
    text.end()?;
    Some(Moment { year, month, day, second })
}

/// What is left of the text.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    /// Takes `expected`, in any case.
    fn literal(&mut self, expected: &[u8]) -> Option<()> {
        let (found, rest) = self.0.split_at_checked(expected.len())?;
        self.0 = found.eq_ignore_ascii_case(expected).then_some(rest)?;
        Some(())
    }

    /// Takes exactly `digits` digits.
    fn number(&mut self, digits: usize) -> Option<u64> {
        let (found, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        found.iter().try_fold(0_u64, |sum, byte| {
            byte.is_ascii_digit()
                .then(|| sum.saturating_mul(10).saturating_add(u64::from(byte.saturating_sub(b'0'))))
        })
    }

    /// Takes one of `names`; its place among them, from 1.
    fn name(&mut self, names: &[&[u8]]) -> Option<u64> {
        names.iter().zip(1..).find_map(|(name, place)| self.literal(name).map(|()| place))
    }

    /// `08:49:37` as seconds of the day; a leap second is allowed.
    fn time_of_day(&mut self) -> Option<u64> {
        let hour = self.number(2)?;
        self.literal(b":")?;
        let minute = self.number(2)?;
        self.literal(b":")?;
        let second = self.number(2)?;
        (hour < 24 && minute < 60 && second <= 60).then(|| {
            hour.saturating_mul(3600).saturating_add(minute.saturating_mul(60)).saturating_add(second)
        })
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// A date of the Gregorian calendar, and the second of that day.
#[derive(Clone, Copy)]
struct Moment {
    year: u64,
    month: u64,
    day: u64,
    second: u64,
}

impl Moment {
    fn wall(self) -> Option<Wall> {
        let days = days_before_month(self.year, self.month)?;
        let length = days_before_month(self.year, self.month.saturating_add(1))?.saturating_sub(days);
        if self.day == 0 || self.day > length {
            return None;
        }
        let days =
            days_before_year(self.year).saturating_add(days).saturating_add(self.day.saturating_sub(1));
        let days_since_epoch = match days.checked_sub(days_before_year(1970)) {
            Some(days) => days,
            None => return Some(Wall(0)),
        };
        let seconds = days_since_epoch.saturating_mul(DAY_SECONDS).saturating_add(self.second);
        Some(Wall(seconds.saturating_mul(1000)))
    }
}

/// Days from the year 0 to the first of January of `year`.
fn days_before_year(year: u64) -> u64 {
    let Some(past) = year.checked_sub(1) else { return 0 };
    // The year 0 is a leap year of 366 days.
    year.saturating_mul(365)
        .saturating_add(past / 4)
        .saturating_sub(past / 100)
        .saturating_add(past / 400)
        .saturating_add(1)
}

/// Days from the first of January to the first of `month`; month 13 stands for the year's end.
fn days_before_month(year: u64, month: u64) -> Option<u64> {
    let place = usize::try_from(month.checked_sub(1)?).ok()?;
    let days = *DAYS_BEFORE_MONTH.get(place)?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    Some(days.saturating_add(u64::from(leap && month > 2)))
}

/// The year in which `wall` lies.
fn year_of(wall: Wall) -> u64 {
    let days = (wall.0 / 1000 / DAY_SECONDS).saturating_add(days_before_year(1970));
    // A guess by the mean year is at most one too small or too large.
    let guess = days.saturating_mul(400) / 146_097;
    if days < days_before_year(guess) {
        guess.saturating_sub(1)
    } else if days >= days_before_year(guess.saturating_add(1)) {
        guess.saturating_add(1)
    } else {
        guess
    }
}

const DAY_SECONDS: u64 = 86_400;
/// Fifty years of 365.25 days.
const FIFTY_YEARS_MS: u64 = 1_577_880_000_000;
const DAYS_BEFORE_MONTH: [u64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
const SHORT_DAYS: [&[u8]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];
const LONG_DAYS: [&[u8]; 7] =
    [b"Sunday", b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday"];
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

#[cfg(test)]
mod tests;
