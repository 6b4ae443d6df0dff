//! What does an answer say about the upstream's health?
//!
//! The breaker, stale-if-error and the metrics must agree on it, so it is said here and nowhere else.

/// What became of an admitted request, as far as the upstream's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream answered as a working one does; a refusal of this one request (4xx) is such an answer.
    Success,
    /// It answered with a failure ([`is_failure`]), or not at all: no connection, a reset, a timeout.
    Failure,
    /// Nothing was learnt: the client went away first, or the answer was not the upstream's.
    Abandoned,
}

impl Outcome {
    /// What an answer with this status says.
    pub fn of_status(status: u16) -> Self {
        if is_failure(status) { Self::Failure } else { Self::Success }
    }
}

/// Whether an answer with this status is a failure of the upstream.
///
/// RFC 5861 §4 names 500, 502, 503 and 504 as the errors a stale response may stand in for. An unregistered 5xx
/// (the 520 to 530 of some CDNs) is to be taken as 500, and a status outside 100 to 599 as a 5xx (RFC 9110 §15).
///
/// Not failures are all of 1xx to 4xx (429 too: the upstream is well and says no to a caller), and those registered
/// 5xx that speak of the request or of the server's configuration and that no waiting mends: 501 (method), 505
/// (version), 506 (negotiation), 507 (storage for a write), 508 (loop), 510 (extension), 511 (captive portal).
pub fn is_failure(status: u16) -> bool {
    !matches!(status, 100..=499 | 501 | 505..=508 | 510 | 511)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_of_rfc_5861_are_failures() {
        for status in [500, 502, 503, 504] {
            assert!(is_failure(status), "{status}");
            assert_eq!(Outcome::of_status(status), Outcome::Failure);
        }
    }

    #[test]
    fn nothing_below_500_is_a_failure() {
        for status in 100..500 {
            assert!(!is_failure(status), "{status}");
            assert_eq!(Outcome::of_status(status), Outcome::Success);
        }
    }

    #[test]
    fn a_server_error_about_the_request_is_not_a_failure() {
        let not_failures: Vec<u16> = (500..600).filter(|&status| !is_failure(status)).collect();
        assert_eq!(not_failures, [501, 505, 506, 507, 508, 510, 511]);
    }

    #[test]
    fn a_status_that_is_none_is_taken_as_a_server_error() {
        for status in [0, 99, 600, 999, u16::MAX] {
            assert!(is_failure(status), "{status}");
        }
    }
}
