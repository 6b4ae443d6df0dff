//! Several Envoys that share a Redis: a wave over all of them is one flight, and whatever becomes of the Envoy that
//! leads it, or of Redis, each request gets an answer of its own.

use crate::support::client::{Answer, Request, send, wave_over};
use crate::support::crowd::{WAITERS, leader};
use crate::support::fleet::Fleet;
use crate::support::gate::Gate;
use crate::support::origin::{Origin, Seen};
use crate::support::reply::{Cut, Hold, Reply};
use crate::support::{eventually, percentile, turn};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What a machine with other work needs on top.
const SLACK: Duration = Duration::from_secs(2);

fn lasting(body: impl Into<Vec<u8>>) -> Reply {
    Reply::ok(body).header("cache-control", "max-age=60")
}

/// Each fetch tells its number; the first waits at the gate.
fn numbered(gate: &Gate) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    let held = gate.clone();
    move |seen| {
        let reply = lasting(format!("fetch {}", seen.earlier));
        if seen.earlier == 0 { reply.head(Hold::At(held.clone())) } else { reply }
    }
}

fn assert_all(answers: &[Answer], status: u16, text: &str) {
    for answer in answers {
        assert_eq!((answer.status, answer.text().as_str()), (status, text), "{:?}", answer.head);
    }
}

