//! What a single field may hold: how it is read, what to say if it cannot be, how its default is written.
//!
//! Values come through Envoy, which shapes them on the way. In Envoy's own YAML a bare `off`, `no` or `n` arrives as
//! `false`, and a bare `0.5` or `1e3` as text, since its loader knows integers only; through xDS, every number may
//! arrive as `5.0`, since a protobuf `Struct` holds doubles. Each of these forms is accepted.

use crate::config::units::{self, UnitError, duration_text, size_text};
use crate::config::{errors::quoted, similar::nearest};
use crate::http::StatusSet;
use serde_json::Value;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Why a value is not taken.
pub(super) struct Refusal {
    /// What would be.
    pub(super) allowed: String,
    /// What to do, if there is more to say than "change it".
    pub(super) advice: Option<String>,
}

/// A way to read one value.
pub(super) trait Kind {
    /// What it is read into.
    type Value;
    /// What may be written.
    fn allowed(&self) -> String;
    /// Reads it.
    fn read(&self, value: &Value) -> Result<Self::Value, Refusal>;

    /// A refusal without further advice.
    fn refusal(&self) -> Refusal {
        Refusal { allowed: self.allowed(), advice: None }
    }

    /// A refusal with advice.
    fn refusal_with(&self, advice: impl Into<String>) -> Refusal {
        Refusal { allowed: self.allowed(), advice: Some(advice.into()) }
    }
}

/// A kind whose values can be shown as an operator would write them.
pub(super) trait Written: Kind {
    /// The value as text.
    fn written(&self, value: &Self::Value) -> String;
}

/// A duration within a range.
pub(super) struct DurationIn(pub(super) RangeInclusive<Duration>);

impl Kind for DurationIn {
    type Value = Duration;

    fn allowed(&self) -> String {
        let (low, high) = (duration_text(*self.0.start()), duration_text(*self.0.end()));
        format!("a duration from {low} to {high} in d, h, m, s or ms")
    }

    fn read(&self, value: &Value) -> Result<Duration, Refusal> {
        let duration = match value {
            Value::String(text) => units::duration(text),
            Value::Number(_) => Err(UnitError::NoUnit),
            _ => return Err(self.refusal()),
        };
        match duration {
            Ok(duration) if self.0.contains(&duration) => Ok(duration),
            Ok(_) => Err(self.refusal()),
            Err(UnitError::NoUnit) => Err(self.refusal_with("write the unit, as in \"100ms\" or \"5m\"")),
            Err(error) => Err(self.refusal_with(error.to_string())),
        }
    }
}

impl Written for DurationIn {
    fn written(&self, value: &Duration) -> String {
        duration_text(*value)
    }
}

/// A size within a range.
pub(super) struct SizeIn(pub(super) RangeInclusive<u64>);

impl Kind for SizeIn {
    type Value = u64;

    fn allowed(&self) -> String {
        format!(
            "a size from {} to {} in B, KiB, MiB or GiB",
            size_text(*self.0.start()),
            size_text(*self.0.end())
        )
    }

    fn read(&self, value: &Value) -> Result<u64, Refusal> {
        let size = match value {
            Value::String(text) => units::size(text),
            Value::Number(_) => Err(UnitError::NoUnit),
            _ => return Err(self.refusal()),
        };
        match size {
            Ok(size) if self.0.contains(&size) => Ok(size),
            Ok(_) => Err(self.refusal()),
            Err(UnitError::NoUnit) => Err(self.refusal_with("write the unit, as in \"256KiB\" or \"64MiB\"")),
            Err(error) => Err(self.refusal_with(error.to_string())),
        }
    }
}

impl Written for SizeIn {
    fn written(&self, value: &u64) -> String {
        size_text(*value)
    }
}

/// A whole number within a range.
pub(super) struct CountIn(pub(super) RangeInclusive<u32>);

impl Kind for CountIn {
    type Value = u32;

    fn allowed(&self) -> String {
        format!("a whole number from {} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, value: &Value) -> Result<u32, Refusal> {
        let number = number(value).filter(|n| n.fract() == 0.0 && *n >= 0.0 && *n <= f64::from(u32::MAX));
        // Exact: the filter leaves nothing that the cast could round or cut.
        number.map(|n| n as u32).filter(|n| self.0.contains(n)).ok_or_else(|| self.refusal())
    }
}

impl Written for CountIn {
    fn written(&self, value: &u32) -> String {
        value.to_string()
    }
}

/// A number within a range.
pub(super) struct NumberIn(pub(super) RangeInclusive<f64>);

impl Kind for NumberIn {
    type Value = f64;

