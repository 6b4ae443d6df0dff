//! How long a response is fresh, and how old it is on arrival (RFC 9111 §4.2).
//!
//! Ages are kept in milliseconds although HTTP speaks in seconds: a store that answers within a second of its
//! lifetime must not be a second wrong.

use super::cache_control::MAX_DELTA_SECONDS;
use super::response::ResponseHead;
use crate::time::Wall;
use std::time::Duration;

/// The lifetime the response itself states, for a shared cache (RFC 9111 §4.2.1): s-maxage, else max-age, else
/// Expires minus Date. `None` if it states none.
pub fn stated_lifetime(response: &ResponseHead, received_at: Wall) -> Option<Duration> {
    let directives = &response.directives;
    // A response without a Date is of the moment it arrived (RFC 9110 §6.6.1).
    let by_date = || response.expires.map(|expires| expires.since(response.date.unwrap_or(received_at)));
    directives.s_maxage.or(directives.max_age).or_else(by_date).map(|lifetime| lifetime.min(LONGEST))
}

/// The stated lifetime, else `default_ttl`, else a guess, where these are allowed (RFC 9111 §4.2.2): the status is
/// cacheable by default, or the response says `public`. `None` if none gives any.
pub fn lifetime(
    response: &ResponseHead,
    default_ttl: Duration,
    heuristic_percent: u32,
    received_at: Wall,
) -> Option<Duration> {
    let allowed = response.directives.public || is_heuristically_cacheable(response.status);
    let configured = || (!default_ttl.is_zero()).then_some(default_ttl.min(LONGEST));
    let unstated = || configured().or_else(|| guessed_lifetime(response, heuristic_percent, received_at));
    stated_lifetime(response, received_at).or_else(|| allowed.then(unstated).flatten())
}

/// So many percent of how long the response had not changed when it was made (RFC 9111 §4.2.2): what has been the
/// same for long is likely to stay so for a while. `None` if that comes to nothing.
fn guessed_lifetime(response: &ResponseHead, percent: u32, received_at: Wall) -> Option<Duration> {
    let unchanged_for = response.date.unwrap_or(received_at).since(response.last_modified?);
    let guess = unchanged_for.saturating_mul(percent).checked_div(100)?.min(LONGEST_GUESS);
    (!guess.is_zero()).then_some(guess)
}

/// How old the response is when it arrives (RFC 9111 §4.2.3, `corrected_initial_age`): what Age says plus the time the
/// exchange took, or the distance from Date, whichever is more.
pub fn initial_age(response: &ResponseHead, requested_at: Wall, received_at: Wall) -> Duration {
    // Date is cut to the second: it proves an age only from the end of that second on. The time on the way to here is
    // in the response delay.
    let apparent_age = response.date.map_or(Duration::ZERO, |date| received_at.since(date.after(DATE_GRAIN)));
    let corrected_age = response.age.saturating_add(received_at.since(requested_at));
    apparent_age.max(corrected_age).min(LONGEST)
}

