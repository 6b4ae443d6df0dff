//! What becomes of a wave when the plugin's own life goes on: a worker's VM fails, its configuration or its code is
//! replaced, or another process takes over.

use crate::support::client::{Answer, Client, Request, send, wave};
use crate::support::crowd::{WAITERS, active, by_worker, leader, waiters, waiters_at};
use crate::support::delivery::{Delivery, Kind};
use crate::support::envoy::Envoy;
use crate::support::gate::Gate;
use crate::support::lineage::Lineage;
use crate::support::origin::{Origin, Seen};
use crate::support::recipe::{Recipe, named};
use crate::support::reply::{Hold, Reply};
use crate::support::{eventually, percentile, turn};
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;

/// For how long a fetch without a sign of life is believed in, and a stream may stand still.
const LEASE: Duration = Duration::from_millis(500);
const IDLE: Duration = Duration::from_secs(6);
/// A tick, and what a machine with other work needs on top.
const SLACK: Duration = Duration::from_secs(2);

/// The page of each path; `/held…` comes when the gate opens.
fn pages(gate: &Gate) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    let held = gate.clone();
    move |seen| {
        let reply = Reply::ok(seen.path()).header("cache-control", "max-age=60");
        if seen.path().starts_with("/held") { reply.head(Hold::At(held.clone())) } else { reply }
    }
}

fn assert_pages(path: &str, answers: &[Answer]) {
    for answer in answers {
        assert_eq!((answer.status, answer.text().as_str()), (200, path), "{:?}", answer.head);
    }
}

// A VM fails

