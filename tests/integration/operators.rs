//! What operators see and say at run time, under `admin.path`.

use crate::support::circuit::{ends, get, page};
use crate::support::client::{Answer, Client, Request, send};
use crate::support::crowd::{active, by_worker};
use crate::support::envoy::Envoy;
use crate::support::origin::Origin;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::{eventually, percentile, ports, root, turn};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

fn is_forced(answer: &Answer) -> bool {
    answer.status == 503 && ends(answer, "breaker-forced")
}

/// Whether each of these, asked for a page that nobody keeps, has it so.
async fn all(clients: &mut [Client], is_so: impl Fn(&Answer) -> bool) -> bool {
    let mut so = true;
    for client in clients {
        so &= is_so(&client.send(&Request::get("/x")).await.unwrap());
    }
    so
}

/// What the worker that answers says of its only circuit.
async fn shown(client: &mut Client) -> Value {
    let answer = client.send(&Request::get("/.breakwater/breaker")).await.unwrap();
    assert_eq!((answer.status, answer.header("content-type").as_str()), (200, "application/json"));
    let document: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(document["circuits"].as_array().map(Vec::len), Some(1), "{document}");
    document["circuits"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_what_a_circuit_is_and_why() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("good", "no-store")).await;
    let breaker = json!({"defaults": {"breaker": {"consecutive_failures": 5, "open_for": "8m", "max_open_for": "10m"}}});
    let recipe = Recipe::shipped().origin(origin.address()).plugin(&breaker).workers(1);
    let envoy = recipe.start().await;
    let mut client = Client::connect(envoy.address()).await.unwrap();
    for number in 0..2 {
        client.send(&Request::get(format!("/{number}"))).await.unwrap();
    }
    origin.answer(|_| Reply::with(500, "bad"));
    for number in 2..6 {
        client.send(&Request::get(format!("/{number}"))).await.unwrap();
    }
    let closed = shown(&mut client).await;
    assert_eq!((&closed["rule"], &closed["circuit"]), (&json!("default"), &json!("default to origin")));
    assert_eq!((&closed["state"], &closed["cause"]), (&json!("closed"), &Value::Null), "{closed}");
    assert_eq!(closed["window"], json!({"calls": 6, "failures": 4, "slow": 0}));
    client.send(&Request::get("/6")).await.unwrap();
    let open = shown(&mut client).await;
    assert_eq!((&open["state"], &open["cause"]), (&json!("open"), &json!("consecutive-failures")), "{open}");
    assert_eq!((&open["decided_by"], &open["transitions"]), (&json!("auto"), &json!(1)));
    let left = open["half_open_in_ms"].as_u64().unwrap();
    assert!((300_000..=600_000).contains(&left), "eight minutes, spread: {left}");
    assert_eq!(origin.total(), 7, "whoever looks is not sent on");
}