/// Cacheable without being told so (RFC 9110 §15.1), but for 206, which is not stored here.
pub fn is_heuristically_cacheable(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// No lifetime or age is longer (RFC 9111 §1.2.2).
const LONGEST: Duration = Duration::from_secs(MAX_DELTA_SECONDS);
/// A guess that is wrong is wrong for a day at most: caches commonly bound it so, and RFC 9111 §4.2.2 wants it cautious.
const LONGEST_GUESS: Duration = Duration::from_secs(24 * 60 * 60);
const DATE_GRAIN: Duration = Duration::from_millis(999);

#[cfg(test)]
mod tests {
    use super::super::cache_control::ResponseDirectives;
    use super::*;

    /// A round moment, `seconds` later.
    fn at(seconds: u64) -> Wall {
        Wall(1_767_225_600_000 + seconds * 1000)
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn response(cache_control: &str, date: Option<Wall>, expires: Option<Wall>) -> ResponseHead {
        let directives = ResponseDirectives::parse(std::iter::once(cache_control.as_bytes()));
        ResponseHead { status: 200, directives, date, expires, ..Default::default() }
    }

    #[test]
    fn the_most_specific_statement_is_the_lifetime() {
        let (date, later, past) = (Some(at(0)), Some(at(100)), Some(at(0)));
        for (cache_control, expires, expected) in [
            ("s-maxage=3600, max-age=1", None, 3600),
            ("max-age=3600, s-maxage=1", None, 1),
            ("s-maxage=3600, max-age=0", past, 3600),
            ("s-maxage=0, max-age=3600", later, 0),
            ("max-age=3600", past, 3600),
            ("max-age=3600", Some(Wall(0)), 3600),
            ("max-age=0", later, 0),
            ("max-age=-1", later, 0),
            ("max-age='3600'", later, 0),
            ("foobar", later, 100),
            ("", past, 0),
            ("", Some(Wall(0)), 0),
        ] {
            let lifetime = stated_lifetime(&response(cache_control, date, expires), at(0));
            assert_eq!(lifetime, Some(secs(expected)), "{cache_control} {expires:?}");
        }
        assert_eq!(stated_lifetime(&response("public", date, None), at(0)), None);
    }

    #[test]
    fn expires_counts_from_date_and_without_one_from_arrival() {
        // Both in the future, Expires first.
        assert_eq!(stated_lifetime(&response("", Some(at(20)), Some(at(10))), at(0)), Some(secs(0)));
        assert_eq!(stated_lifetime(&response("", Some(at(20)), Some(at(50))), at(0)), Some(secs(30)));
        assert_eq!(stated_lifetime(&response("", None, Some(at(50))), at(10)), Some(secs(40)));
        assert_eq!(stated_lifetime(&response("", Some(Wall(0)), Some(Wall(u64::MAX))), at(0)), Some(LONGEST));
    }

    #[test]
    fn a_lifetime_is_guessed_only_where_that_is_allowed() {
        for status in 200..600 {
            let guessed = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501].contains(&status);
            let plain = ResponseHead { status, ..response("", None, None) };
            assert_eq!(lifetime(&plain, secs(9), 0, at(0)), guessed.then_some(secs(9)), "{status}");
            let public = ResponseHead { status, ..response("public", None, None) };
            assert_eq!(lifetime(&public, secs(9), 0, at(0)), Some(secs(9)), "{status}");
            let old = |response| ResponseHead { last_modified: Some(Wall(0)), ..response };
            assert_eq!(
                lifetime(&old(plain), secs(0), 10, at(0)),
                guessed.then_some(LONGEST_GUESS),
                "{status}"
            );
            assert_eq!(lifetime(&old(public), secs(0), 10, at(0)), Some(LONGEST_GUESS), "{status}");
        }
        assert_eq!(lifetime(&response("", None, None), Duration::ZERO, 10, at(0)), None);
        assert_eq!(lifetime(&response("max-age=0", None, None), secs(9), 0, at(0)), Some(Duration::ZERO));
        assert_eq!(lifetime(&response("", None, None), Duration::MAX, 0, at(0)), Some(LONGEST));
    }

    #[test]
    fn a_guess_is_a_share_of_the_time_without_change_and_at_most_a_day() {
        const DAY: u64 = 24 * 60 * 60;
        let changed = |ago: u64| Wall(at(0).0 - ago * 1000);
        for (date, last_modified, percent, expected_ms) in [
            (Some(at(0)), Some(changed(DAY)), 10, Some(8_640_000)),
            (Some(at(0)), Some(changed(60)), 10, Some(6_000)),
            (Some(at(0)), Some(changed(5)), 10, Some(500)),
            (Some(at(0)), Some(changed(1)), 1, Some(10)),
            (Some(at(0)), Some(changed(60)), 100, Some(60_000)),
            (Some(at(0)), Some(changed(60)), 0, None),
            // Without Date the response is of the moment it arrived; with one, the way to here is no time of constancy.
            (None, Some(changed(60)), 10, Some(6_000)),
            (Some(changed(30)), Some(changed(60)), 10, Some(3_000)),
            // What changes as it is made, or later, gives nothing to go by.
            (Some(at(0)), Some(at(0)), 10, None),
            (Some(at(0)), Some(at(9)), 10, None),
            (Some(at(0)), None, 10, None),
            (Some(at(0)), Some(changed(10 * DAY)), 10, Some(DAY * 1000)),
            (Some(at(0)), Some(changed(11 * DAY)), 10, Some(DAY * 1000)),
            (Some(at(0)), Some(Wall(0)), 10, Some(DAY * 1000)),
            (Some(Wall(u64::MAX)), Some(Wall(0)), u32::MAX, Some(DAY * 1000)),
        ] {
            let response = ResponseHead { last_modified, ..response("", date, None) };
            let found = lifetime(&response, Duration::ZERO, percent, at(0));
            assert_eq!(found, expected_ms.map(Duration::from_millis), "{percent} % of {response:?}");
        }
    }

    #[test]
    fn nothing_is_guessed_where_something_is_said() {
        let old = |response| ResponseHead { last_modified: Some(Wall(0)), ..response };
        for (stated, default_ttl, expected) in [
            (response("max-age=5", None, None), 0, 5),
            (response("s-maxage=0", None, None), 0, 0),
            (response("max-age=x", None, None), 0, 0),
            (response("", None, Some(at(7))), 0, 7),
            (response("", None, Some(Wall(0))), 0, 0),
            (response("", None, None), 9, 9),
        ] {
            let found = lifetime(&old(stated), secs(default_ttl), 10, at(0));
            assert_eq!(found, Some(secs(expected)), "{expected}");
        }
    }

    #[test]
    fn the_age_on_arrival_is_the_greater_of_two_estimates() {
        for (age, date, requested, received, expected_ms) in [
            (0, None, at(0), at(0), 0),
            (30, None, at(0), at(0), 30_000),
            // A slow upstream makes it older.
            (30, None, at(0), at(4), 34_000),
            (0, Some(at(0)), at(0), at(4), 4_000),
            // An old Date proves its age, less the second it may be off.
            (0, Some(at(0)), at(100), at(100), 99_001),
            (200, Some(at(0)), at(100), at(100), 200_000),
            // A Date ahead, or a clock that went back, proves nothing.
            (0, Some(at(50)), at(0), at(0), 0),
            (0, None, at(9), at(5), 0),
        ] {
            let response = ResponseHead { age: secs(age), date, ..Default::default() };
            let found = initial_age(&response, requested, received);
            assert_eq!(found, Duration::from_millis(expected_ms), "{response:?}");
        }
    }

    #[test]
    fn a_response_is_not_a_second_old_because_a_second_began() {
        let response = ResponseHead { date: Some(at(0)), ..Default::default() };
        let made = at(0).after(Duration::from_millis(990));
        let arrived = at(0).after(Duration::from_millis(1_010));
        assert_eq!(initial_age(&response, made, arrived), Duration::from_millis(20));
    }

    #[test]
    fn no_time_overflows() {
        let far = ResponseHead {
            age: Duration::MAX,
            date: Some(Wall(u64::MAX)),
            expires: Some(Wall(u64::MAX)),
            ..Default::default()
        };
        assert_eq!(initial_age(&far, Wall(0), Wall(u64::MAX)), LONGEST);
        assert_eq!(stated_lifetime(&far, Wall(u64::MAX)), Some(Duration::ZERO));
    }
}
