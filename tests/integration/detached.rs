//! `coalesce.detach`: a fetch is the worker's own, and goes on whoever leaves.

use crate::support::client::{Request, send, wave};
use crate::support::crowd::{active, leader, waiters};
use crate::support::envoy::Envoy;
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::{Hold, Reply};
use crate::support::turn;
use serde_json::{Value, json};

fn page() -> Request {
    Request::get("/page")
}

/// An upstream that holds every answer until the gate opens.
async fn held(gate: &Gate, cache_control: &'static str) -> Origin {
    let held = gate.clone();
    Origin::start(move |seen| {
        let body = format!("fetch {}", seen.earlier);
        Reply::ok(body).header("cache-control", cache_control).head(Hold::At(held.clone()))
    })
    .await
}

async fn wall(origin: &Origin, more: &Value) -> (Envoy, Redis) {
    let redis = Redis::start().await;
    let recipe = Recipe::shipped().origin(origin.address()).patient_redis(redis.address());
    let detach = json!({"defaults": {"coalesce": {"detach": true}}});
    (recipe.plugin(&detach).plugin(more).start().await, redis)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_client_leaves_for_which_it_began_the_fetch_goes_on_for_the_others() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let origin = held(&gate, "max-age=60").await;
    let (envoy, _redis) = wall(&origin, &json!({})).await;
    let first = leader(&envoy, &origin, &page()).await;
    let waiters = waiters(&envoy, &page()).await;
    let all = active(&envoy).await;
    drop(first);
    eventually("it has left", async || active(&envoy).await < all).await;
    assert_eq!((origin.total(), origin.abandoned()), (1, 0));
    gate.open();
    let answers = waiters.join_all().await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "fetch 0"));
    assert_eq!((origin.total(), origin.abandoned()), (1, 0));
    assert!(origin.heads().iter().all(|head| head.field("x-breakwater-refresh").is_none()));
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_everybody_leaves_what_is_fetched_is_stored_for_the_next() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let origin = held(&gate, "max-age=60").await;
    let (envoy, redis) = wall(&origin, &json!({})).await;
    drop(leader(&envoy, &origin, &page()).await);
    gate.open();
    eventually("it is stored", async || redis.keys().await.len() == 2).await;
    let answer = send(envoy.address(), &page()).await;
    assert_eq!((answer.text(), origin.total(), origin.abandoned()), ("fetch 0".to_owned(), 1, 0));
    eventually("the lease is given back", async || redis.leases().await.is_empty()).await;
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_detached_answer_for_one_client_alone_is_fetched_by_each_for_itself() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    gate.open();
    let origin = held(&gate, "private").await;
    let (envoy, _redis) = wall(&origin, &json!({})).await;
    let mut answers: Vec<_> =
        wave(envoy.address(), 8, &page()).await.iter().map(|answer| answer.text()).collect();
    answers.sort();
    answers.dedup();
    assert_eq!(answers.len(), 8, "each has its own");
    assert!(!answers.contains(&"fetch 0".to_owned()), "what led was nobody's");
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_can_be_detached_to_the_client_leads_itself() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    gate.open();
    let origin = held(&gate, "max-age=60").await;
    let (envoy, _redis) = wall(&origin, &json!({"refresh": {"cluster": "nowhere"}})).await;
    let answers = wave(envoy.address(), 20, &page()).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "fetch 0"));
    assert_eq!((origin.total(), envoy.vm_failures().await), (1, 0));
}