/// Sends a command; the status and what it says.
async fn command(envoy: &Envoy, body: &Value) -> (u16, Value) {
    let request = Request::new("POST", "/.breakwater/breaker").body(body.to_string());
    let answer = send(envoy.address(), &request).await;
    (answer.status, serde_json::from_str(&answer.text()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_decides_for_all_workers_within_a_tick_or_two() {
    let _turn = turn::alone().await;
    let origin = Origin::start(|_| page("page", "no-store")).await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let mut clients: Vec<Client> = by_worker(&envoy, 1).await.into_iter().flatten().collect();
    let mut took = Vec::new();
    for state in ["open", "auto"].repeat(8) {
        let (status, said) = command(&envoy, &json!({"rule": "default", "state": state, "for": "1h"})).await;
        assert_eq!(
            (status, &said["state"], &said["for_ms"]),
            (200, &json!(state), &json!(3_600_000)),
            "{said}"
        );
        let since = Instant::now();
        eventually(state, async || all(&mut clients, |answer| is_forced(answer) == (state == "open")).await)
            .await;
        took.push(since.elapsed());
    }
    let [half, most] = [0.5, 1.0].map(|share| percentile(took.iter().copied(), share));
    eprintln!("all workers heed a command after {half:?} at the median, {most:?} at most, of {}", took.len());
    // Two ticks, and what it takes to ask.
    assert!(half < Duration::from_millis(60), "{took:?}");
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_has_said_ends_by_itself_when_its_time_is_over() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("page", "no-store")).await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let mut clients: Vec<Client> = by_worker(&envoy, 1).await.into_iter().flatten().collect();
    let since = Instant::now();
    assert_eq!(command(&envoy, &json!({"rule": "default", "state": "open", "for": "2s"})).await.0, 200);
    eventually("all are refused", async || all(&mut clients, is_forced).await).await;
    let circuit = shown(&mut clients[0]).await;
    // What the circuit itself is stays to be seen.
    assert_eq!((&circuit["state"], &circuit["decided_by"]), (&json!("closed"), &json!("open")), "{circuit}");
    let refused = clients[1].send(&Request::get("/x")).await.unwrap();
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&seconds), "no longer than that: {seconds}");
    eventually("its time is over", async || all(&mut clients, |answer| answer.status == 200).await).await;
    let lasted = since.elapsed();
    assert!(lasted >= Duration::from_secs(2), "{lasted:?}");
    assert_eq!(shown(&mut clients[0]).await["decided_by"], "auto");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_stands_in_for_an_upstream_that_an_operator_has_taken_away() {
    const BEGUN: &str = "wasmcustom.breakwater.refreshes.begun";
    let _turn = turn::shared().await;
    let lifetime = |path: &str| match path {
        "/fresh" => "max-age=600",
        "/old" => "max-age=1, stale-if-error=600",
        "/older" => "max-age=0, stale-while-revalidate=600",
        _ => "no-store",
    };
    let origin = Origin::start(move |seen| {
        // What is stale on arrival is kept if it can be validated.
        page(seen.path(), lifetime(seen.path())).header("etag", "\"1\"")
    })
    .await;
    // In memory alone, for Redis is away.
    let recipe = Recipe::shipped().plugin(&json!({"l1": {"ttl": "5m"}}));
    let envoy = recipe.origin(origin.address()).start().await;
    let mut clients: Vec<Client> = by_worker(&envoy, 1).await.into_iter().flatten().collect();
    let paths = ["/fresh", "/old", "/older"];
    for path in paths {
        assert_eq!(get(&envoy, path).await.text(), path);
    }
    assert_eq!(command(&envoy, &json!({"rule": "default", "state": "open", "for": "1h"})).await.0, 200);
    eventually("all workers heed it", async || all(&mut clients, is_forced).await).await;
    origin.until("what was under way has come", |origin| origin.in_flight() == 0).await;
    let (reached, begun) = (origin.total(), envoy.stat(BEGUN).await);
    eventually("the old one is stale", async || {
        for path in paths {
            let answer = get(&envoy, path).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, path));
        }
        ends(&get(&envoy, "/old").await, "breaker-forced")
    })
    .await;
    assert_eq!(origin.total(), reached, "not in the background either");
    assert_eq!(envoy.stat(BEGUN).await, begun, "which is not tried in vain");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_command_is_told_what_is_wrong_and_changes_nothing() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("page", "max-age=600")).await;
    let redis = Redis::start().await;
    let envoy = Recipe::shipped().origin(origin.address()).patient_redis(redis.address()).start().await;
    let (status, said) = command(&envoy, &json!({"rule": "default", "state": "opne", "until": 1})).await;
    assert_eq!((status, said["errors"].as_array().map(Vec::len)), (400, Some(2)), "{said}");
    let (status, said) = command(&envoy, &json!({"state": "open"})).await;
    let errors = said["errors"].to_string();
    assert!(status == 400 && errors.contains("rule: ") && errors.contains("for: "), "{said}");
    assert_eq!(command(&envoy, &Value::Null).await.0, 400, "no object");
    let empty = send(envoy.address(), &Request::new("POST", "/.breakwater/breaker")).await;
    assert_eq!(empty.status, 400, "nothing at all");
    let (status, said) = command(&envoy, &json!({"rule": "nobody", "state": "auto"})).await;
    assert_eq!((status, &said["rules"]), (404, &json!(["chat-history", "default"])));
    // At the limit it is read, and found wanting; one byte more is not.
    let padded = |length: usize| format!("{{{}}}", " ".repeat(length - 2));
    for (length, status) in [(4_096, 400), (4_097, 413), (1_000_000, 413)] {
        let request = Request::new("POST", "/.breakwater/breaker").body(padded(length));
        assert_eq!(send(envoy.address(), &request).await.status, status, "{length} bytes");
    }
    for (method, path, status, allow) in [
        ("PUT", "breaker", 405, "GET, POST"),
        ("DELETE", "breaker?x", 405, "GET, POST"),
        ("GET", "breaker?x", 200, ""),
        ("GET", "nothing", 404, ""),
        ("POST", "breaker/more", 404, ""),
        ("GET", "", 404, ""),
    ] {
        for _ in 0..2 {
            let answer = send(envoy.address(), &Request::new(method, format!("/.breakwater/{path}"))).await;
            let got = (answer.status, answer.header("allow"), answer.header("cache-control"));
            assert_eq!(got, (status, allow.into(), "no-store".into()), "{method} {path}");
            assert_eq!(answer.header("cache-status"), "", "neither hit nor miss");
        }
    }
    assert_eq!(origin.total(), 0, "nothing of it is sent on");
    assert_eq!(redis.keys().await, [""; 0], "nor kept");
    assert_eq!(envoy.stats("wasmcustom.breakwater.requests").await.values().sum::<u64>(), 0, "nor counted");
    assert_eq!(get(&envoy, "/page").await.text(), "page");
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_admin_path_it_is_a_path_as_any_other() {
    let _turn = turn::shared().await;
    let origin =
        Origin::start(|seen| page(&format!("{} {:?}", seen.method(), seen.body), "max-age=600")).await;
    let envoy = Recipe::minimal().origin(origin.address()).start().await;
    for _ in 0..2 {
        assert_eq!(get(&envoy, "/.breakwater/breaker").await.text(), "GET []");
    }
    assert_eq!(origin.total(), 1, "kept as any other");
    let post = Request::new("POST", "/.breakwater/breaker").body("{}");
    assert_eq!(send(envoy.address(), &post).await.text(), "POST [123, 125]");
}

