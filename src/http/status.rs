//! Sets of status codes, and which of them are failures of the upstream.

/// A set of the status codes from 100 to 599.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StatusSet([u64; WORDS]);

impl StatusSet {
    /// None.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// The failures of an upstream, where a rule does not say otherwise.
    ///
    /// RFC 5861 §4 names 500, 502, 503 and 504 as the errors a stale response may stand in for. An unregistered 5xx
    /// (the 520 to 530 of some CDNs) is to be taken as 500 (RFC 9110 §15).
    ///
    /// Not failures are all of 1xx to 4xx (429 too: the upstream is well and says no to a caller), and those registered
    /// 5xx that speak of the request or of the server's configuration and that no waiting mends: 501 (method), 505
    /// (version), 506 (negotiation), 507 (storage for a write), 508 (loop), 510 (extension), 511 (captive portal).
    pub const FAILURES: Self = {
        let mut set = Self::EMPTY;
        let mut status = 500;
        while status < 600 {
            if !matches!(status, 501 | 505..=508 | 510 | 511) {
                set = set.with(status);
            }
            status += 1;
        }
        set
    };

    /// With one code more; one that is none changes nothing.
    #[must_use]
    pub const fn with(mut self, status: u16) -> Self {
        if status < FIRST || status > LAST {
            return self;
        }
        let [_, a, b, c, d, e, f, g, h, i] = &mut self.0;
        let bits = match status / 64 {
            1 => a,
            2 => b,
            3 => c,
            4 => d,
            5 => e,
            6 => f,
            7 => g,
            8 => h,
            _ => i,
        };
        *bits |= 1 << (status % 64);
        self
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        for (bits, more) in self.0.iter_mut().zip(more.0) {
            *bits |= more;
        }
        self
    }

    /// Whether a code is in it.
    pub fn has(&self, status: u16) -> bool {
        let bits = self.0.get(usize::from(status / 64)).copied().unwrap_or_default();
        bits >> (status % 64) & 1 == 1
    }

    /// Whether an answer with this code is a failure, if these are: a code that is none is to be taken as a 5xx (RFC 9110
    /// §15).
    pub fn is_failure(&self, status: u16) -> bool {
        self.has(status) || !(FIRST..=LAST).contains(&status)
    }
}

impl std::fmt::Debug for StatusSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries((FIRST..=LAST).filter(|status| self.has(*status))).finish()
    }
}

const FIRST: u16 = 100;
const LAST: u16 = 599;
/// 64 codes each.
const WORDS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_of_rfc_5861_are_failures() {
        for status in [500, 502, 503, 504] {
            assert!(StatusSet::FAILURES.is_failure(status), "{status}");
        }
    }

    #[test]
    fn nothing_below_500_is_a_failure() {
        for status in 100..500 {
            assert!(!StatusSet::FAILURES.is_failure(status), "{status}");
        }
    }

    #[test]
    fn a_server_error_about_the_request_is_not_a_failure() {
        let well: Vec<u16> = (500..600).filter(|&status| !StatusSet::FAILURES.is_failure(status)).collect();
        assert_eq!(well, [501, 505, 506, 507, 508, 510, 511]);
    }

    #[test]
    fn a_status_that_is_none_is_taken_as_a_server_error() {
        for status in [0, 99, 600, 999, u16::MAX] {
            assert!(StatusSet::FAILURES.is_failure(status), "{status}");
            assert!(StatusSet::EMPTY.is_failure(status), "{status}");
            assert_eq!(StatusSet::EMPTY.with(status), StatusSet::EMPTY);
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set = StatusSet::EMPTY.with(429).with(503).with(599).with(100);
        let held: Vec<u16> = (0..1_000).filter(|&status| set.has(status)).collect();
        assert_eq!(held, [100, 429, 503, 599]);
        assert_eq!(StatusSet::EMPTY.with(429).and(StatusSet::EMPTY.with(100).with(503)).with(599), set);
        assert_eq!(format!("{set:?}"), "{100, 429, 503, 599}");
    }
}
