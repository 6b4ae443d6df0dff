//! What is asked of an upstream, and how is it doing?
//!
//! A load is requests that come by chance at a steady rate, and an upstream that does as usual, but for one time of
//! trouble. Latencies are lognormal. All is told by numbers, so that a load is one line of a table.

use std::f64::consts::TAU;

/// One load.
#[derive(Clone, Debug)]
pub struct Load {
    pub name: &'static str,
    /// Requests per second.
    pub rate: f64,
    /// How long it goes on.
    pub length_ms: u64,
    pub usual: Health,
    pub trouble: Option<Trouble>,
    pub drift: Drift,
    pub fragile: Option<Fragile>,
}

/// How an upstream does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Health {
    /// It answers after a while, and by chance with a failure.
    Answers { failures: f64, median_ms: f64 },
    /// No connection is taken.
    Refuses,
    /// Connections are taken, and nothing more.
    Hangs,
}

/// Another health for a while.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub from_ms: u64,
    pub until_ms: u64,
    pub health: Health,
    /// The one of its hosts that has it; all, if none is named.
    pub host: Option<usize>,
}

/// How the latency moves while all is well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drift {
    None,
    /// Twice as long at the end of the second hour as at its beginning, evenly; on top of it a swing of up to 1.3
    /// within each half hour.
    Daily,
}

/// After trouble an upstream that bears little: it fails all requests of each slice of 100 ms in which more than a
/// fifth of the full load came, for three seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragile {
    /// Three seconds from the end of the trouble.
    FromStart,
    /// Three seconds from the first request it then gets: caches that are cold until somebody asks.
    FromFirstRequest,
}

/// How many hosts stand behind the upstream's name.
pub const HOSTS: usize = 5;

/// The spread of all latencies.
pub const SIGMA: f64 = 0.5;

pub const SLICE_MS: u64 = 100;
pub const FRAGILE_MS: u64 = 3_000;
pub const BEARABLE: f64 = 0.2;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Two failures in a hundred, 20 ms.
pub const USUAL: Health = Health::Answers { failures: 0.02, median_ms: 20.0 };
const GOOD: Health = Health::Answers { failures: 0.0, median_ms: 20.0 };

impl Load {
    /// How `host` does at this time.
    pub fn health(&self, now_ms: u64, host: usize) -> Health {
        let health = match &self.trouble {
            Some(trouble)
                if trouble.is_at(now_ms) && trouble.host.is_none_or(|troubled| troubled == host) =>
            {
                trouble.health
            }
            _ => self.usual,
        };
        match (self.drift, health) {
            (Drift::Daily, Health::Answers { failures, median_ms }) => {
                Health::Answers { failures, median_ms: median_ms * daily(now_ms) }
            }
            _ => health,
        }
    }

    /// Requests of one run, about.
    pub fn requests(&self) -> u64 {
        (self.rate * self.length_ms as f64 / 1_000.0) as u64
    }
}

impl Trouble {
    pub fn is_at(&self, now_ms: u64) -> bool {
        (self.from_ms..self.until_ms).contains(&now_ms)
    }
}

fn daily(now_ms: u64) -> f64 {
    let hours = now_ms as f64 / HOUR as f64;
    let swing = 1.15 - 0.15 * (TAU * hours * 2.0).cos();
    (hours - 1.0).clamp(0.0, 1.0).exp2() * swing
}

/// All of them.
pub fn all() -> Vec<Load> {
    let mut all = Vec::new();
    all.extend(outages());
    all.extend(partial());
    all.extend(usual());
    all.extend(shifts());
    all.extend(low());
    all.extend(fragile());
    all
}

/// A minute of outage under 1,000 requests/s after a good one, then well; and one that is over before the circuit's
/// first time is.
pub fn outages() -> [Load; 3] {
    let outage = |name, health, until_ms, length_ms| Load {
        trouble: Some(Trouble { from_ms: MINUTE, until_ms, health, host: None }),
        ..load(name, 1_000.0, length_ms, GOOD)
    };
    [
        outage("refuses for 60 s", Health::Refuses, 2 * MINUTE, 5 * MINUTE),
        outage("hangs for 60 s", Health::Hangs, 2 * MINUTE, 5 * MINUTE),
        outage("refuses for 4 s", Health::Refuses, MINUTE + 4 * SECOND, 3 * MINUTE),
    ]
}