    fn allowed(&self) -> String {
        format!("a number from {} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, value: &Value) -> Result<f64, Refusal> {
        number(value).filter(|n| self.0.contains(n)).ok_or_else(|| self.refusal())
    }
}

impl Written for NumberIn {
    fn written(&self, value: &f64) -> String {
        value.to_string()
    }
}

/// A status code within a range, as a number or as text; or the failures of the server as a whole.
pub(super) struct FailuresIn(pub(super) RangeInclusive<u16>);

impl Kind for FailuresIn {
    type Value = StatusSet;

    fn allowed(&self) -> String {
        format!("a status code from {} to {}, or \"5xx\"", self.0.start(), self.0.end())
    }

    fn read(&self, value: &Value) -> Result<StatusSet, Refusal> {
        if value == "5xx" {
            return Ok(StatusSet::FAILURES);
        }
        let (low, high) = (f64::from(*self.0.start()), f64::from(*self.0.end()));
        let code = number(value).filter(|code| code.fract() == 0.0 && (low..=high).contains(code));
        // Exact: the filter leaves nothing that the cast could round or cut.
        code.map(|code| StatusSet::EMPTY.with(code as u16)).ok_or_else(|| self.refusal())
    }
}

/// A share of a whole, never none of it.
pub(super) struct Share;

impl Kind for Share {
    type Value = f64;

    fn allowed(&self) -> String {
        "a number above 0 and at most 1".into()
    }

    fn read(&self, value: &Value) -> Result<f64, Refusal> {
        number(value).filter(|n| *n > 0.0 && *n <= 1.0).ok_or_else(|| self.refusal())
    }
}

impl Written for Share {
    fn written(&self, value: &f64) -> String {
        value.to_string()
    }
}

/// `true` or `false`.
pub(super) struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn allowed(&self) -> String {
        "true or false".into()
    }

    fn read(&self, value: &Value) -> Result<bool, Refusal> {
        let advice = "write it without quotes";
        value.as_bool().ok_or_else(|| match value {
            Value::String(text) if matches!(text.as_str(), "true" | "false") => self.refusal_with(advice),
            _ => self.refusal(),
        })
    }
}

impl Written for Flag {
    fn written(&self, value: &bool) -> String {
        value.to_string()
    }
}

/// One of a few words.
pub(super) struct OneOf<T: 'static> {
    /// The words and what they mean.
    pub(super) words: &'static [(&'static str, T)],
    /// Words that a later version understands.
    pub(super) later: &'static [&'static str],
}

impl<T: Copy + PartialEq> Kind for OneOf<T> {
    type Value = T;

    fn allowed(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|(word, _)| quoted(word)).collect();
        words.join(" or ")
    }

    fn read(&self, value: &Value) -> Result<T, Refusal> {
        let word = match value {
            Value::String(word) => word.as_str(),
            Value::Bool(false) => "off",
            _ => return Err(self.refusal()),
        };
        if let Some((_, meaning)) = self.words.iter().find(|(known, _)| *known == word) {
            return Ok(*meaning);
        }
        if self.later.contains(&word) {
            let allowed = format!("{}, since {word} is not available in this version", self.allowed());
            return Err(Refusal { allowed, advice: None });
        }
        let known = nearest(word, self.words.iter().map(|(known, _)| *known));
        Err(known
            .map_or_else(|| self.refusal(), |known| self.refusal_with(format!("write {}", quoted(known)))))
    }
}

impl<T: Copy + PartialEq> Written for OneOf<T> {
    fn written(&self, value: &T) -> String {
        self.words
            .iter()
            .find(|(_, meaning)| meaning == value)
            .map_or_else(String::new, |(word, _)| quoted(word))
    }
}

/// Text of a certain form; the form's reader gives advice where it can.
pub(super) struct Text<T> {
    /// What may be written.
    pub(super) allowed: &'static str,
    /// Reads it.
    pub(super) read: fn(&str) -> Result<T, Option<&'static str>>,
}

impl<T> Kind for Text<T> {
    type Value = T;

    fn allowed(&self) -> String {
        self.allowed.into()
    }

    fn read(&self, value: &Value) -> Result<T, Refusal> {
        match value {
            Value::String(text) => (self.read)(text)
                .map_err(|advice| Refusal { allowed: self.allowed(), advice: advice.map(Into::into) }),
            // YAML has read a bare `no` or `42` as something else.
            Value::Bool(_) | Value::Number(_) => Err(self.refusal_with("put it in quotes")),
            _ => Err(self.refusal()),
        }
    }
}

/// The number that `value` is, or says as text.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        // `inf` and `nan` are numbers to `parse`, and to nobody who writes a configuration.
        Value::String(text) if text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) => {
            text.parse().ok().filter(|n: &f64| n.is_finite())
        }
        _ => None,
    }
}
