//! What tests of circuits have in common: how one is configured, opened and asked after.

use super::client::{Answer, Request, send, wave_of};
use super::envoy::Envoy;
use super::eventually;
use super::origin::Origin;
use super::reply::Reply;
use serde_json::{Value, json};

/// How often circuits have opened.
pub const OPENED: &str = "wasmcustom.breakwater.breaker.opened";
/// How often circuits have closed.
pub const CLOSED: &str = "wasmcustom.breakwater.breaker.closed";

/// The plugin's configuration with this `breaker`.
pub fn circuit(breaker: &Value) -> Value {
    json!({"defaults": {"breaker": breaker}})
}

/// A page of the upstream's, with its Cache-Control.
pub fn page(body: &str, lifetime: &str) -> Reply {
    Reply::ok(body).header("cache-control", lifetime)
}

/// How often circuits without a rule have made transitions of this cause.
pub async fn transitions(envoy: &Envoy, cause: &str) -> u64 {
    envoy.stat(&format!("wasmcustom.breakwater.transitions.{cause}.rule.default")).await
}

/// Whether the last word of Cache-Status is this reason.
pub fn ends(answer: &Answer, reason: &str) -> bool {
    answer.header("cache-status").ends_with(&format!("detail={reason}"))
}

/// Whether the plugin refused, since a circuit lets nothing pass.
pub fn is_refused(answer: &Answer) -> bool {
    answer.status == 503 && ends(answer, "breaker-open")
}

/// One GET on a connection of its own.
pub async fn get(envoy: &Envoy, path: impl Into<String>) -> Answer {
    send(envoy.address(), &Request::get(path)).await
}

/// Fails requests of no interest until the circuit is open in every worker. The upstream forgets them.
pub async fn open(envoy: &Envoy, origin: &Origin) {
    origin.answer(|_| Reply::with(500, "bad"));
    let mut asked = 0;
    eventually("the circuit opens", async || {
        asked += 1;
        is_refused(&get(envoy, format!("/opens/{asked}")).await)
    })
    .await;
    eventually("everywhere", async || {
        let requests = (0..16).map(|n| Request::get(format!("/open/{n}"))).collect();
        wave_of(envoy.address(), requests).await.iter().all(is_refused)
    })
    .await;
    origin.until("all of that is over", |origin| origin.in_flight() == 0).await;
    origin.forget();
}
