//! Clients that go away or do not read, and an upstream that drips: what it means for those who wait beside them.

use crate::support::client::{Client, Request, send, wave, wave_of};
use crate::support::crowd::{WAITERS, active, leader, waiters};
use crate::support::envoy::Envoy;
use crate::support::fleet::Fleet;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::reply::{Hold, Reply};
use crate::support::{eventually, percentile, turn};
use breakwater::host::sim::Rng;
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use tokio::task::JoinSet;

/// A tick, and what a machine with other work needs on top.
const SLACK: Duration = Duration::from_secs(2);

// Clients go

const AT_ONCE: usize = 10;
const CLIENTS: usize = 20;
/// How long a fetch takes: to its head, and again to its body.
const HALF: Duration = Duration::from_millis(10);

/// What one client of a round does: it leaves after this time, or it stays.
type Leaves = Option<Duration>;

/// A page long enough to be seen when it is not whole, in each of the ways in which answers come.
fn page(round: usize) -> Reply {
    let lifetime = if is_kept(round) { "max-age=60" } else { "max-age=0" };
    let reply = Reply::ok(text(round)).header("cache-control", lifetime);
    let reply = if round % 4 >= 2 { reply.chunked() } else { reply };
    reply.after(HALF).then(Hold::For(HALF))
}

fn text(round: usize) -> String {
    format!("page {round}. ").repeat(1_000)
}

/// Half of them are shared and not kept.
fn is_kept(round: usize) -> bool {
    round.is_multiple_of(2)
}

fn request(round: usize) -> Request {
    Request::get(format!("/{round}"))
}

/// The upstream of the rounds.
async fn origin_of_rounds() -> Origin {
    Origin::start(|seen| page(seen.path()[1..].parse().expect("a round's number"))).await
}

/// Rounds as chance has them. The seed is told, and may be given.
fn rounds(count: usize) -> Vec<Vec<Leaves>> {
    let seed = std::env::var("BREAKWATER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        let since = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        u64::from(since.subsec_nanos())
    });
    eprintln!("BREAKWATER_SEED={seed}");
    let mut rng = Rng::new(seed);
    let mut leaves = || rng.chance(300).then(|| rng.duration(Duration::ZERO, HALF * 3));
    (0..count).map(|_| (0..CLIENTS).map(|_| leaves()).collect()).collect()
}

/// Plays them, some at a time, at each address in turn; whoever stays gets its page.
async fn play(rounds: &[Vec<Leaves>], addresses: &[SocketAddr]) {
    for (at_once, first) in rounds.chunks(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
        let mut clients = JoinSet::new();
        for (round, all) in (first..).zip(at_once) {
            for (leaves, address) in all.iter().zip(addresses.iter().cycle()) {
                clients.spawn(client(*address, round, *leaves));
            }
        }
        clients.join_all().await;
    }
}

async fn client(address: SocketAddr, round: usize, leaves: Leaves) {
    let mut client = Client::connect(address).await.expect("a connection");
    client.begin(&request(round)).await.expect("a request");
    match leaves {
        Some(after) => tokio::time::sleep(after).await,
        None => {
            let answer = client.answer().await.expect("a whole answer");
            assert_eq!((answer.status, answer.text() == text(round)), (200, true), "{:?}", answer.head);
            assert!(answer.latency < SLACK, "nobody waits for those who left: {:?}", answer.latency);
        }
    }
}

/// Nothing is under way any more; and no page was fetched more often than leaders may have left.
async fn assert_over(rounds: &[Vec<Leaves>], envoys: &[&Envoy], origin: &Origin) {
    for envoy in envoys {
        eventually("no request is left in Envoy", async || active(envoy).await == 0).await;
        assert_eq!(envoy.vm_failures().await, 0, "{}", envoy.log());
    }
    origin.until("no request is left at the upstream", |o| o.in_flight() == 0).await;
    let leavers = rounds.iter().flatten().flatten().count();
    let mut led_anew = 0;
    for (round, all) in rounds.iter().enumerate().filter(|(round, _)| is_kept(*round)) {
        let most = 1 + all.iter().flatten().count();
        let fetches = origin.hits(&format!("/{round}"));
        assert!((1..=most).contains(&fetches), "round {round}: {fetches} fetches, at most {most}");
        led_anew += fetches - 1;
    }
    eprintln!(
        "{} rounds: {leavers} leavers; {led_anew} fetches in the place of one that was lost",
        rounds.len()
    );
    assert!(led_anew > 0, "some of those who left have led");
}