/// The head of a command whose body comes in chunks.
const CHUNKED: &str =
    "POST /.breakwater/breaker HTTP/1.1\r\nhost: wall.test\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(piece: &str) -> String {
    format!("{:x}\r\n{piece}\r\n", piece.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_may_come_in_pieces_and_late() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("page", "no-store")).await;
    let envoy = Recipe::shipped().origin(origin.address()).with_trailers().start().await;
    let said = r#"{"rule": "default", "state": "open", "for": "1h"}"#;
    let (first, rest) = said.split_at(20);
    for end in ["0\r\n\r\n", "0\r\nx-last: 1\r\n\r\n"] {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        client.begin_raw(CHUNKED.as_bytes()).await.unwrap();
        // Each piece is one for the plugin too: Envoy has read it before the next goes out.
        for piece in [first, rest] {
            let before = received(&envoy).await;
            client.begin_raw(chunk(piece).as_bytes()).await.unwrap();
            eventually("the piece is in Envoy", async || received(&envoy).await > before).await;
            assert_eq!(get(&envoy, "/x").await.status, 200, "half a command is none");
        }
        client.begin_raw(end.as_bytes()).await.unwrap();
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 200, "{end:?}: {}", answer.text());
        eventually("it is heeded", async || is_forced(&get(&envoy, "/x").await)).await;
        assert_eq!(command(&envoy, &json!({"rule": "default", "state": "auto"})).await.0, 200);
        eventually("it is taken back", async || get(&envoy, "/x").await.status == 200).await;
    }
    // Too much, in pieces of which none is.
    let mut client = Client::connect(envoy.address()).await.unwrap();
    client.begin_raw(CHUNKED.as_bytes()).await.unwrap();
    for _ in 0..5 {
        client.begin_raw(chunk(&" ".repeat(1_000)).as_bytes()).await.unwrap();
    }
    assert_eq!(client.answer().await.unwrap().status, 413);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_never_end_keep_others_out_only_while_they_are_there() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| page("page", "no-store")).await;
    let envoy = Recipe::shipped().origin(origin.address()).workers(1).start().await;
    let mut endless = Vec::new();
    for _ in 0..16 {
        let mut client = Client::connect(envoy.address()).await.unwrap();
        client.begin_raw(CHUNKED.as_bytes()).await.unwrap();
        endless.push(client);
    }
    eventually("all are in Envoy", async || active(&envoy).await == 16).await;
    let auto = json!({"rule": "default", "state": "auto"});
    eventually("there is no more room", async || command(&envoy, &auto).await.0 == 429).await;
    assert_eq!(get(&envoy, "/.breakwater/breaker").await.status, 200, "to look takes no room");
    assert_eq!(get(&envoy, "/x").await.status, 200);
    drop(endless);
    eventually("there is room again", async || command(&envoy, &auto).await.0 == 200).await;
}