/// An Envoy where a GET of `/fatal` is the end of its worker's VM.
///
/// The plugin has no way to fail from outside, so Envoy is given one: on that route the bridge, which is made for
/// connections, is put where requests come in, and the SDK has no words for that but a panic. As it is the same code
/// under the same `vm_id`, it is the plugin's own VM that ends.
async fn mortal(origin: &Origin) -> Envoy {
    let coalesce = json!({"scope": "instance", "lease": "500ms", "wait_timeout": "1m"});
    let recipe =
        Recipe::minimal().origin(origin.address()).plugin(&json!({"defaults": {"coalesce": coalesce}}));
    let recipe = recipe.idle_timeout(&format!("{}s", IDLE.as_secs())).edit(|config| {
        let edge = named(&mut config["static_resources"]["listeners"], "edge");
        let http = &mut edge["filter_chains"][0]["filters"][0]["typed_config"];
        let mut fatal = named(&mut http["http_filters"], "breakwater").clone();
        fatal["name"] = "fatal".into();
        fatal["disabled"] = true.into();
        let plugin = &mut fatal["typed_config"]["config"];
        plugin["name"] = "fatal".into();
        plugin["root_id"] = "breakwater.redis".into();
        plugin["configuration"]["value"] = json!({});
        let filters = http["http_filters"].as_array_mut().expect("a list");
        filters.insert(0, fatal);
        let route = json!({
            "match": {"path": "/fatal"},
            "route": {"cluster": "origin"},
            "typed_per_filter_config": {"fatal": {
                "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
                "config": {},
            }},
        });
        let routes = http["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().expect("a list");
        routes.insert(0, route);
    });
    recipe.start().await
}

/// Requests on the connections to one worker, all of them waiting.
async fn waiting(envoy: &Envoy, clients: Vec<Client>, path: &str) -> JoinSet<Answer> {
    let requests = clients.into_iter().map(|client| (client, Request::get(path)));
    waiters_at(envoy, requests).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_worker_s_vm_fails_the_others_go_on_and_nobody_is_kept_longer_than_a_deadline() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let origin = Origin::start(pages(&gate)).await;
    let envoy = mortal(&origin).await;
    let [mut doomed, mut sound] = by_worker(&envoy, 2 + 2 * WAITERS).await.try_into().expect("two workers");

    // One flight is led by the worker that will fail, the other by the one that stays; both workers wait in both.
    let mut led = [doomed.pop().unwrap(), sound.pop().unwrap()];
    for (leader, path) in led.iter_mut().zip(["/held/doomed", "/held/sound"]) {
        leader.begin(&Request::get(path)).await.unwrap();
        origin.until("the leader's request arrives", |o| o.hits(path) == 1).await;
    }
    let mut killer = doomed.pop().unwrap();
    let mut lost = [
        waiting(&envoy, doomed.split_off(WAITERS), "/held/doomed").await,
        waiting(&envoy, doomed, "/held/sound").await,
    ];
    sound.pop();
    let orphans = waiting(&envoy, sound.split_off(WAITERS), "/held/doomed").await;
    let untouched = waiting(&envoy, sound, "/held/sound").await;
    assert_eq!(origin.total(), 2);

    killer.begin(&Request::get("/fatal")).await.unwrap();
    assert_eq!(killer.answer().await.unwrap().status, 503);
    assert_eq!(envoy.stats("vm_reload").await.values().sum::<u64>(), 0, "{}", envoy.log());
    origin.until("the other worker asks for itself", |o| o.hits("/held/doomed") == 2).await;
    gate.open();

    let untouched = untouched.join_all().await;
    assert_pages("/held/sound", &untouched);
    let orphans = orphans.join_all().await;
    assert_pages("/held/doomed", &orphans);
    let slowest = percentile(orphans.iter().map(|answer| answer.latency), 1.0);
    eprintln!("the dead leader's waiters elsewhere: slowest {slowest:?}, lease {LEASE:?}");
    assert!(slowest < LEASE + SLACK, "{slowest:?}");
    assert_eq!(origin.total(), 3);

    // Those whose worker failed get what Envoy has for them: no page, and no later than streams may stand still.
    let [dead, alive] = led;
    let mut ends = Vec::new();
    for (mut client, path) in [(dead, "/held/doomed"), (alive, "/held/sound")] {
        ends.push((client.answer().await.unwrap(), path));
    }
    assert_eq!((ends[0].0.status, ends[1].0.status), (503, 200));
    assert_pages("/held/sound", &[ends[1].0.clone()]);
    for waiters in &mut lost {
        while let Some(answer) = waiters.join_next().await {
            let answer = answer.unwrap();
            assert!(answer.status == 503 && answer.latency < IDLE + SLACK, "{answer:?}");
        }
    }

    // The next request of that worker gets a new VM, which joins in.
    let gate = Gate::new();
    origin.answer(pages(&gate));
    let clients = by_worker(&envoy, WAITERS).await.into_iter().flatten();
    let again = waiters_at(&envoy, clients.map(|client| (client, Request::get("/held/again")))).await;
    assert_eq!(origin.hits("/held/again"), 1);
    gate.open();
    assert_pages("/held/again", &again.join_all().await);
    assert_eq!(envoy.stat("wasm.breakwater.vm_reload_success").await, 1, "{}", envoy.log());
    eventually("no stream is left", async || active(&envoy).await == 0).await;
}

// Configuration and code are replaced

/// What is new.
#[derive(PartialEq, Eq)]
enum Replaced {
    /// The configuration: the VM stays.
    Configuration,
    /// The code too: a new VM takes over.
    Code,
}

/// Waits until a new connection to any worker finds the new configuration.
async fn renewed(envoy: &Envoy) {
    eventually("each worker goes by what is new", async || {
        let mut new = true;
        for mut client in by_worker(envoy, 1).await.into_iter().flatten() {
            new &= client.send(&Request::get("/probe")).await.unwrap().told().key.is_some();
        }
        new
    })
    .await;
}

/// A wave before the change and one after it, while what both ask for is on its way.
async fn a_wave_outlives(kind: Kind, replaced: Replaced) {
    let gate = Gate::new();
    let origin = Origin::start(pages(&gate)).await;
    let (recipe, mut delivery) = Delivery::of(kind, Recipe::minimal().origin(origin.address()));
    let envoy = recipe.start().await;
    let held = Request::get("/held");

    let mut leader = leader(&envoy, &origin, &held).await;
    let before = waiters(&envoy, &held).await;
    let code = (replaced == Replaced::Code).then(|| delivery.other_code());
    delivery
        .update(&envoy, |plugin| {
            plugin["configuration"]["value"]["defaults"]["cache"]["tell_key"] = true.into();
            if let Some(code) = code {
                plugin["vm_config"]["code"]["local"]["filename"] = code.display().to_string().into();
            }
        })
        .await;
    renewed(&envoy).await;
    let after = waiters(&envoy, &held).await;
    assert_eq!(origin.hits("/held"), 1, "those who come after the change join");
    gate.open();
    assert_pages("/held", &[leader.answer().await.unwrap()]);
    let (before, after) = (before.join_all().await, after.join_all().await);
    assert_pages("/held", &before);
    assert_pages("/held", &after);
    assert!(before.iter().all(|answer| answer.told().key.is_none()), "by the rules it came under");
    assert!(after.iter().all(|answer| answer.told().key.is_some() && answer.told().collapsed == Some(true)));
    assert_eq!(origin.hits("/held"), 1);

    let later = wave(envoy.address(), 2 * WAITERS, &Request::get("/held/later")).await;
    assert_pages("/held/later", &later);
    assert_eq!(origin.hits("/held/later"), 1);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wave_outlives_a_change_of_configuration_by_ecds() {
    let _turn = turn::shared().await;
    a_wave_outlives(Kind::Filter, Replaced::Configuration).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wave_outlives_a_change_of_code_by_ecds() {
    let _turn = turn::shared().await;
    a_wave_outlives(Kind::Filter, Replaced::Code).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wave_outlives_a_change_of_configuration_by_lds() {
    let _turn = turn::shared().await;
    a_wave_outlives(Kind::Listener, Replaced::Configuration).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wave_outlives_a_change_of_code_by_lds() {
    let _turn = turn::shared().await;
    a_wave_outlives(Kind::Listener, Replaced::Code).await;
}

// Another process takes over

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wave_outlives_a_hot_restart() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let origin = Origin::start(pages(&gate)).await;
    let lineage = Lineage::new();
    let recipe = Recipe::minimal()
        .origin(origin.address())
        .argument("--drain-time-s")
        .argument("1")
        .argument("--parent-shutdown-time-s")
        .argument("5");
    let held = Request::get("/held");

    let old = recipe.clone().successor(&lineage, 0).start().await;
    let mut leader = leader(&old, &origin, &held).await;
    let before = waiters(&old, &held).await;
    let new = recipe.successor(&lineage, 1).start().await;
    assert_eq!((old.address(), new.address()), (lineage.address(), lineage.address()));
    // Processes share nothing but their listeners: in the new one the page is fetched once more.
    let after = waiters(&new, &held).await;
    origin.until("the new process asks", |o| o.hits("/held") == 2).await;
    gate.open();

    assert_pages("/held", &[leader.answer().await.unwrap()]);
    assert_pages("/held", &before.join_all().await);
    assert_pages("/held", &after.join_all().await);
    assert_eq!(origin.hits("/held"), 2);
    old.ended().await;
    assert_pages("/held", &[send(new.address(), &held).await]);
    assert_eq!(origin.hits("/held"), 2);
    assert_eq!(new.vm_failures().await, 0);
}
