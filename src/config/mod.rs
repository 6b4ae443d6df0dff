//! What operators write, turned into a validated [`plan::Plan`].

pub mod plan;
