//! What Envoy makes of a `google.protobuf.Struct`: its protobuf bytes, not JSON (seen on Envoy 1.40).
//!
//! Operators write the configuration as YAML under a Struct, control planes send it as one; text comes only from a
//! `StringValue`. The bytes of a Struct that is not empty begin with a line feed and then a length, so no JSON object
//! is ever taken for one: it would have to be as long as its first brace says.

use prost::Message;
use prost_types::Struct;
use prost_types::value::Kind;
use serde_json::{Map, Number, Value};

/// The object these bytes are a Struct of; `None` if they are none.
pub(super) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    if bytes.first() != Some(&FIRST_FIELD) {
        return None;
    }
    let message = Struct::decode(bytes).ok()?;
    Some(fields(message))
}

/// Depth is bounded by the decoder.
fn fields(message: Struct) -> Map<String, Value> {
    message.fields.into_iter().map(|(name, field)| (name, value(field))).collect()
}

fn value(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        // What JSON cannot say becomes text, to be refused with its name.
        Some(Kind::NumberValue(number)) => {
            Number::from_f64(number).map_or_else(|| Value::String(number.to_string()), Value::Number)
        }
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(self::value).collect()),
        Some(Kind::StructValue(inner)) => Value::Object(fields(inner)),
    }
}

/// Tag of field 1, length-delimited.
const FIRST_FIELD: u8 = 0x0a;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;
    use serde_json::json;

    fn kind(value: &Value) -> prost_types::Value {
        let kind = match value {
            Value::Null => Kind::NullValue(0),
            Value::Bool(flag) => Kind::BoolValue(*flag),
            Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
            Value::String(text) => Kind::StringValue(text.clone()),
            Value::Array(list) => {
                Kind::ListValue(prost_types::ListValue { values: list.iter().map(kind).collect() })
            }
            Value::Object(inner) => Kind::StructValue(encoded(inner)),
        };
        prost_types::Value { kind: Some(kind) }
    }

    fn encoded(object: &Map<String, Value>) -> Struct {
        Struct { fields: object.iter().map(|(name, value)| (name.clone(), kind(value))).collect() }
    }

    #[test]
    fn a_struct_reads_as_the_json_it_was_written_from() {
        let json = json!({"a": {"b": [1.5, "x", true, null]}, "c": {}, "d": []});
        let bytes = encoded(json.as_object().unwrap()).encode_to_vec();
        assert_eq!(object(&bytes), json.as_object().cloned());
    }

    #[test]
    fn json_text_is_never_taken_for_a_struct() {
        for len in 0..300 {
            let text = format!("\n{{\"a\": \"{}\"}}", "x".repeat(len));
            assert_eq!(object(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn any_bytes_are_a_struct_or_none(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut tagged = vec![FIRST_FIELD];
            tagged.extend(bytes);
            let _ = object(&tagged);
        }
    }
}
