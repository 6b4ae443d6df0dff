//! How figures are said: the middle of the rounds, and what they spread over.

use crate::support::{median, quantile};
use std::time::Duration;

/// Prints a table in Markdown.
pub fn print(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    println!("\n| {} |\n|{}", heading.join(" | "), " --- |".repeat(heading.len()));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
}

/// The one number, or the least and the most.
pub fn counts(counts: impl Iterator<Item = usize> + Clone) -> String {
    match (counts.clone().min(), counts.max()) {
        (Some(least), Some(most)) if least != most => format!("{}–{}", grouped(least), grouped(most)),
        (_, most) => grouped(most.unwrap_or_default()),
    }
}

/// The median in milliseconds, and the quartiles.
pub fn milliseconds(times: impl Iterator<Item = Duration>) -> String {
    let times: Vec<f64> = times.map(|time| time.as_secs_f64() * 1e3).collect();
    let [low, middle, high] = quartiles(&times);
    // A tenth matters of what is short.
    let decimals = usize::from(middle.abs() < 100.0);
    format!("{middle:.decimals$} ms [{low:.decimals$} {high:.decimals$}]")
}

/// The median of ratios, and the quartiles.
pub fn ratio(ratios: impl Iterator<Item = f64>) -> String {
    let [low, middle, high] = quartiles(&ratios.collect::<Vec<_>>());
    format!("{middle:.2} [{low:.2} {high:.2}]")
}

/// The median, to a whole number.
pub fn rounded(values: impl Iterator<Item = f64>) -> String {
    grouped(median(values).round() as usize)
}

fn quartiles(values: &[f64]) -> [f64; 3] {
    [0.25, 0.5, 0.75].map(|share| quantile(values.iter().copied(), share))
}

/// With commas between the thousands.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (first, rest) = digits.split_at(first);
    let rest = rest.as_bytes().chunks(3).map(String::from_utf8_lossy).collect::<Vec<_>>().join(",");
    if first.is_empty() || rest.is_empty() { format!("{first}{rest}") } else { format!("{first},{rest}") }
}
