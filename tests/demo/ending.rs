//! The last page: what came of it, and where to look.

use crate::outcomes::Outcomes;
use crate::table::{self, Row};
use std::net::SocketAddr;

/// One address worth knowing.
pub struct Place {
    /// What is there.
    pub name: &'static str,
    /// Where clients, or whoever it is for, come in.
    pub at: SocketAddr,
    /// Where operators look, if there is such a door.
    pub admin: Option<SocketAddr>,
}

/// Prints the table; with the plugin also whether all is as it should be.
pub fn print_results(rows: &[Row], with_plugin: bool) {
    print!("{}", table::draw(rows));
    if !with_plugin {
        return;
    }
    let broken: usize = rows.iter().map(|row| row.broken.len()).sum();
    match broken {
        0 => println!("All expectations hold."),
        1 => println!("1 expectation does not hold: see NOT AS EXPECTED above."),
        _ => println!("{broken} expectations do not hold: see NOT AS EXPECTED above."),
    }
}

/// Prints how the answers described themselves.
pub fn print_outcomes(outcomes: &[Outcomes]) {
    if outcomes.is_empty() {
        return;
    }
    println!("\nWhat the answers with Breakwater said of themselves (number, status, Cache-Status):");
    for outcome in outcomes {
        print!("{outcome}");
    }
}

/// Prints the addresses; `kept` if they go on answering.
pub fn print_places(places: &[Place], kept: bool) {
    println!(
        "\n{}:",
        if kept { "Where to look" } else { "Where it was (--keep leaves it running to look around)" }
    );
    for Place { name, at, admin } in places {
        println!("  {name:<27} http://{at}");
        if let Some(admin) = admin {
            println!(
                "  {:<27} http://{admin}/stats?filter=wasmcustom&usedonly  http://{admin}/stats/prometheus",
                "  its operators' side"
            );
        }
    }
}
