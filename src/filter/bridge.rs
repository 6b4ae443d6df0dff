//! The bridge in Envoy's words: a connection's bytes to `redis::Bridge`, its steps back.

use crate::config::BridgePlan;
use crate::host::{Connection, Passage, Side};
use crate::redis::{Bridge, Limits, Step};

/// The bridge of a new connection under a plan.
pub fn connection(plan: &BridgePlan) -> Box<dyn Connection> {
    let bytes = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    let limits = Limits {
        max_request_bytes: bytes(plan.max_request_bytes),
        max_reply_bytes: bytes(plan.max_reply_bytes),
    };
    Box::new(Bridge::new(limits))
}

impl Connection for Bridge {
    fn needs(&self, side: Side) -> usize {
        match side {
            Side::Downstream => self.downstream_needs(),
            Side::Upstream => self.upstream_needs(),
        }
    }

    fn on_data(&mut self, side: Side, held: &[u8], end: bool) -> Passage {
        let step = match side {
            Side::Downstream => self.on_downstream(held, end),
            Side::Upstream => self.on_upstream(held, end),
        };
        match step {
            Step::Wait => Passage::Hold,
            Step::Replace(bytes) => Passage::Pass(bytes),
            Step::Close(reason) => Passage::Close(reason.word()),
        }
    }
}
