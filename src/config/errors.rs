//! Everything that is wrong with a configuration, told to a person at once.
//!
//! One line per mistake: where it is, what was found, what is allowed, what to do. Whatever is quoted from the
//! configuration is escaped and cut short, so that a line stays a line.

use crate::config::limits;
use serde_json::Value;
use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `rules[2].breaker.failure_rate`, or a line and column while the text is no JSON.
    pub path: String,
    /// What is there.
    pub found: String,
    /// What may be there.
    pub allowed: String,
    /// What to do about it.
    pub advice: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, found, allowed, advice } = self;
        write!(f, "{path}: found {found}; allowed: {allowed}; {advice}")
    }
}

/// All mistakes of a configuration, in the order of its fields; never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(Vec<Problem>);

impl Errors {
    /// `value` if there is no problem.
    pub(super) fn unless_any<T>(value: T, problems: Vec<Problem>) -> Result<T, Self> {
        if problems.is_empty() { Ok(value) } else { Err(Self(problems)) }
    }

    /// The mistakes, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Errors {
    /// One line per mistake, without a newline after the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl From<Problem> for Errors {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// A value as a person may read it; objects and lists by their kind alone.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// Text in quotes, on one line, cut short.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for (nth, c) in text.chars().enumerate() {
        if nth >= limits::SHOWN {
            out.push('…');
            break;
        }
        // The line and paragraph separators are no control characters, yet end a line for some readers.
        if c.is_control() || c == '"' || c == '\\' || matches!(c, '\u{2028}' | '\u{2029}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('"');
    out
}

/// The path of `field` within `parent`, which is empty for the whole configuration.
pub(super) fn within(parent: &str, field: &str) -> String {
    let plain = !field.is_empty()
        && field.len() <= limits::COMPARED
        && field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (parent.is_empty(), plain) {
        (true, true) => field.into(),
        (false, true) => format!("{parent}.{field}"),
        (_, false) => format!("{parent}[{}]", quoted(field)),
    }
}