/// Each page once more, at once: where a flight were left over, its request would wait for it.
async fn assert_nothing_stands(rounds: usize, envoy: &Envoy, origin: &Origin) {
    origin.forget();
    let answers = wave_of(envoy.address(), (0..rounds).map(request).collect()).await;
    for (round, answer) in answers.iter().enumerate() {
        assert_eq!((answer.status, answer.text() == text(round)), (200, true), "{:?}", answer.head);
        assert_eq!(origin.hits(&format!("/{round}")), usize::from(!is_kept(round)), "round {round}");
    }
    let slowest = percentile(answers.iter().map(|answer| answer.latency), 1.0);
    assert!(slowest < SLACK, "nobody waits for a flight that is over: {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_at_whatever_moment_the_others_get_the_page_and_nothing_is_left() {
    const ROUNDS: usize = 200;
    let _turn = turn::shared().await;
    let rounds = rounds(ROUNDS);
    let origin = origin_of_rounds().await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    play(&rounds, &[envoy.address()]).await;
    assert_over(&rounds, &[&envoy], &origin).await;
    assert_nothing_stands(ROUNDS, &envoy, &origin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_a_fleet_at_whatever_moment_the_others_get_the_page_and_no_lease_is_left() {
    const ROUNDS: usize = 100;
    let _turn = turn::shared().await;
    let rounds = rounds(ROUNDS);
    let origin = origin_of_rounds().await;
    let fleet = Fleet::start(2, &origin, &json!({})).await;
    play(&rounds, &fleet.addresses()).await;
    fleet.given_back().await;
    assert_over(&rounds, &fleet.envoys.iter().collect::<Vec<_>>(), &origin).await;
    for envoy in &fleet.envoys {
        assert_nothing_stands(ROUNDS, envoy, &origin).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_while_redis_is_asked_leave_no_lease() {
    const ROUNDS: usize = 300;
    let _turn = turn::shared().await;
    let origin = origin_of_rounds().await;
    let fleet = Fleet::start(1, &origin, &json!({})).await;
    let mut rng = Rng::new(1);
    let mut leaves = || Some(rng.duration(Duration::ZERO, HALF / 4));
    let rounds: Vec<Vec<Leaves>> = (0..ROUNDS).map(|_| (0..CLIENTS).map(|_| leaves()).collect()).collect();
    play(&rounds, &fleet.addresses()).await;
    eventually("no request is left in Envoy", async || active(&fleet.envoys[0]).await == 0).await;
    let asked = fleet.envoys[0].stat("cluster.breakwater_l2.upstream_rq_total").await;
    assert!(asked > 0, "somebody was in time to ask");
    fleet.given_back().await;
    assert_eq!(fleet.envoys[0].vm_failures().await, 0);
}

// Clients that do not read, and an upstream that drips

const WAIT: Duration = Duration::from_millis(300);

fn impatient() -> serde_json::Value {
    json!({"defaults": {"coalesce": {"wait_timeout": format!("{}ms", WAIT.as_millis())}}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_drips_keeps_nobody_longer_than_they_would_wait_and_none_of_it_is_shared() {
    const DROPS: &str = "drop by drop, and then the rest";
    let _turn = turn::shared().await;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| {
        let reply = |body: &str| Reply::ok(body).header("cache-control", "max-age=60");
        if seen.earlier > 0 {
            return reply(DROPS);
        }
        let drip = Hold::For(WAIT / 10);
        let drops = reply("drop ").later(drip.clone(), "by ").later(drip, "drop");
        drops.later(Hold::At(held.clone()), ", and then the rest")
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).plugin(&impatient()).start().await;

    let mut leader = leader(&envoy, &origin, &Request::get("/page")).await;
    let head = leader.head().await.unwrap();
    let answers = waiters(&envoy, &Request::get("/page")).await.join_all().await;
    for answer in &answers {
        assert_eq!((answer.status, answer.text().as_str()), (200, DROPS));
        assert!((WAIT..WAIT + SLACK).contains(&answer.latency), "{:?}", answer.latency);
    }
    assert_eq!(origin.total(), 1 + WAITERS);
    gate.open();
    assert_eq!(leader.rest(head).await.unwrap().text(), DROPS);
    assert_eq!(send(envoy.address(), &Request::get("/page")).await.text(), DROPS);
    assert_eq!(envoy.vm_failures().await, 0);
}

/// Large enough to fill buffers, small enough to be kept.
const LARGE: usize = 240 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_does_not_read_keeps_nobody_where_envoy_takes_the_page_in_for_it() {
    let _turn = turn::shared().await;
    let body = vec![b'l'; LARGE];
    let gate = Gate::new();
    let (sent, held) = (body.clone(), gate.clone());
    let origin = Origin::start(move |_| {
        Reply::ok(sent.clone()).header("cache-control", "max-age=60").head(Hold::At(held.clone()))
    })
    .await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;

    let mut idler = Client::connect_narrow(envoy.address()).await.unwrap();
    idler.begin(&Request::get("/large")).await.unwrap();
    origin.until("the leader's request arrives", |o| o.in_flight() == 1).await;
    let waiters = waiters(&envoy, &Request::get("/large")).await;
    gate.open();
    assert!(waiters.join_all().await.iter().all(|answer| answer.status == 200 && answer.body == body));
    assert_eq!(origin.total(), 1);
    assert_eq!(idler.answer().await.unwrap().body, body);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_does_not_read_keeps_nobody_longer_than_they_would_wait() {
    let _turn = turn::shared().await;
    let body = vec![b'l'; LARGE];
    let sent = body.clone();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        Reply::ok(sent.clone()).header("cache-control", "max-age=60").head(Hold::At(held.clone()))
    })
    .await;
    let recipe = Recipe::minimal().origin(origin.address()).plugin(&impatient()).buffers(16 << 10);
    let envoy = recipe.start().await;

    for leaves in [true, false] {
        origin.forget();
        let page = Request::get(format!("/large/{leaves}"));
        let mut idler = Client::connect_narrow(envoy.address()).await.unwrap();
        idler.begin(&page).await.unwrap();
        origin.until("the leader's request arrives", |o| o.total() == 1).await;
        let waiters = waiters(&envoy, &page).await;
        gate.open();
        let answers = waiters.join_all().await;
        for answer in &answers {
            assert_eq!((answer.status, answer.body == body), (200, true), "{:?}", answer.head);
            assert!((WAIT..WAIT + SLACK).contains(&answer.latency), "{:?}", answer.latency);
        }
        assert_eq!(origin.total(), 1 + WAITERS, "what the leader does not take stands still");
        if leaves {
            drop(idler);
        } else {
            assert_eq!(idler.answer().await.unwrap().body, body);
        }
        let after = wave(envoy.address(), WAITERS, &page).await;
        assert!(after.iter().all(|answer| answer.status == 200 && answer.body == body && answer.told().hit));
    }
    assert_eq!(envoy.vm_failures().await, 0);
}