/// Part of the requests, or one of the hosts.
pub fn partial() -> [Load; 3] {
    let third = Health::Answers { failures: 0.3, median_ms: 20.0 };
    let trouble = |from_ms, until_ms, health, host| Some(Trouble { from_ms, until_ms, health, host });
    [
        Load {
            trouble: trouble(MINUTE, 5 * MINUTE, third, None),
            ..load("30 % after 60 s", 100.0, 5 * MINUTE, USUAL)
        },
        Load {
            trouble: trouble(0, 5 * MINUTE, third, None),
            ..load("30 % from the start", 100.0, 5 * MINUTE, USUAL)
        },
        Load {
            trouble: trouble(MINUTE, 2 * MINUTE, Health::Refuses, Some(0)),
            ..load("one host of five refuses for 60 s", 1_000.0, 5 * MINUTE, GOOD)
        },
    ]
}

/// Nothing happens.
pub fn usual() -> [Load; 3] {
    [
        load("usual 2 %, 10/s", 10.0, 10 * MINUTE, USUAL),
        load("usual 2 %, 100/s", 100.0, 10 * MINUTE, USUAL),
        load("usual 2 %, 1,000/s", 1_000.0, 10 * MINUTE, USUAL),
    ]
}

/// What is usual changes: after five minutes for five more, or slowly over hours.
pub fn shifts() -> [Load; 4] {
    let shift = |name, rate, failures, median_ms| Load {
        trouble: Some(Trouble {
            from_ms: 5 * MINUTE,
            until_ms: 10 * MINUTE,
            health: Health::Answers { failures, median_ms },
            host: None,
        }),
        ..load(name, rate, 10 * MINUTE, USUAL)
    };
    [
        shift("2 % → 8 %, 100/s", 100.0, 0.08, 20.0),
        shift("2 % → 8 %, 1,000/s", 1_000.0, 0.08, 20.0),
        shift("latency × 5, 100/s", 100.0, 0.02, 100.0),
        Load { drift: Drift::Daily, ..load("daily drift × 2, 100/s", 100.0, 3 * HOUR, USUAL) },
    ]
}

/// One request each five seconds.
pub fn low() -> [Load; 2] {
    [
        Load {
            trouble: Some(Trouble {
                from_ms: 5 * MINUTE,
                until_ms: 10 * MINUTE,
                health: Health::Refuses,
                host: None,
            }),
            ..load("0.2/s, refuses for 5 min", 0.2, 30 * MINUTE, GOOD)
        },
        load("0.2/s, usual 2 %, 6 h", 0.2, 6 * HOUR, USUAL),
    ]
}

/// A short outage, after which little is borne.
pub fn fragile() -> [Load; 2] {
    let fragile = |name, fragile| Load {
        trouble: Some(Trouble {
            from_ms: MINUTE,
            until_ms: MINUTE + 4 * SECOND,
            health: Health::Refuses,
            host: None,
        }),
        fragile: Some(fragile),
        ..load(name, 1_000.0, 5 * MINUTE, GOOD)
    };
    [
        fragile("fragile from its start", Fragile::FromStart),
        fragile("fragile from its first request", Fragile::FromFirstRequest),
    ]
}

fn load(name: &'static str, rate: f64, length_ms: u64, usual: Health) -> Load {
    Load { name, rate, length_ms, usual, trouble: None, drift: Drift::None, fragile: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_begins_and_ends_when_it_says() {
        let [load, ..] = outages();
        let at = [59_999, 60_000, 119_999, 120_000].map(|now_ms| load.health(now_ms, 0));
        assert_eq!(at, [GOOD, Health::Refuses, Health::Refuses, GOOD]);
    }

    #[test]
    fn the_trouble_of_one_host_is_not_that_of_the_others() {
        let [.., load] = partial();
        let hosts = [0, 1, 4].map(|host| load.health(60_000, host));
        assert_eq!(hosts, [Health::Refuses, GOOD, GOOD]);
    }

    #[test]
    fn the_drift_doubles_over_an_hour_and_swings_by_1_3() {
        let at = |minutes: u64| (daily(minutes * MINUTE) * 100.0).round() / 100.0;
        assert_eq!([0, 15, 30, 45, 60, 90, 120, 150].map(at), [1.0, 1.3, 1.0, 1.3, 1.0, 1.41, 2.0, 2.0]);
    }

    #[test]
    fn each_load_has_a_name_of_its_own_and_its_trouble_lies_within_it() {
        let all = all();
        for (at, load) in all.iter().enumerate() {
            assert!(all.iter().take(at).all(|other| other.name != load.name), "{}", load.name);
            assert!(load.trouble.is_none_or(|trouble| trouble.until_ms <= load.length_ms), "{}", load.name);
        }
    }
}
