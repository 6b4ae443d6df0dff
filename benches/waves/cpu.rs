//! What a server has cost so far: the time its processes had, which depends less on what else runs here than any latency.

use std::fs;
use std::time::Duration;

/// The kernel's unit in `/proc/<pid>/stat` (`USER_HZ`), 100 on every Linux that these run on.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of this process and its children so far; nothing of those that have ended.
pub fn used(pid: u32) -> Duration {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    children.map(used).sum::<Duration>() + own(pid)
}

fn own(pid: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field, the name in brackets, may hold spaces; utime and stime are the 14th and 15th.
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok());
    ticks.map(|ticks| TICK * ticks).sum()
}