/// Bytes that clients have sent.
async fn received(envoy: &Envoy) -> u64 {
    envoy.stat("http.edge.downstream_cx_rx_bytes_total").await
}

/// The shipped configuration, as one sees it who comes from elsewhere: the address that is let in is another.
fn seen_from_elsewhere() -> Recipe {
    let text = std::fs::read_to_string(root().join("envoy/envoy.yaml")).unwrap();
    let elsewhere = text.replace("address_prefix: 127.0.0.0", "address_prefix: 10.0.0.0");
    assert_ne!(text, elsewhere);
    Recipe::from_yaml(&elsewhere).redis(ports::unused()).traces(ports::unused())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_endpoint_is_locked_for_outsiders_however_they_spell_it() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| page(seen.path(), "max-age=600")).await;
    let envoy = seen_from_elsewhere().origin(origin.address()).start().await;
    for path in ["breaker", "breaker?x", "", "nothing", "x/../breaker"] {
        let path = format!("/.breakwater/{path}");
        for method in ["GET", "POST", "PUT", "HEAD"] {
            let request = Request::new(method, path.clone()).header("x-forwarded-for", "127.0.0.1");
            assert_eq!(send(envoy.address(), &request).await.status, 403, "{method} {path}");
        }
    }
    for path in [
        "/./.breakwater/breaker",
        "/x/../.breakwater/breaker",
        "/%2ebreakwater/breaker",
        "/.break%77ater/breaker",
        "http://wall.test/.breakwater/breaker",
    ] {
        assert_eq!(get(&envoy, path).await.status, 403, "{path}");
    }
    assert_eq!(origin.total(), 0);
    // What is not the same path is none of the plugin's either.
    for path in ["//.breakwater/breaker", "/.Breakwater/breaker", "/x/.breakwater/breaker"] {
        assert_eq!(get(&envoy, path).await.text(), path);
    }
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lock_lets_the_plugins_own_requests_through() {
    let _turn = turn::shared().await;
    let origin = Origin::start(|seen| {
        let lifetime =
            if seen.earlier == 0 { "max-age=0, stale-while-revalidate=600" } else { "max-age=600" };
        page(&seen.earlier.to_string(), lifetime).header("etag", format!("\"{}\"", seen.earlier))
    })
    .await;
    let recipe = seen_from_elsewhere().plugin(&json!({"l1": {"ttl": "5m"}}));
    let envoy = recipe.origin(origin.address()).start().await;
    assert_eq!(get(&envoy, "/page").await.text(), "0");
    eventually("it is refreshed in the background", async || {
        let answer = get(&envoy, "/page").await;
        assert!(answer.told().hit, "no client waits: {:?}", answer.head);
        answer.text() == "1"
    })
    .await;
    assert_eq!(origin.hits("/page"), 2);
    assert!(envoy.stat("http.loop.downstream_rq_2xx").await >= 1, "it came by the way from inside");
    // Nor does that way lead to the endpoint: there is no address there that could be let in.
    assert_eq!(envoy.stat("http.loop.downstream_rq_4xx").await, 0);
    assert_eq!(envoy.vm_failures().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cause_of_a_transition_is_a_label_for_prometheus() {
    const RULE: &str = r#"rule="default""#;
    const CAUSE: &str = r#"cause="consecutive-failures""#;
    let _turn = turn::shared().await;
    let origin = Origin::start(|_| Reply::with(500, "bad")).await;
    let envoy = Recipe::shipped().origin(origin.address()).start().await;
    let mut asked = 0;
    eventually("it opens", async || {
        asked += 1;
        ends(&get(&envoy, format!("/{asked}")).await, "breaker-open")
    })
    .await;
    eventually("Prometheus sees it", async || {
        let text = envoy.ask("/stats/prometheus?filter=transitions").await.text();
        let of_rule = |line: &&str| line.starts_with("breakwater_transitions{") && line.contains(RULE);
        let made = text.lines().filter(of_rule).filter(|line| !line.ends_with(" 0"));
        made.collect::<Vec<_>>() == [format!("breakwater_transitions{{{RULE},{CAUSE}}} 1")]
    })
    .await;
}
