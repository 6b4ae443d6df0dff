//! Envoy's own parts beside the plugin, as the shipped configuration has them: outlier detection chooses among the
//! hosts, the retry budget bounds what is tried again, and the plugin judges the upstream as a whole.

use crate::support::circuit::{CLOSED, OPENED};
use crate::support::client::{Request, send, try_wave_of};
use crate::support::crowd::by_worker;
use crate::support::envoy::Envoy;
use crate::support::eventually;
use crate::support::load::{Load, Sample, statuses};
use crate::support::origin::{Origin, Seen};
use crate::support::recipe::{Recipe, named};
use crate::support::reply::Reply;
use crate::support::steady::Steady;
use crate::support::turn;
use serde_json::json;
use std::net::SocketAddr;

const EJECTED: &str = "cluster.origin.outlier_detection.ejections_active";

/// Pages that may be kept for a second and stand in for an hour, and all else for one client alone.
fn good(seen: &Seen) -> Reply {
    let kept = seen.path().starts_with("/kept/");
    Reply::ok("good").header("cache-control", if kept { "max-age=1" } else { "no-store" })
}

fn bad(_: &Seen) -> Reply {
    Reply::with(500, "bad").header("cache-control", "no-store")
}

async fn hosts(count: usize) -> Vec<Origin> {
    let mut hosts = Vec::with_capacity(count);
    for _ in 0..count {
        hosts.push(Origin::start(good).await);
    }
    hosts
}

fn addresses(hosts: &[Origin]) -> Vec<SocketAddr> {
    hosts.iter().map(Origin::address).collect()
}

fn failures(samples: &[Sample]) -> usize {
    samples.iter().filter(|sample| sample.status != 200).count()
}

