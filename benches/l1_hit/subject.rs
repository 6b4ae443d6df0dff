//! What is compared: how each subject answers, and how its hits are told.

use crate::BODY_BYTES;
use crate::client::Answer;
use serde_json::{Value, json};
use std::path::PathBuf;

pub enum Answering {
    Directly,
    FromNativeCache,
    FromPlugin(PathBuf),
}

pub struct Subject {
    pub name: String,
    pub answering: Answering,
}

pub fn subjects(plugins: &[PathBuf]) -> Vec<Subject> {
    let plain = |name: &str, answering| Subject { name: name.to_owned(), answering };
    let mut subjects = vec![
        plain("direct_response", Answering::Directly),
        plain("native cache", Answering::FromNativeCache),
    ];
    for plugin in plugins {
        let name = match plugins {
            [_] => "breakwater".to_owned(),
            _ => plugin.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        subjects.push(Subject { name, answering: Answering::FromPlugin(plugin.clone()) });
    }
    subjects
}

impl Subject {
    /// Refuses an answer that did not come from where this subject answers from.
    pub fn accept(&self, answer: &Answer) -> Result<(), String> {
        let is_hit = match self.answering {
            Answering::Directly => true,
            Answering::FromNativeCache => answer.field("age").is_some(),
            Answering::FromPlugin(_) => {
                answer.field("cache-status").is_some_and(|status| status.contains("breakwater; hit"))
            }
        };
        if answer.status == 200 && answer.body.len() == BODY_BYTES && is_hit {
            return Ok(());
        }
        Err(format!("not a hit: {} {:?} and {} bytes", answer.status, answer.fields, answer.body.len()))
    }

    /// The HTTP filter in front of the router.
    pub fn filter(&self) -> Option<Value> {
        match &self.answering {
            Answering::Directly => None,
            Answering::FromNativeCache => Some(json!({
                "name": "envoy.filters.http.cache",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.cache.v3.CacheConfig",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.http.cache.simple_http_cache.v3.SimpleHttpCacheConfig"
                    }
                }
            })),
            Answering::FromPlugin(file) => Some(json!({
                "name": "breakwater",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                    "config": {
                        "name": "breakwater",
                        "root_id": "breakwater",
                        "configuration": {
                            "@type": "type.googleapis.com/google.protobuf.StringValue",
                            "value": json!({"l1": {"ttl": "1h"}}).to_string()
                        },
                        "vm_config": {
                            "vm_id": self.name,
                            "runtime": "envoy.wasm.runtime.v8",
                            "code": {"local": {"filename": file}}
                        }
                    }
                }
            })),
        }
    }

    pub fn route(&self) -> Value {
        match self.answering {
            Answering::Directly => json!({
                "match": {"prefix": "/"},
                "direct_response": {"status": 200, "body": {"inline_string": "x".repeat(BODY_BYTES)}}
            }),
            _ => json!({"match": {"prefix": "/"}, "route": {"cluster": "origin"}}),
        }
    }
}
