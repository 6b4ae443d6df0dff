//! The few distributions that a load is made of.

use breakwater::host::sim::Rng;
use std::f64::consts::TAU;

/// A seeded stream of samples.
#[derive(Clone, Debug)]
pub struct Chance {
    rng: Rng,
    /// Normal samples come in pairs.
    spare: Option<f64>,
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds are neighbouring positions in one stream, unless they are first spread.
        Self { rng: Rng::new(Rng::new(seed).bits()), spare: None }
    }

    /// Above 0 and at most 1.
    pub fn unit(&mut self) -> f64 {
        ((self.rng.bits() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() <= probability
    }

    /// How long until the next of events that come by chance, with this mean.
    pub fn gap(&mut self, mean: f64) -> f64 {
        -self.unit().ln() * mean
    }

    /// Lognormal, around this median.
    pub fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * self.unit().ln()).sqrt();
        let (sin, cos) = (TAU * self.unit()).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 200_000;

    fn mean(mut sample: impl FnMut() -> f64) -> f64 {
        (0..MANY).map(|_| sample()).sum::<f64>() / MANY as f64
    }

    fn assert_near(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "{found} is not {expected} ± {within}");
    }

    #[test]
    fn the_samples_have_the_moments_they_should() {
        let mut chance = Chance::new(1);
        assert_near(mean(|| chance.gap(10.0)), 10.0, 0.1);
        assert_near(mean(|| f64::from(u8::from(chance.happens(0.02)))), 0.02, 0.001);
        assert_near(mean(|| chance.normal()), 0.0, 0.01);
        assert_near(mean(|| chance.normal().powi(2)), 1.0, 0.02);
        assert_near(mean(|| chance.lognormal(20.0, 0.5).ln()), 20f64.ln(), 0.005);
        assert!(!chance.happens(0.0) && chance.happens(1.0));
    }

    #[test]
    fn neighbouring_seeds_do_not_share_their_streams() {
        let mut first = Chance::new(1);
        let stream: Vec<f64> = (0..1_000).map(|_| first.unit()).collect();
        let mut second = Chance::new(2);
        assert!((0..1_000).all(|_| !stream.contains(&second.unit())));
    }
}
