//! Chance with a seed, the simulation's, in the measures of the generator: the same on every machine and in every build.

use breakwater::host::sim;

#[derive(Clone, Debug)]
pub struct Rng(sim::Rng);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(sim::Rng::new(seed))
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0.index(limit)
    }

    /// True in so many cases of a hundred.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.0.below(100) < u64::from(percent)
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// One of `choices`, each as often as its number says.
    pub fn weighted<T: Copy>(&mut self, choices: &[(u32, T)]) -> T {
        let total: u32 = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(total as usize) as u32;
        for (weight, choice) in choices {
            if left < *weight {
                return *choice;
            }
            left -= weight;
        }
        choices[0].1
    }
}
