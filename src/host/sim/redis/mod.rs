//! The Redis behind all Envoys, and the ways to it: GET, SET, DEL and the plugin's scripts on a virtual clock, with
//! every way to misbehave.
//!
//! Each Envoy has a way of its own, which may be slow, broken or noisy for it alone. Behind the ways stands one
//! [`Copy`] of the data. What takes over from it, and what a part of the Envoys talks to while Redis is split, is a
//! replica: it is told of writes after they were answered, and may lack the last of them.
//!
//! It reads the pipelines itself rather than with the plugin's codec, so that a mistake there cannot cancel out.

mod copy;
mod mood;
mod wire;

pub(super) use wire::short;

pub use mood::{Mood, Refusal};

use super::rng::Rng;
use copy::Copy;
use std::collections::BTreeMap;
use std::time::Duration;

/// What befalls Redis, or the ways to it.
#[derive(Clone, Debug)]
pub enum Mishap {
    /// It behaves like this from now on, but for the ways of which something else was said.
    Mood(Mood),
    /// It behaves like this towards one Envoy; `None`: as towards all.
    Toward(usize, Option<Mood>),
    /// It forgets the keys that this text is part of: all keys, if it is empty.
    Forgets(&'static str),
    /// A replica takes over that lacks the writes of the last so long, at most [`LONGEST_LAG`].
    FailsOver(Duration),
    /// A replica that lacks so much takes itself for Redis, and these Envoys do too: each side takes writes that the
    /// other does not hear of.
    Splits(Vec<usize>, Duration),
    /// There is one Redis again, with the writes of one side.
    Heals(Side),
}

/// The sides of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What there was before, and those who stayed with it.
    Former,
    /// The replica, and those who went over to it.
    Replica,
}

/// How much a replica may lack.
pub const LONGEST_LAG: Duration = Duration::from_secs(2);

/// Redis, whole or split.
#[derive(Debug, Default)]
pub(super) struct Redis {
    mood: Mood,
    toward: BTreeMap<usize, Mood>,
    copy: Copy,
    /// The other side of a split, and the Envoys on it.
    other: Option<(Vec<usize>, Copy)>,
}

impl Redis {
    pub fn new(mood: Mood) -> Self {
        Self { mood, ..Self::default() }
    }

    /// How it behaves towards an Envoy.
    pub fn mood(&self, envoy: usize) -> &Mood {
        self.toward.get(&envoy).unwrap_or(&self.mood)
    }

    pub fn befall(&mut self, mishap: Mishap, now: Duration) {
        match mishap {
            Mishap::Mood(mood) => self.mood = mood,
            Mishap::Toward(envoy, Some(mood)) => drop(self.toward.insert(envoy, mood)),
            Mishap::Toward(envoy, None) => drop(self.toward.remove(&envoy)),
            Mishap::Forgets(part) => {
                let other = self.other.as_mut().map(|(_, copy)| copy);
                for copy in std::iter::once(&mut self.copy).chain(other) {
                    copy.forget(part.as_bytes(), now);
                }
            }
            Mishap::FailsOver(lag) => self.copy.fall_back(now.saturating_sub(lag)),
            Mishap::Splits(envoys, lag) => {
                let mut replica = self.copy.clone();
                replica.fall_back(now.saturating_sub(lag));
                self.other = Some((envoys, replica));
            }
            Mishap::Heals(side) => {
                let other = self.other.take();
                if let (Side::Replica, Some((_, replica))) = (side, other) {
                    self.copy = replica;
                }
            }
        }
    }

    /// What an Envoy's pipeline is answered; `None`: nothing, though it may have been carried out all the same. `Err` if
    /// the bytes are no pipeline.
    pub fn answer(
        &mut self,
        envoy: usize,
        pipeline: &[u8],
        now: Duration,
        rng: &mut Rng,
    ) -> Result<Option<Vec<u8>>, &'static str> {
        let mood = self.mood(envoy).clone();
        let lost = rng.chance(mood.loss);
        if lost && rng.chance(500) {
            return Ok(None);
        }
        let unreachable = rng.chance(mood.error);
        let copy = match &mut self.other {
            Some((envoys, replica)) if envoys.contains(&envoy) => replica,
            _ => &mut self.copy,
        };
        let mut replies = Vec::new();
        let mut rest = pipeline;
        while !rest.is_empty() {
            let (command, behind) = wire::command(rest)?;
            rest = behind;
            match mood.refuses(&command, unreachable) {
                Some(why) => replies.extend_from_slice(why),
                None => replies.extend(copy.execute(&command, now)),
            }
        }
        if rng.chance(mood.garbage) {
            replies = copy.garbage(&replies, rng);
        }
        Ok(Some(replies).filter(|_| !lost))
    }

    /// What all talk to, or those who stayed with it in a split.
    pub fn copy(&self) -> &Copy {
        &self.copy
    }
}
