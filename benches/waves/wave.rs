//! One wave through one subject, and what is noted of it.

use crate::crowd::{Crowd, Wave};
use crate::origin::{Kind, Origin, path};
use crate::parts::percentile;
use crate::subject::Subject;
use std::time::Duration;

pub struct Noted {
    /// Requests that reached the upstream.
    pub upstream: usize,
    /// Until the answer to the request that reached it first.
    pub leader: Duration,
    /// From that answer until 99 % of the others had theirs too.
    pub behind: Duration,
    /// Until 99 % of all had one.
    pub most: Duration,
    /// Until all had one.
    pub all: Duration,
}

/// So many at once for a resource of this name; all must get it.
pub fn wave(
    subject: &Subject,
    origin: &Origin,
    clients: usize,
    kind: Kind,
    name: &str,
) -> Result<Noted, String> {
    let path = path(kind, name);
    let before = origin.asked(&path);
    let mut crowd = Crowd::connect(&subject.addresses, clients)
        .map_err(|reason| format!("{}: {reason}", subject.name))?;
    let wave = crowd.wave(&path, || ()).map_err(|reason| format!("{}: {reason}", subject.name))?;
    let failed = wave.failed(|_| true);
    if failed > 0 {
        return Err(format!("{}: {failed} of {clients} got no 200", subject.name));
    }
    noted(&wave, origin, &path, before)
}

/// What is to be noted of a wave for this path, which had been asked for so often before.
pub fn noted(wave: &Wave, origin: &Origin, path: &str, before: usize) -> Result<Noted, String> {
    let first = origin.first(path).ok_or("nobody asked the upstream")?;
    let leader = wave.answers.get(first).copied().flatten().unwrap_or_default();
    let others = wave.answers.iter().enumerate().filter(|(number, _)| *number != first);
    let others = others.filter_map(|(_, answer)| *answer);
    Ok(Noted {
        upstream: origin.asked(path) - before,
        leader,
        behind: percentile(others, 0.99).saturating_sub(leader),
        most: percentile(wave.answers.iter().flatten().copied(), 0.99),
        all: wave.all(),
    })
}
