//! Whole-system simulation: many seeds, many workers, everything that can go wrong, and a judge that looks after
//! every step (DESIGN §4).
//!
//! A seed that fails is printed with what led there; `BREAKWATER_SEED=n` runs it alone, `BREAKWATER_SEEDS=n` sets how
//! many are run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects, clippy::print_stderr, clippy::print_stdout, missing_docs)]

#[path = "simulation/judge.rs"]
mod judge;
#[path = "simulation/origin.rs"]
mod origin;
#[path = "simulation/run.rs"]
mod run;
#[path = "simulation/scenario.rs"]
mod scenario;
#[path = "simulation/scenes.rs"]
mod scenes;
#[path = "simulation/toy.rs"]
mod toy;
#[path = "simulation/wall.rs"]
mod wall;
#[path = "simulation/watchfulness.rs"]
mod watchfulness;
