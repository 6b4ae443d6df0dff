//! Responses that say on which part of the query they depend (No-Vary-Search).

use crate::support::client::{Client, Request, send};
use crate::support::envoy::Envoy;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::reply::{Hold, Reply};
use crate::support::turn;

async fn read(envoy: &Envoy, path: &str) -> String {
    send(envoy.address(), &Request::get(path)).await.text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_amid_the_first_read_of_a_path_leaves_nothing_behind() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| {
        let reply = Reply::ok(format!("{} {}", seen.method(), seen.earlier))
            .header("cache-control", "max-age=60")
            .header("no-vary-search", "params=(\"utm\")");
        if seen.earlier == 0 { reply.head(Hold::At(held.clone())) } else { reply }
    })
    .await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let mut early = Client::connect(envoy.address()).await.unwrap();
    early.begin(&Request::get("/x?a=1&utm=1")).await.unwrap();
    origin.until("the read is under way", |o| o.in_flight() == 1).await;
    assert_eq!(send(envoy.address(), &Request::new("POST", "/x?a=1&utm=1")).await.status, 200);
    gate.open();
    assert_eq!(early.answer().await.unwrap().text(), "GET 0");
    assert_eq!(read(&envoy, "/x?a=1&utm=1").await, "GET 2");
}
