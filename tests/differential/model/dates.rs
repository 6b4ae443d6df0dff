//! HTTP-date in its three forms (RFC 9110 §5.6.7).
//!
//! Names are read in any case, all else to the letter. A weekday that is not that date's is let pass: nobody need
//! check it, and whoever does may call the date invalid, so it is certain for none.

use super::directives::Odds;
use crate::history::Ms;

/// A moment, and how sure it is that others read it too.
pub type Read = Option<(Ms, Odds)>;

/// Reads a date; `now` places years of two digits.
pub fn date(text: &str, now: Ms) -> Read {
    imf_fixdate(text).or_else(|| rfc850(text, now)).or_else(|| asctime(text))
}

/// The moment, however sure.
pub fn moment(text: &str, now: Ms) -> Option<Ms> {
    date(text, now).map(|(moment, _)| moment)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &str) -> Read {
    let words: Vec<&str> = text.split(' ').collect();
    let [weekday, day, month, year, time, zone] = words[..] else { return None };
    let weekday = place(&WEEKDAYS, weekday.strip_suffix(',')?)?;
    zone.eq_ignore_ascii_case("gmt").then_some(())?;
    at(number(year, 4)?, place(&MONTHS, month)?, number(day, 2)?, time, weekday)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &str, now: Ms) -> Read {
    let words: Vec<&str> = text.split(' ').collect();
    let [weekday, date, time, zone] = words[..] else { return None };
    let weekday = place(&LONG_WEEKDAYS, weekday.strip_suffix(',')?)?;
    let parts: Vec<&str> = date.split('-').collect();
    let [day, month, year] = parts[..] else { return None };
    zone.eq_ignore_ascii_case("gmt").then_some(())?;
    let (day, month, year) = (number(day, 2)?, place(&MONTHS, month)?, number(year, 2)?);
    // "interpret a timestamp that appears to be more than 50 years in the future as … the past"
    let mut century = 2100;
    loop {
        let read = at(century + year, month, day, time, weekday);
        let (moment, _) = at(century + year, month, day.min(28), time, weekday)?;
        if moment <= now + 50 * YEAR || century == 1900 {
            return read;
        }
        century -= 100;
    }
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Read {
    let (weekday, rest) = text.split_once(' ')?;
    let (month, rest) = rest.split_once(' ')?;
    let (day, rest) = match rest.strip_prefix(' ') {
        Some(rest) => rest.split_at_checked(1)?,
        None => rest.split_at_checked(2)?,
    };
    let (time, year) = rest.strip_prefix(' ')?.split_once(' ')?;
    let day = number(day, day.len())?;
    at(number(year, 4)?, place(&MONTHS, month)?, day, time, place(&WEEKDAYS, weekday)?)
}

fn at(year: i64, month: i64, day: i64, time: &str, weekday: i64) -> Read {
    let parts: Vec<&str> = time.split(':').collect();
    let [hour, minute, second] = parts[..] else { return None };
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    let length = match month {
        1 if leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    };
    if day == 0 || day > length || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Slow and obvious: count the days.
    let mut days = 0;
    for past in 1970..year {
        days += if leap(past) { 366 } else { 365 };
    }
    for past in year..1970 {
        days -= if leap(past) { 366 } else { 365 };
    }
    for past in 0..month {
        days += [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][past as usize];
    }
    days += day - 1;
    // The first of January 1970 was a Thursday, the fourth here.
    let odds = if (days + 4).rem_euclid(7) == weekday { Odds::Yes } else { Odds::Maybe };
    Some((1000 * (days * 86_400 + hour * 3_600 + minute * 60 + second), odds))
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn place(names: &[&str], name: &str) -> Option<i64> {
    names.iter().position(|known| known.eq_ignore_ascii_case(name)).map(|place| place as i64)
}

/// Exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let all = text.len() == digits && text.chars().all(|c| c.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

const YEAR: Ms = 31_557_600_000;
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const LONG_WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