async fn assert_no_vm_failed(fleet: &Fleet) {
    for envoy in &fleet.envoys {
        assert_eq!(envoy.vm_failures().await, 0, "{}", envoy.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wave_over_four_envoys_costs_one_upstream_request_and_at_most_one_each_when_redis_is_down() {
    const EACH: usize = 250;
    const UPSTREAM: Duration = Duration::from_millis(200);
    let _turn = turn::alone().await;
    let origin = Origin::start(|seen| {
        lasting(format!("{} {}", seen.path(), "p".repeat(2_000))).header("etag", "\"1\"").after(UPSTREAM)
    })
    .await;
    let mut fleet = Fleet::start(4, &origin, &json!({})).await;
    let timed = |name: &str, answers: &[Answer]| {
        let [half, most] = [0.5, 0.99].map(|share| percentile(answers.iter().map(|a| a.latency), share));
        eprintln!("{name}: {} answers, p50 {half:?}, p99 {most:?}", answers.len());
    };

    let answers = wave_over(&fleet.addresses(), EACH, &Request::get("/up")).await;
    timed("four Envoys", &answers);
    assert_eq!(origin.total(), 1);
    assert_all(&answers, 200, &answers[0].text());
    assert!(answers[0].text().starts_with("/up "));
    fleet.given_back().await;

    origin.forget();
    fleet.redis.kill();
    let answers = wave_over(&fleet.addresses(), EACH, &Request::get("/down")).await;
    timed("four Envoys without Redis", &answers);
    assert_all(&answers, 200, &answers[0].text());
    assert!(answers[0].text().starts_with("/down "));
    assert!((1..=4).contains(&origin.total()), "{}", origin.total());
    assert_no_vm_failed(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_envoy_that_leads_dies_one_of_the_others_takes_over_as_its_lease_ends() {
    const LEASE: Duration = Duration::from_secs(1);
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    // The second fetch waits too, so that a third would be seen.
    let origin = Origin::start(move |_| lasting("page").head(Hold::At(held.clone()))).await;
    let mut fleet = Fleet::start(4, &origin, &json!({"defaults": {"coalesce": {"lease": "1s"}}})).await;
    let page = Request::get("/page");

    let _leader = leader(&fleet.envoys[0], &origin, &page).await;
    let waiters = fleet.waiters_elsewhere(&page).await;
    assert_eq!(origin.total(), 1);
    let died = Instant::now();
    fleet.envoys.remove(0).kill();
    origin.until("another Envoy asks", |o| o.total() == 2).await;
    eprintln!("another Envoy asks {:?} after the first died; lease {LEASE:?}", died.elapsed());
    assert!(died.elapsed() < LEASE + SLACK);
    gate.open();
    let answers = waiters.answers().await;
    assert_eq!(answers.len(), 3 * WAITERS);
    assert_all(&answers, 200, "page");
    assert_eq!(origin.total(), 2);
    fleet.given_back().await;
    assert_no_vm_failed(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_for_its_own_client_releases_the_waiters_of_all_envoys_to_go_at_the_same_time() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| {
        let whose = seen.head.combined("cookie");
        let reply = Reply::ok(whose).header("cache-control", "private, max-age=60");
        // No other answer begins before all who waited ask: who waited for another of them would wait in vain.
        reply.head(if seen.earlier == 0 { Hold::At(held.clone()) } else { Hold::InFlight(3 * WAITERS) })
    })
    .await;
    let fleet = Fleet::start(3, &origin, &json!({})).await;
    let own = |n: usize| Request::get("/page").header("cookie", format!("user={n}"));

    let mut leader = leader(&fleet.envoys[0], &origin, &own(3 * WAITERS)).await;
    let waiters = fleet.waiters_of(own).await;
    assert_eq!(origin.total(), 1);
    let opened = Instant::now();
    gate.open();
    assert_eq!(leader.answer().await.unwrap().text(), format!("user={}", 3 * WAITERS));
    let mut whose: Vec<String> = waiters.answers().await.iter().map(Answer::text).collect();
    eprintln!("released and answered after {:?}", opened.elapsed());
    assert!(opened.elapsed() < SLACK, "{:?}", opened.elapsed());
    let mut each: Vec<String> = (0..3 * WAITERS).map(|n| format!("user={n}")).collect();
    whose.sort();
    each.sort();
    assert_eq!(whose, each);
    assert_eq!(origin.total(), 1 + 3 * WAITERS);
    fleet.given_back().await;
    assert_no_vm_failed(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_kept_is_shared_over_the_fleet_all_the_same() {
    /// Its name, the status, at most so many fetches, and what they bring.
    type Case = (&'static str, u16, usize, fn() -> Reply);
    /// How long a fetch takes after the first.
    const AGAIN: Duration = Duration::from_millis(200);
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| Reply::ok("")).await;
    let fleet = Fleet::start(3, &origin, &json!({})).await;
    // What failed may have failed by chance: all of them together ask once more.
    let cases: [Case; 4] = [
        ("without a lifetime", 200, 1, || Reply::ok("page").header("cache-control", "max-age=0")),
        ("without a word on it", 200, 1, || Reply::ok("page")),
        ("a failure", 503, 2, || Reply::with(503, "page")),
        ("no answer", 503, 2, || Reply::ok("page").cut(Cut::BeforeHead)),
    ];
    for (place, (name, status, fetches, reply)) in cases.into_iter().enumerate() {
        let gate = Gate::new();
        let held = gate.clone();
        origin.forget();
        origin.answer(move |seen| {
            reply().head(if seen.earlier == 0 { Hold::At(held.clone()) } else { Hold::For(AGAIN) })
        });
        let page = Request::get(format!("/{place}"));
        let mut leader = leader(&fleet.envoys[0], &origin, &page).await;
        let waiters = fleet.waiters(&page).await;
        let opened = Instant::now();
        gate.open();
        assert_eq!(leader.answer().await.unwrap().status, status, "{name}");
        let answers = waiters.answers().await;
        eprintln!("{name}: {} fetches, all answered after {:?}", origin.total(), opened.elapsed());
        assert!(opened.elapsed() < SLACK, "{name}: {:?}", opened.elapsed());
        assert!(answers.iter().all(|answer| answer.status == status), "{name}");
        assert!(status != 200 || answers.iter().all(|answer| answer.text() == "page"), "{name}");
        assert!((1..=fetches).contains(&origin.total()), "{name}: {}", origin.total());
        fleet.given_back().await;
    }
    eventually("what was left for those who waited goes", async || fleet.redis.keys().await.is_empty()).await;
    assert_no_vm_failed(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_after_an_answer_without_a_lifetime_has_come_gets_another() {
    later_ones_get_another(|body| Reply::ok(body).header("cache-control", "max-age=0")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_after_a_failure_is_told_of_another() {
    later_ones_get_another(|body| Reply::with(503, body)).await;
}

async fn later_ones_get_another(reply: fn(String) -> Reply) {
    const CLIENTS: usize = 16;
    const TIMES: usize = 40;
    let _turn = turn::shared().await;
    let origin = Origin::start(move |seen| reply(format!("fetch {}", seen.earlier))).await;
    // It would see failures as one.
    let plugin = json!({"defaults": {"breaker": {"enabled": false}}});
    let fleet = Fleet::start(2, &origin, &plugin).await;
    let (here, there) = (fleet.envoys[0].address(), fleet.envoys[1].address());
    for (name, addresses) in [("the same Envoy", [here, here]), ("another Envoy", [here, there])] {
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            // Each has a page of its own, so nobody else asks meanwhile.
            let page = Request::get(format!("/{client}?{}", name.len()));
            clients.spawn(async move {
                let mut old = 0;
                for (time, address) in (0..TIMES).zip(addresses.iter().cycle()) {
                    old += usize::from(send(*address, &page).await.text() != format!("fetch {}", time - old));
                }
                old
            });
        }
        let old: usize = clients.join_all().await.iter().sum();
        assert_eq!(old, 0, "of {} asked of {name}", CLIENTS * TIMES);
    }
    assert_no_vm_failed(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_s_client_leaves_the_fleet_does_not_wait_for_its_lease_to_end() {
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let origin = Origin::start(numbered(&gate)).await;
    let fleet = Fleet::start(3, &origin, &json!({})).await;
    for (path, others_at_its_envoy) in [("/some", true), ("/none", false)] {
        origin.forget();
        let page = Request::get(path);
        let leader = leader(&fleet.envoys[0], &origin, &page).await;
        let waiters = if others_at_its_envoy {
            fleet.waiters(&page).await
        } else {
            fleet.waiters_elsewhere(&page).await
        };
        let left = Instant::now();
        drop(leader);
        assert_all(&waiters.answers().await, 200, "fetch 1");
        eprintln!("{path}: all answered {:?} after the leader's client left", left.elapsed());
        assert!(left.elapsed() < SLACK, "{:?}", left.elapsed());
        assert_eq!((origin.total(), origin.abandoned()), (2, 1), "{path}");
        fleet.given_back().await;
    }
    assert_no_vm_failed(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_longer_than_its_lease_is_one_still() {
    const LEASE: Duration = Duration::from_millis(1_000);
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| lasting("page").after(LEASE * 3)).await;
    let patch = json!({"defaults": {"coalesce": {"lease": "1s", "wait_timeout": "30s"}}});
    let fleet = Fleet::start(2, &origin, &patch).await;
    let page = Request::get("/page");
    let mut leader = leader(&fleet.envoys[0], &origin, &page).await;
    let waiters = fleet.waiters(&page).await;
    let first = leader.answer().await.unwrap();
    assert!(first.latency >= LEASE * 3);
    assert_all(&[first], 200, "page");
    assert_all(&waiters.answers().await, 200, "page");
    assert_eq!(origin.total(), 1);
    fleet.given_back().await;
    assert_no_vm_failed(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_redis_stands_still_or_forgets_amid_a_wave_all_are_answered() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| Reply::ok("")).await;
    let mut fleet = Fleet::start(3, &origin, &json!({"l2": {"timeout": "300ms"}})).await;
    for forgets in [true, false] {
        let gate = Gate::new();
        let held = gate.clone();
        origin.forget();
        origin.answer(move |_| lasting("page").head(Hold::At(held.clone())));
        let page = Request::get(format!("/{forgets}"));
        let mut leader = leader(&fleet.envoys[0], &origin, &page).await;
        let waiters = fleet.waiters(&page).await;
        if forgets {
            fleet.redis.flush().await;
        } else {
            fleet.redis.freeze();
        }
        // Each Envoy still has one flight.
        origin.until("another Envoy asks", |o| o.total() > 1).await;
        let opened = Instant::now();
        gate.open();
        assert_all(&[leader.answer().await.unwrap()], 200, "page");
        assert_all(&waiters.answers().await, 200, "page");
        eprintln!("forgets {forgets}: {} fetches, answered after {:?}", origin.total(), opened.elapsed());
        assert!(opened.elapsed() < SLACK, "{:?}", opened.elapsed());
        assert!(origin.total() <= if forgets { 2 } else { 3 }, "{}", origin.total());
        if !forgets {
            fleet.redis.thaw();
        }
        fleet.given_back().await;
    }
    assert_no_vm_failed(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_write_nobody_there_gets_what_was_fetched_for_the_fleet_before() {
    const L1: Duration = Duration::from_millis(50);
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let (held, writes) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    let origin = Origin::start(move |seen| {
        if seen.method() == "POST" {
            return Reply::ok(format!("{}", writes.fetch_add(1, Ordering::SeqCst)));
        }
        let reply = lasting(format!("after {} writes", writes.load(Ordering::SeqCst)));
        if seen.head.field("x-first").is_some() { reply.head(Hold::At(held.clone())) } else { reply }
    })
    .await;
    let fleet = Fleet::start(2, &origin, &json!({"l1": {"ttl": "50ms"}})).await;
    let page = Request::get("/page");

    let mut before = leader(&fleet.envoys[0], &origin, &page.clone().header("x-first", "1")).await;
    let waiters = fleet.waiters(&page).await;
    let there = fleet.envoys[1].address();
    assert_eq!(send(there, &Request::new("POST", "/page")).await.status, 200);
    assert_all(&[send(there, &page).await], 200, "after 1 writes");
    gate.open();
    assert_all(&[before.answer().await.unwrap()], 200, "after 0 writes");
    // Those who waited had asked before.
    assert!(waiters.answers().await.iter().all(|answer| answer.status == 200));
    fleet.given_back().await;
    // From L1, and from Redis when that has let go of it, many times over.
    let until = Instant::now() + L1 * 10;
    let mut asked = 0;
    while Instant::now() < until {
        assert_all(&[send(there, &page).await], 200, "after 1 writes");
        asked += 1;
    }
    assert!(asked > 10, "{asked}");
    assert_no_vm_failed(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_fetch_brought_is_seen_on_other_envoys_a_moment_later() {
    let _turn = turn::alone().await;
    let origin = Origin::start(|_| Reply::ok("")).await;
    let fleet = Fleet::start(3, &origin, &json!({})).await;
    for lifetime in ["max-age=60", "max-age=0"] {
        for (round, takes) in [50, 200, 200, 200, 1_000].into_iter().enumerate() {
            let takes = Duration::from_millis(takes);
            origin.forget();
            origin.answer(move |_| Reply::ok("page").header("cache-control", lifetime).after(takes));
            let page = Request::get(format!("/{lifetime}/{round}"));
            let answers = wave_over(&fleet.addresses(), WAITERS, &page).await;
            assert_all(&answers, 200, "page");
            assert_eq!(origin.total(), 1);
            let late = lateness(&answers);
            let [half, most] = [0.5, 1.0].map(|share| percentile(late.iter().copied(), share));
            eprintln!("{lifetime}, a fetch of {takes:?}: elsewhere p50 {half:?}, at most {most:?} later");
            assert!(most < takes / 4 + MOMENT, "{most:?}");
        }
    }
    fleet.given_back().await;
    assert_no_vm_failed(&fleet).await;
}

/// What comes on top of a part of what the fetch took.
const MOMENT: Duration = Duration::from_millis(100);

/// How much later than the first answer of all, on the Envoy that led, those on the other Envoys came.
fn lateness(answers: &[Answer]) -> Vec<Duration> {
    let firsts = answers.chunks(WAITERS).filter_map(|here| here.iter().map(|answer| answer.ended).min());
    let Some((led, first)) = firsts.enumerate().min_by_key(|(_, first)| *first) else { return Vec::new() };
    let elsewhere = answers.chunks(WAITERS).enumerate().filter(|(place, _)| *place != led);
    elsewhere.flat_map(|(_, there)| there.iter().map(|answer| answer.ended - first)).collect()
}
