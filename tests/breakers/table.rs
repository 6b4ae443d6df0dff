//! The table: how each breaker does under each load.

use crate::hystrix::Hystrix;
use crate::load::{self, Health, Load};
use crate::ours::Ours;
use crate::outlier::{ALL, Outlier, SHIPPED};
use crate::race::Tally;
use crate::resilience4j::Resilience4j;
use crate::seeds::{median, race, seeds};

/// Calls per cell, unless the number of seeds is given.
const CALLS: u64 = 200_000;

const COLUMNS: [&str; 7] = [
    "Breakwater",
    "Hystrix",
    "resilience4j",
    "Envoy, 1 host",
    "Envoy, 5 hosts",
    "Envoy, 1 host, no limits",
    "Envoy, 5 hosts, no limits",
];

fn row(load: &Load, seeds: u64) -> [Vec<Tally>; COLUMNS.len()] {
    [
        race(load, seeds, Ours::new),
        race(load, seeds, |_| Hystrix::new()),
        race(load, seeds, |_| Resilience4j::new()),
        race(load, seeds, |_| Outlier::<1>::new(SHIPPED)),
        race(load, seeds, |_| Outlier::<5>::new(SHIPPED)),
        race(load, seeds, |_| Outlier::<1>::new(ALL)),
        race(load, seeds, |_| Outlier::<5>::new(ALL)),
    ]
}

/// Detection delay, seeds with false openings, and requests sent to who is dead.
fn detection(load: &Load, tallies: &[Tally]) -> String {
    let mut parts = Vec::new();
    if load.trouble.is_some() {
        let seen = tallies.iter().filter_map(|tally| tally.detected_ms).count();
        let part = match median(tallies.iter().filter_map(|tally| tally.detected_ms)) {
            Some(ms) if seen == tallies.len() => seconds(ms),
            Some(ms) => format!("{} in {seen} of {}", seconds(ms), tallies.len()),
            None => "never".to_owned(),
        };
        parts.push(part);
    }
    let false_alarms = tallies.iter().filter(|tally| tally.false_opens > 0).count();
    if load.trouble.is_none() || false_alarms > 0 {
        let refused = median(tallies.iter().map(|tally| tally.refused_well)).unwrap_or(0);
        parts.push(format!("false {false_alarms} of {}, {refused} refused", tallies.len()));
    }
    if is_dead(load) {
        let sent = |field: fn(&Tally) -> u64| median(tallies.iter().map(field)).unwrap_or(0);
        parts.push(format!("{} sent", sent(|tally| tally.sent_in_trouble)));
        parts.push(format!("{} in 5 s once open", sent(|tally| tally.sent_in_5_s)));
    }
    parts.join("; ")
}

/// Time to full traffic, openings after the trouble, and what a fragile upstream failed.
fn recovery(load: &Load, tallies: &[Tally]) -> String {
    let part = match median(tallies.iter().map(|tally| tally.full_ms.unwrap_or(u64::MAX))) {
        Some(ms) if ms < u64::MAX => seconds(ms),
        _ => format!("not within {} s", load.length_ms / 1_000),
    };
    let mut parts = vec![part];
    let reopened = tallies.iter().filter(|tally| tally.reopened > 0).count();
    if reopened > 0 {
        parts.push(format!("reopens in {reopened} of {}", tallies.len()));
    }
    if load.fragile.is_some() {
        let failed = median(tallies.iter().map(|tally| tally.overloaded)).unwrap_or(0);
        parts.push(format!("{failed} overloaded"));
    }
    parts.join("; ")
}

fn is_dead(load: &Load) -> bool {
    load.trouble.is_some_and(|trouble| !matches!(trouble.health, Health::Answers { .. }))
}

fn ends(load: &Load) -> bool {
    load.trouble.is_some_and(|trouble| trouble.until_ms < load.length_ms)
}

fn seconds(ms: u64) -> String {
    if ms < 10_000 {
        format!("{:.2} s", ms as f64 / 1_000.0)
    } else {
        format!("{:.0} s", ms as f64 / 1_000.0)
    }
}

fn heading(what: &str) {
    println!("\n| {what} | seeds | {} |", COLUMNS.join(" | "));
    println!("|---|---|{}", "---|".repeat(COLUMNS.len()));
}

#[test]
fn table() {
    let rows = load::all().into_iter().map(|load| {
        let seeds = seeds(&load, CALLS);
        let row = row(&load, seeds);
        (load, seeds, row)
    });
    let rows: Vec<_> = rows.collect();
    type Cell = fn(&Load, &[Tally]) -> String;
    let show = |what, cell: Cell, wanted: fn(&Load) -> bool| {
        heading(what);
        for (load, seeds, row) in rows.iter().filter(|(load, ..)| wanted(load)) {
            let cells: Vec<_> = row.iter().map(|tallies| cell(load, tallies)).collect();
            println!("| {} | {seeds} | {} |", load.name, cells.join(" | "));
        }
    };
    show("seen after; false alarms; sent to who is dead", detection, |_| true);
    show("full traffic after", recovery, ends);
    for (load, seeds, row) in &rows {
        assert!(row.iter().all(|tallies| tallies.len() as u64 == *seeds), "{}", load.name);
        let [_, _, _, one, five, ..] = row;
        let acts = |tally: &Tally| {
            tally.refused + tally.false_opens + tally.reopened > 0 || tally.detected_ms.is_some()
        };
        assert!(!one.iter().chain(five).any(acts), "{}: as shipped a small cluster is left alone", load.name);
    }
}