/// So many requests a second, over both workers.
async fn traffic(envoy: &Envoy, rate: u32) -> Steady {
    let clients = by_worker(envoy, 4).await.into_iter().flatten();
    Steady::start(envoy.address(), clients, rate, |n| Request::get(format!("/{n}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_fails_alone_is_left_out_and_the_circuit_stays_closed() {
    let _turn = turn::shared().await;
    // What clients may see of it: its first errors, before it is left out; of refused connections nothing, since
    // those are tried on another host, but what is on its connections at the moment when it stops.
    for (failure, most) in [("answers with errors", 10), ("refuses connections", 2)] {
        let mut hosts = hosts(3).await;
        let envoy = Recipe::shipped().origins(&addresses(&hosts)).start().await;
        let traffic = traffic(&envoy, 200).await;
        hosts[0].until("the host takes part", |host| host.total() >= 30).await;
        match failure {
            "refuses connections" => hosts[0].stop().await,
            _ => hosts[0].answer(bad),
        }
        eventually("the host is left out", async || envoy.stat(EJECTED).await == 1).await;
        let (left_out, before) = (hosts[0].total(), hosts[1].total());
        hosts[1].until("the others work on", |host| host.total() >= before + 100).await;
        assert_eq!(hosts[0].total(), left_out, "{failure}: it is left in peace");

        let samples = traffic.stop().await;
        let failed = failures(&samples);
        eprintln!("one host of three {failure}: {failed} of {} requests failed", samples.len());
        assert!(failed <= most, "{failure}: {:?}", statuses(&samples));
        assert_eq!(envoy.stat(OPENED).await, 0, "{failure}");
        assert_eq!(envoy.vm_failures().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_hosts_fail_the_circuit_opens_and_finds_them_well_again() {
    let _turn = turn::shared().await;
    let hosts = hosts(3).await;
    let short = json!({"defaults": {"breaker": {"open_for": "1s", "max_open_for": "1s"}}});
    let envoy = Recipe::shipped().origins(&addresses(&hosts)).plugin(&short).start().await;
    let kept = Request::get("/kept/page");
    assert_eq!(send(envoy.address(), &kept).await.text(), "good");

    hosts.iter().for_each(|host| host.answer(bad));
    let load = Load::start(envoy.address(), 4, |n| Request::get(format!("/{n}")));
    eventually("the circuit opens", async || envoy.stat(OPENED).await > 0).await;
    let mut stale = 0;
    eventually("what is kept is stale and answers", async || {
        let answer = send(envoy.address(), &kept).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "good"));
        stale += usize::from(answer.told().ttl < Some(0));
        stale >= 3
    })
    .await;
    // One of three: with more, Envoy would soon have nobody to ask, and the probes neither.
    let ejected = envoy.stat(EJECTED).await;
    assert!(ejected <= 1, "{ejected}");

    hosts.iter().for_each(|host| host.answer(good));
    eventually("the circuit closes", async || envoy.stat(CLOSED).await > 0).await;
    load.stop().await;
    eventually("every worker lets pass", async || {
        let requests = (0..32).map(|n| Request::get(format!("/after/{n}"))).collect();
        let answers = try_wave_of(envoy.address(), requests).await;
        answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200))
    })
    .await;
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_host_is_never_left_out() {
    let _turn = turn::shared().await;
    let host = Origin::start(bad).await;
    let unbroken = json!({"defaults": {"breaker": {"enabled": false}}});
    let envoy = Recipe::shipped().origin(host.address()).plugin(&unbroken).start().await;
    // Nothing but failures, and the host is asked each time.
    let samples = Load::bounded(envoy.address(), 4, 200, |n| Request::get(format!("/{n}"))).wait().await;
    assert_eq!((statuses(&samples), host.total()), ([(500, 200)].into(), 200));
    let wanted = "cluster.origin.outlier_detection.ejections_overflow";
    eventually("it was to be left out, and was not", async || envoy.stat(wanted).await > 0).await;
    assert_eq!(envoy.stat(EJECTED).await, 0);

    host.answer(good);
    assert_eq!(send(envoy.address(), &Request::get("/well")).await.status, 200);
}

/// Why the shipped configuration says so: what Envoy does when it may leave out all there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_only_host_left_out_is_asked_in_panic_mode_and_lost_without_it() {
    let _turn = turn::shared().await;
    for (panic_below, status) in [(50, 200), (0, 503)] {
        let host = Origin::start(bad).await;
        let unbroken = json!({"defaults": {"breaker": {"enabled": false}}});
        let envoy = Recipe::shipped().origin(host.address()).plugin(&unbroken).edit(|config| {
            let origin = named(&mut config["static_resources"]["clusters"], "origin");
            origin["outlier_detection"]["max_ejection_percent"] = 100.into();
            origin["outlier_detection"]["base_ejection_time"] = "60s".into();
            origin["common_lb_config"] = json!({"healthy_panic_threshold": {"value": panic_below}});
        });
        let envoy = envoy.start().await;
        eventually("it is left out", async || {
            send(envoy.address(), &Request::get("/")).await;
            envoy.stat(EJECTED).await == 1
        })
        .await;
        host.answer(good);
        eventually("every worker knows", async || {
            let requests = (0..8).map(|n| Request::get(format!("/{n}"))).collect();
            let answers = try_wave_of(envoy.address(), requests).await;
            answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == status))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_add_a_fifth_to_what_an_outage_sees_and_no_multiple() {
    let _turn = turn::shared().await;
    // Without the circuit, which would keep nearly all of them away: the budget holds by itself.
    let unbroken = json!({"defaults": {"breaker": {"enabled": false}, "coalesce": {"scope": "off"}}});
    // Upstream and all else refuse connections.
    let envoy = Recipe::shipped().plugin(&unbroken).start().await;
    let requests = (0..WAVE).map(|n| Request::get(format!("/{n}"))).collect();
    let answers = try_wave_of(envoy.address(), requests).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 503)));

    let [connects, retries, over] =
        ["upstream_cx_connect_fail", "upstream_rq_retry", "upstream_rq_retry_overflow"]
            .map(|name| format!("cluster.origin.{name}"));
    let connects = envoy.stat(&connects).await;
    let (retries, over) = (envoy.stat(&retries).await, envoy.stat(&over).await);
    eprintln!("{WAVE} requests at once: {connects} connections tried, {retries} retries, {over} not made");
    assert!(retries > 0 && over > 0, "{retries}, {over}");
    // A connection that fails takes others with it that wait for one, so there may be fewer.
    assert!(connects <= WAVE + retries, "{connects}, {retries}");
    assert!(retries <= WAVE * 3 / 10, "a fifth of those under way, and some when few are: {retries}");
    assert_eq!(envoy.vm_failures().await, 0);
}

const WAVE: u64 = 400;
