//! What operators send at run time, read with the same care as the configuration.

use crate::config::cursor::Cursor;
use crate::config::kinds::DurationIn;
use crate::config::plan::Stance;
use crate::config::policy::STANCES;
use crate::config::{Errors, forms, json, limits};
use std::time::Duration;

/// An operator takes a decision away from a rule's circuits, or gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overrule {
    /// The rule's name.
    pub rule: String,
    /// Who decides from now on; [`Stance::Auto`]: the circuits again, or what the configuration says.
    pub stance: Stance,
    /// For how long.
    pub lasts: Duration,
}

/// Reads the body of a command to the breaker.
///
/// # Errors
/// Every mistake in it, at once.
pub fn parse_overrule(bytes: &[u8]) -> Result<Overrule, Errors> {
    let fields = json::object(bytes)?;
    let mut problems = Vec::new();
    let overrule = Cursor::read_root(&fields, &mut problems, |at| {
        let rule = at.required("rule", &forms::KNOWN_RULE).unwrap_or_default();
        let stance = at.required("state", &STANCES).unwrap_or(Stance::Auto);
        let lasts = DurationIn(limits::OVERRULED);
        // What was overruled for ever would be forgotten.
        let lasts = if stance == Stance::Auto { at.field("for", &lasts) } else { at.required("for", &lasts) };
        Overrule { rule, stance, lasts: lasts.unwrap_or_default() }
    });
    Errors::unless_any(overrule, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_a_rule_a_state_and_for_how_long() {
        let read = parse_overrule(br#"{"rule": "chat", "state": "open", "for": "10m"}"#).expect("a command");
        let lasts = Duration::from_secs(600);
        assert_eq!(read, Overrule { rule: "chat".into(), stance: Stance::Open, lasts });
        assert!(parse_overrule(br#"{"rule": "default", "state": "auto"}"#).is_ok());
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        for (text, expected) in [
            (&b"{}"[..], &["rule: ", "state: "][..]),
            (br#"{"rule": "x", "state": "opn", "for": "1m"}"#, &["state: "]),
            (br#"{"rule": "x", "state": "open"}"#, &["for: "]),
            (br#"{"rule": "x", "state": "open", "for": "2d"}"#, &["for: "]),
            (br#"{"rule": "x", "state": "open", "for": "1m", "until": 1}"#, &["until: "]),
        ] {
            let errors = parse_overrule(text).expect_err("mistakes").to_string();
            let places: Vec<&str> = errors.lines().collect();
            assert_eq!(places.len(), expected.len(), "{errors}");
            assert!(expected.iter().all(|place| errors.contains(place)), "{errors}");
        }
        assert!(parse_overrule(b"open").is_err());
    }
}
