//! Could this be chance?
//!
//! A share of failures is measured against what is usual by how surprising it is: how many standard deviations a normal
//! quantity would have to be off to be as unlikely. For shares near zero the plain formula, distance over the root of
//! p(1-p)/n, is far too bold; the deviance of the binomial distribution, 2·n·KL(seen‖usual), is not: its root is that
//! number for any share and count (Chernoff's bound says that nothing stranger is likelier than e^(-z²/2)).

/// How many standard deviations so many failures of so many calls are above what is usual, a share above 0 and below
/// 1; zero if they are not above it.
pub(super) fn surprise(failures: f64, calls: f64, usual: f64) -> f64 {
    if failures <= usual * calls {
        return 0.0;
    }
    let seen = failures / calls;
    let part = |seen: f64, usual: f64| if seen > 0.0 { seen * (seen / usual).ln() } else { 0.0 };
    let divergence = part(seen, usual) + part(1.0 - seen, 1.0 - usual);
    (2.0 * calls * divergence).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_or_better_is_no_surprise() {
        for (failures, calls) in [(0.0, 0.0), (0.0, 100.0), (2.0, 100.0), (1.0, 100.0)] {
            assert_eq!(surprise(failures, calls, 0.02), 0.0, "{failures} of {calls}");
        }
    }

    #[test]
    fn for_many_calls_it_is_the_distance_in_standard_deviations() {
        // Of 10,000 calls 200 fail usually, give or take 14.
        assert!((surprise(242.0, 10_000.0, 0.02) - 3.0).abs() < 0.15);
        assert!((surprise(270.0, 10_000.0, 0.02) - 5.0).abs() < 0.35);
    }

    #[test]
    fn for_few_calls_it_is_as_unlikely_as_it_is_said_to_be() {
        // Exact chances of at least so many failures of ten, against the normal tail of so many deviations.
        for (failures, chance) in [(2, 0.016_2), (3, 8.6e-4), (4, 3.0e-5)] {
            let z: f64 = surprise(f64::from(failures), 10.0, 0.02);
            let bound = (-z * z / 2.0).exp();
            assert!(bound > chance && bound < 8.0 * chance, "{failures} of ten: {bound}");
        }
    }

    #[test]
    fn all_failing_is_a_finite_surprise() {
        assert!(surprise(2.0, 2.0, 0.02).is_finite());
        assert!(surprise(2.0, 2.0, 0.02) > 3.9);
    }
}
