//! The result, as one table: the same steps without and with Breakwater, side by side.

use std::fmt::Write;
use std::time::Duration;

/// One step's result on one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Requests that reached the upstream.
    pub upstream: u64,
    /// Answers with a success status.
    pub ok: usize,
    /// Requests sent.
    pub sent: usize,
    /// The median latency.
    pub p50: Duration,
    /// The 99th percentile of the latency.
    pub p99: Duration,
}

impl Measure {
    /// `sent` requests, of which `ok` succeeded; `latencies` are those of all answers.
    pub fn of(upstream: u64, ok: usize, sent: usize, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self { upstream, ok, sent, p50: percentile(&latencies, 50), p99: percentile(&latencies, 99) }
    }

    fn cells(&self) -> [String; 4] {
        [
            thousands(self.upstream),
            format!("{}/{}", thousands(self.ok as u64), thousands(self.sent as u64)),
            millis(self.p50),
            millis(self.p99),
        ]
    }
}

/// One step on both sides.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// What is done.
    pub step: String,
    /// The Envoy without the plugin.
    pub without: Option<Measure>,
    /// The Envoy with it.
    pub with: Option<Measure>,
    /// What else is worth knowing, a line each.
    pub notes: Vec<String>,
    /// What was expected of the side with the plugin and did not hold.
    pub broken: Vec<String>,
}

/// Draws `rows`; a plain rule of characters, so that it survives any terminal and any log.
pub fn draw(rows: &[Row]) -> String {
    let mut out = String::new();
    let side = WIDTHS.iter().sum::<usize>() + GAP.len() * (WIDTHS.len() - 1);
    let rule = format!("+-{:-<STEP$}-+-{:-<side$}-+-{:-<side$}-+\n", "", "", "");
    out += &rule;
    let _ =
        writeln!(out, "| {:STEP$} | {:^side$} | {:^side$} |", "", "without Breakwater", "with Breakwater");
    let head = cells(["upstream", "answers ok", "p50", "p99"].map(str::to_owned));
    let _ = writeln!(out, "| {:STEP$} | {head} | {head} |", "step");
    out += &rule;
    for row in rows {
        let side = |measure: &Option<Measure>| {
            cells(measure.as_ref().map_or(DASHES.map(str::to_owned), Measure::cells))
        };
        let (without, with) = (side(&row.without), side(&row.with));
        let mut step = wrapped(&row.step, STEP).into_iter();
        let _ = writeln!(out, "| {:STEP$} | {without} | {with} |", step.next().unwrap_or_default());
        let blank = cells(["", "", "", ""].map(str::to_owned));
        for line in step {
            let _ = writeln!(out, "| {line:STEP$} | {blank} | {blank} |");
        }
        let whole = STEP + 2 * (blank.len() + 3);
        let notes = row.notes.iter().map(|note| format!("with Breakwater: {note}"));
        for note in notes.chain(row.broken.iter().map(|rule| format!("NOT AS EXPECTED: {rule}"))) {
            for (i, line) in wrapped(&note, whole - 2).iter().enumerate() {
                let mark = if i == 0 { "-" } else { " " };
                let _ = writeln!(out, "| {mark} {line:w$} |", w = whole - 2);
            }
        }
        out += &rule;
    }
    out
}

/// The latency that `share` percent of the sorted `latencies` do not exceed (nearest rank).
fn percentile(latencies: &[Duration], share: usize) -> Duration {
    let rank = (latencies.len() * share).div_ceil(100).max(1);
    latencies.get(rank - 1).copied().unwrap_or_default()
}

fn cells(texts: [String; 4]) -> String {
    let padded: Vec<String> =
        texts.iter().zip(WIDTHS).map(|(text, width)| format!("{text:>width$}")).collect();
    padded.join(GAP)
}

/// `text` in lines of at most `width` characters, broken at blanks; a longer word is cut.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let word: Vec<char> = word.chars().collect();
        for piece in word.chunks(width.max(1)) {
            let piece: String = piece.iter().collect();
            let line = lines.last_mut().map_or(0, |line| line.chars().count());
            if line > 0 && line + 1 + piece.chars().count() > width {
                lines.push(piece);
            } else if let Some(last) = lines.last_mut() {
                if line > 0 {
                    last.push(' ');
                }
                last.push_str(&piece);
            }
        }
    }
    lines
}

/// `12345` as `12,345`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A duration in milliseconds, with a tenth below ten.
pub fn millis(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

const STEP: usize = 32;
const WIDTHS: [usize; 4] = [8, 11, 7, 7];
const GAP: &str = "  ";
const DASHES: [&str; 4] = ["-"; 4];
