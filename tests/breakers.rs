//! Breakers side by side: ours and models of those that others ship, under the same seeded loads.
//!
//! `BREAKWATER_SEEDS=n` sets how many seeds each load is run with. `make breakers` prints the table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects, clippy::print_stderr, clippy::print_stdout, missing_docs)]

#[path = "breakers/chance.rs"]
mod chance;
#[path = "breakers/holds.rs"]
mod holds;
#[path = "breakers/hystrix.rs"]
mod hystrix;
#[path = "breakers/load.rs"]
mod load;
#[path = "breakers/must_hold.rs"]
mod must_hold;
#[path = "breakers/ours.rs"]
mod ours;
#[path = "breakers/outlier.rs"]
mod outlier;
#[path = "breakers/peer.rs"]
mod peer;
#[path = "breakers/race.rs"]
mod race;
#[path = "breakers/resilience4j.rs"]
mod resilience4j;
#[path = "breakers/seeds.rs"]
mod seeds;
#[path = "breakers/table.rs"]
mod table;
#[path = "breakers/upstream.rs"]
mod upstream;
