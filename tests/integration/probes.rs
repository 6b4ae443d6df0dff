//! How a circuit comes back on real Envoy: one probe in the whole Envoy, in the background where it can be, then a ramp.

use crate::support::circuit::{circuit, is_refused, open, page, transitions};
use crate::support::client::{Client, Request, send};
use crate::support::crowd::by_worker;
use crate::support::envoy::Envoy;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::reply::{Hold, Reply};
use crate::support::steady::Steady;
use crate::support::{eventually, percentile, turn};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_probe_goes_in_the_whole_envoy() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let origin = Origin::start(|_| page("good", "no-store")).await;
    let breaker = json!({"open_for": "500ms", "max_open_for": "500ms"});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let mut clients: Vec<Client> = by_worker(&envoy, 4).await.into_iter().flatten().collect();
    open(&envoy, &origin).await;
    let held = gate.clone();
    origin.answer(move |_| page("well", "no-store").head(Hold::At(held.clone())));
    let mut prober = prober(&envoy, &origin, &Request::get("/probe")).await;
    for round in 0..5 {
        for client in &mut clients {
            let answer = client.send(&Request::get(format!("/others/{round}"))).await.unwrap();
            assert!(is_refused(&answer), "{:?}", answer.head);
        }
    }
    assert_eq!((origin.total(), origin.peak()), (1, 1), "of both workers one has a probe under way");
    gate.open();
    assert_eq!(prober.answer().await.unwrap().text(), "well");
    eventually("enough go well", async || {
        send(envoy.address(), &Request::get("/next")).await;
        transitions(&envoy, "probes-succeeded").await == 1
    })
    .await;
    eventually("its beginning too", async || transitions(&envoy, "time-over").await == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_be_answered_stale_does_not_pay_for_the_probe_whose_success_renews_what_is_stored() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let origin = Origin::start(|_| page("old", "max-age=1, stale-if-error=600")).await;
    let breaker = json!({"open_for": "1s", "max_open_for": "1s"});
    let envoy = Recipe::shipped().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let get = Request::get("/page");
    send(envoy.address(), &get).await;
    open(&envoy, &origin).await;
    let held = gate.clone();
    origin.answer(move |_| page("new", "max-age=600").head(Hold::At(held.clone())));
    // All the time, also while the probe hangs; a flight's followers would wait for 5 s.
    let mut took = Vec::new();
    eventually("a probe goes in the background", async || {
        took.push(answered_old(&envoy, &get).await);
        origin.in_flight() == 1
    })
    .await;
    for _ in 0..50 {
        took.push(answered_old(&envoy, &get).await);
    }
    assert_eq!((origin.total(), origin.peak()), (1, 1));
    let [half, most] = [0.5, 1.0].map(|share| percentile(took.iter().copied(), share));
    eprintln!(
        "beside the probe, stale answers take {half:?} at the median, {most:?} at most, of {}",
        took.len()
    );
    assert!(most < Duration::from_secs(2), "{took:?}");
    gate.open();
    eventually("what it brought is stored", async || send(envoy.address(), &get).await.text() == "new").await;
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_be_answered_stale_does_not_wait_for_another_clients_probe() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let origin = Origin::start(|_| page("old", "max-age=1, stale-if-error=600")).await;
    let breaker = json!({"open_for": "500ms", "max_open_for": "500ms"});
    // Nothing is asked in the background here: a client is the probe.
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let get = Request::get("/page");
    send(envoy.address(), &get).await;
    open(&envoy, &origin).await;
    let held = gate.clone();
    origin.answer(move |_| page("new", "max-age=600").head(Hold::At(held.clone())));
    let mut prober = prober(&envoy, &origin, &get).await;
    // All before the gate opens.
    for mut client in by_worker(&envoy, 4).await.into_iter().flatten() {
        let answer = client.send(&get).await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "old"), "{:?}", answer.head);
    }
    assert_eq!((origin.total(), origin.peak()), (1, 1));
    gate.open();
    assert_eq!(prober.answer().await.unwrap().text(), "new");
    eventually("what it brought is stored", async || send(envoy.address(), &get).await.text() == "new").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_circuit_stops_refreshes_in_the_background() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("page", "max-age=1, stale-while-revalidate=600")).await;
    let breaker = json!({"open_for": "10m", "max_open_for": "10m"});
    let envoy = Recipe::shipped().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let pages: Vec<Request> = (0..5).map(|number| Request::get(format!("/pages/{number}"))).collect();
    for page in &pages {
        send(envoy.address(), page).await;
    }
    open(&envoy, &origin).await;
    let begun = envoy.stat("wasmcustom.breakwater.refreshes.begun").await;
    let mut stale = 0;
    eventually("all are served stale for a while", async || {
        for page in &pages {
            let answer = send(envoy.address(), page).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "page"));
            stale += usize::from(answer.header("cache-status").contains("ttl=-"));
        }
        stale >= 50
    })
    .await;
    assert_eq!(origin.total(), 0);
    assert_eq!(envoy.stat("wasmcustom.breakwater.refreshes.begun").await, begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_comes_back_by_the_rungs_of_a_ramp() {
    let _turn = turn::alone().await;
    let origin = Origin::start(|_| page("good", "no-store")).await;
    let breaker = json!({"open_for": "2s", "max_open_for": "20s"});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let (traffic, asked) = traffic(&envoy).await;
    fall_and_come_back(&envoy, &origin).await;
    // Rungs last for 0.6 s. What was asked is counted, not reckoned by the clock: a busy machine asks late.
    let mut shares = Vec::new();
    for next in ["half-open 5 % (", "half-open 20 % (", "half-open 50 % (", "closed (recovered)"] {
        let (asked_before, before) = (asked.load(Ordering::Relaxed), origin.total());
        // By the log: two workers may climb at once, and both count that.
        eventually("the next rung", async || envoy.log().contains(&format!("-> {next}"))).await;
        let asked = asked.load(Ordering::Relaxed) - asked_before;
        shares.push((origin.total() - before) as f64 / asked as f64);
    }
    eprintln!("shares of the traffic on the rungs of 1, 5, 20 and 50 %: {shares:.3?}");
    // Where a rung ends is seen some milliseconds late, which counts the more the further the next one goes.
    let bounds = [(0.002, 0.04), (0.025, 0.11), (0.13, 0.31), (0.37, 0.66)];
    for (share, (least, most)) in shares.iter().zip(bounds) {
        assert!((least..=most).contains(share), "{shares:?}");
    }
    let (asked_before, before) = (asked.load(Ordering::Relaxed), origin.total());
    origin.until("all pass again", |origin| origin.total() > before + 200).await;
    let asked = asked.load(Ordering::Relaxed) - asked_before;
    // Some were under way.
    assert!(asked.abs_diff(origin.total() - before) <= 50, "{asked} asked, {}", origin.total() - before);
    drop(traffic);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relapse_on_a_rung_opens_the_circuit_for_twice_as_long() {
    let _turn = turn::alone().await;
    let origin = Origin::start(|_| page("good", "no-store")).await;
    let breaker = json!({"open_for": "1s", "max_open_for": "20s"});
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let (traffic, _) = traffic(&envoy).await;
    fall_and_come_back(&envoy, &origin).await;
    eventually("the second rung", async || transitions(&envoy, "share-held").await >= 1).await;
    origin.answer(|_| Reply::with(500, "bad"));
    eventually("a relapse", async || transitions(&envoy, "relapse").await >= 1).await;
    origin.until("all of that is over", |origin| origin.in_flight() == 0).await;
    let before = origin.total();
    sleep_until(Instant::now() + Duration::from_millis(500)).await;
    assert_eq!(origin.total(), before, "nothing passes");
    // Each is spread by a tenth either way.
    let [first, second] = [false, true].map(|relapsed| stays(&envoy, relapsed));
    eprintln!("open for {first:?} ms, then for {second:?} ms");
    let is_within = |stays: &[u64], bounds: std::ops::RangeInclusive<u64>| {
        !stays.is_empty() && stays.iter().all(|stay| bounds.contains(stay))
    };
    assert!(is_within(&first, 900..=1_100) && is_within(&second, 1_800..=2_200), "{first:?}, {second:?}");
    assert_eq!(transitions(&envoy, "recovered").await, 0, "it was on a rung");
    drop(traffic);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_fails_costs_no_client_anything_and_doubles_the_time() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("old", "max-age=1, stale-if-error=600")).await;
    let breaker = json!({"open_for": "1s", "max_open_for": "60s"});
    let envoy = Recipe::shipped().origin(origin.address()).plugin(&circuit(&breaker)).start().await;
    let get = Request::get("/page");
    send(envoy.address(), &get).await;
    open(&envoy, &origin).await;
    eventually("a probe fails", async || {
        let answer = send(envoy.address(), &get).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
        transitions(&envoy, "probe-failed").await == 1
    })
    .await;
    assert_eq!(origin.total(), 1, "one was enough");
    let refused = send(envoy.address(), &Request::get("/refused")).await;
    assert!(is_refused(&refused), "{:?}", refused.head);
    // Two seconds, spread a little and rounded up.
    assert!(["2", "3"].contains(&refused.header("retry-after").as_str()), "{:?}", refused.head);
    assert_eq!(send(envoy.address(), &get).await.text(), "old", "what failed has replaced nothing");
    assert_eq!(envoy.vm_failures().await, 0);
}

/// The client whose request is the probe; the upstream holds it.
async fn prober(envoy: &Envoy, origin: &Origin, request: &Request) -> Client {
    let mut prober = None;
    eventually("a probe goes", async || {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        client.begin(request).await.unwrap();
        tokio::select! {
            _ = client.head() => false,
            () = origin.until("it is at the upstream", |origin| origin.in_flight() == 1) => {
                prober = Some(client);
                true
            }
        }
    })
    .await;
    prober.expect("it was waited for")
}

/// How long the stale answer takes, on a connection of its own.
async fn answered_old(envoy: &Envoy, request: &Request) -> Duration {
    let since = Instant::now();
    let answer = send(envoy.address(), request).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
    since.elapsed()
}

/// Steady traffic over both workers, and how many requests were asked for so far.
async fn traffic(envoy: &Envoy) -> (Steady, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let clients: Vec<Client> = by_worker(envoy, 4).await.into_iter().flatten().collect();
    let traffic = Steady::start(envoy.address(), clients, RATE, move |number| {
        count.fetch_add(1, Ordering::Relaxed);
        Request::get(format!("/{number}"))
    });
    (traffic, asked)
}

/// Lets the upstream fail under that traffic until the circuit opens, and then be well until enough probes have succeeded.
async fn fall_and_come_back(envoy: &Envoy, origin: &Origin) {
    origin.until("traffic flows", |origin| origin.total() > 100).await;
    origin.answer(|_| Reply::with(500, "bad"));
    eventually("it opens", async || envoy.stat("wasmcustom.breakwater.breaker.opened").await >= 1).await;
    origin.answer(|_| page("good", "no-store"));
    eventually("probes succeed", async || transitions(envoy, "probes-succeeded").await >= 1).await;
}

/// For how many milliseconds the circuit opened, by relapses or else, as the log says.
fn stays(envoy: &Envoy, relapsed: bool) -> Vec<u64> {
    let log = envoy.log();
    let lines = log.lines().filter(|line| line.contains("(relapse)") == relapsed);
    let opened = lines.filter_map(|line| line.split_once("-> open for ")?.1.split(' ').next());
    opened.map(|ms| ms.parse().unwrap()).collect()
}

/// Requests a second.
const RATE: u32 = 500;
