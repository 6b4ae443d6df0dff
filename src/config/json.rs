//! From bytes to the outermost JSON object, or the place where the text stops being one.

use crate::config::errors::{Errors, Problem};
use crate::config::protobuf;
use serde_json::{Map, Value};

/// The outermost object; empty where nothing is written.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Errors> {
    if let Some(fields) = protobuf::object(bytes) {
        return Ok(fields);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Errors::from(Problem {
            path: "configuration".into(),
            found: "a value that is no object".into(),
            allowed: OBJECT.into(),
            advice: "write its fields between { and }".into(),
        })),
        Err(error) => {
            let message = error.to_string();
            // The parser repeats the place behind its message.
            let reason = message.split(" at line ").next().unwrap_or_default();
            Err(at(error.line(), error.column(), &format!("text that is no JSON ({reason})")))
        }
    }
}

fn not_utf8(bytes: &[u8], valid: usize) -> Errors {
    let before = bytes.get(..valid).unwrap_or_default();
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline.saturating_add(1));
    let line = before.iter().filter(|b| **b == b'\n').count().saturating_add(1);
    let column = valid.saturating_sub(line_start).saturating_add(1);
    at(line, column, "bytes that are no UTF-8")
}

fn at(line: usize, column: usize, found: &str) -> Errors {
    Errors::from(Problem {
        path: format!("line {line}, column {column}"),
        found: found.into(),
        allowed: OBJECT.into(),
        advice: "correct the text there".into(),
    })
}

const OBJECT: &str = "a JSON object in UTF-8";
