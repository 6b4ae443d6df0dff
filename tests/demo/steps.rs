//! The steps of the demo: what is done on both sides, what comes of it, and what must come of it with the plugin.

use crate::browser::{Ask, Reply, load, send, wave};
use crate::cascade;
use crate::chat::Chat;
use crate::house::House;
use crate::outcomes::Outcomes;
use crate::progress::Progress;
use crate::support::client::Answer;
use crate::support::envoy::Envoy;
use crate::table::{Measure, Row, millis, thousands};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// What the steps act upon.
pub struct Stage<'a> {
    chat: &'a Chat,
    without: SocketAddr,
    with: Option<[&'a Envoy; 2]>,
    progress: &'a Progress,
    /// What the plugin's answers said of themselves, per step.
    pub outcomes: Vec<Outcomes>,
}

impl<'a> Stage<'a> {
    /// Sets the stage in `house`.
    pub fn new(house: &'a House, progress: &'a Progress) -> Self {
        let with = house.with.as_ref().map(|([first, second], _)| [first, second]);
        Self { chat: &house.chat, without: house.without.address(), with, progress, outcomes: Vec::new() }
    }

    /// All steps in order.
    pub async fn play(&mut self) -> Vec<Row> {
        let mut rows = vec![
            self.one_page(0).await,
            self.one_page(1).await,
            self.two_users().await,
            self.new_message().await,
        ];
        rows.extend(self.failing_and_recovering().await);
        rows.extend(cascade::play(self.with.is_some(), |step, with| self.say(step, with)).await);
        rows
    }

    /// A thousand browsers refresh one page at the same moment; the second time through the other Envoy.
    async fn one_page(&mut self, envoy: usize) -> Row {
        let (name, step, few, rule) = match envoy {
            0 => (
                "1 wave",
                format!("{} refreshes of one page at the same moment", thousands(BROWSERS as u64)),
                1,
                "exactly one request to the upstream",
            ),
            _ => (
                "2 second Envoy",
                "the same again, through the second Envoy".to_owned(),
                0,
                "no request to the upstream",
            ),
        };
        let mut row = Row { step, ..Row::default() };
        let asks = vec![Ask::get("/rooms/lobby").refresh(); BROWSERS];
        self.say(name, false);
        row.without = Some(self.measured(self.without, &asks).await.0);
        let Some(with) = self.with else { return row };
        self.say(name, true);
        let (measure, replies) = self.measured(with[envoy].address(), &asks).await;
        row.expect(measure.upstream == few, rule);
        row.expect(measure.ok == measure.sent, "every answer a success");
        let bodies: BTreeSet<&[u8]> =
            replies.iter().filter_map(Reply::success).map(|answer| &answer.body[..]).collect();
        row.expect(bodies.len() == 1, "one and the same body for all");
        self.note_outcomes(name, &replies);
        row.with = Some(measure);
        row
    }

    /// Two users refresh their histories of the same room, mixed together.
    async fn two_users(&mut self) -> Row {
        let name = "3 two users";
        let step = format!("{HISTORIES} refreshes by each of two users of their own history");
        let mut row = Row { step, ..Row::default() };
        let asks: Vec<Ask> = (0..HISTORIES).flat_map(|_| USERS.map(|user| history(user).refresh())).collect();
        self.say(name, false);
        row.without = Some(self.measured(self.without, &asks).await.0);
        let Some(with) = self.with else { return row };
        self.say(name, true);
        let (measure, replies) = self.measured(with[0].address(), &asks).await;
        let crossed = replies.iter().filter_map(|reply| Some((reply, reply.success()?)));
        let crossed = crossed.filter(|(reply, answer)| !is_own(answer, reply)).count();
        for user in USERS {
            let own = replies.iter().filter(|reply| reply.ask.user == Some(user));
            if let Some(answer) = own.filter_map(Reply::success).next() {
                row.notes.push(format!("{user} reads {}", answer.text()));
            }
        }
        row.notes.push(format!("answers that showed another user's history: {crossed}"));
        row.expect(crossed == 0, "nobody sees another user's history");
        row.expect(measure.ok == measure.sent, "every answer a success");
        row.expect(measure.upstream <= 2, "at most one request to the upstream per user");
        self.note_outcomes(name, &replies);
        row.with = Some(measure);
        row
    }

    /// A user writes a message and refreshes at once.
    async fn new_message(&mut self) -> Row {
        let name = "4 new message";
        let step = format!("a message is posted, then {REFRESHES} refreshes at once");
        let mut row = Row { step, ..Row::default() };
        self.say(name, false);
        row.without = Some(self.posted(self.without, "written without Breakwater").await.0);
        let Some(with) = self.with else { return row };
        self.say(name, true);
        let text = "written with Breakwater";
        let (measure, replies) = self.posted(with[0].address(), text).await;
        let seen =
            replies.iter().filter_map(Reply::success).filter(|answer| answer.text().contains(text)).count();
        row.notes.push(format!("refreshes that showed the new message: {seen} of {}", replies.len()));
        row.expect(seen == replies.len(), "the new message in every refresh");
        row.expect(measure.ok == measure.sent, "every answer a success");
        self.note_outcomes(name, &replies);
        row.with = Some(measure);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) {
            let reply = send(with[1].address(), history(USERS[0]).refresh()).await;
            if reply.success().is_some_and(|answer| answer.text().contains(text)) {
                let after = millis(begin.elapsed());
                row.notes.push(format!("the second Envoy showed it {after} after the refreshes above"));
                return row;
            }
        }
        row.expect(false, "the new message through the second Envoy within 5 s");
        row
    }

    async fn posted(&self, to: SocketAddr, text: &str) -> (Measure, Vec<Reply>) {
        self.chat.reset();
        let post = send(to, Ask::post(&history(USERS[0]).path, text).by(USERS[0])).await;
        let replies = wave(to, &vec![history(USERS[0]).refresh(); REFRESHES]).await;
        let mut measure = measure(self.requests(), &replies);
        measure.sent += 1;
        measure.ok += usize::from(post.success().is_some());
        (measure, replies)
    }

    /// The upstream fails under a steady load, then heals under it.
    async fn failing_and_recovering(&mut self) -> [Row; 2] {
        let (fails, heals) = ("5 failing upstream", "6 recovery");
        let (seconds, rate) = (FAILING.as_secs(), 1_000 / EVERY.as_millis());
        let step = format!("the upstream fails; {seconds} s of load, {rate} requests/s");
        let mut failing = Row { step, ..Row::default() };
        let mut recovering =
            Row { step: "the upstream heals, under the same load".to_owned(), ..Row::default() };

        self.say(fails, false);
        self.warm_up(self.without).await;
        failing.without = Some(self.failed(self.without).await.0);
        self.say(heals, false);
        recovering.without = Some(self.healed(self.without, None).await.0);
        let Some([with, _]) = self.with else { return [failing, recovering] };

        self.say(fails, true);
        let warm = self.warm_up(with.address()).await;
        failing.expect(warm == ROOMS, "every page answered before the failure");
        let (measure, late, replies) = self.failed(with.address()).await;
        let early = measure.upstream.saturating_sub(late);
        failing.notes.push(format!(
            "{early} requests reached the failing upstream in the first half of the time, {late} in the second"
        ));
        let opened = with.stat(OPENED).await;
        failing.notes.push(format!("times that the circuit opened: {opened}"));
        failing.expect(opened > 0, "the circuit opens");
        failing.expect(measure.ok == measure.sent, "every answer a success");
        failing.expect(late == 0, "the upstream left in peace in the second half");
        self.note_outcomes(fails, &replies);
        failing.with = Some(measure);

        self.say(heals, true);
        let (measure, fresh, replies) = self.healed(with.address(), Some(with)).await;
        let closed = with.stat(CLOSED).await;
        let limit = RECOVERING.as_secs();
        recovering.notes.push(match fresh {
            Some(after) => {
                format!("all {ROOMS} pages fresh again {:.1} s after it healed", after.as_secs_f64())
            }
            None => format!("not all {ROOMS} pages fresh again within {limit} s"),
        });
        recovering.expect(fresh.is_some(), "fresh answers again");
        recovering.expect(closed > 0, format!("the circuit closed within {limit} s"));
        recovering.expect(measure.ok == measure.sent, "every answer a success");
        self.note_outcomes(heals, &replies);
        recovering.with = Some(measure);
        [failing, recovering]
    }

    /// Asks for every page once; gives the number of successes, and waits until all of them are stale.
    async fn warm_up(&self, to: SocketAddr) -> usize {
        let replies = wave(to, &presences()).await;
        tokio::time::sleep(PRESENCE_LIFETIME + Duration::from_millis(100)).await;
        replies.iter().filter_map(Reply::success).count()
    }

    /// Load on a failing upstream; gives also the requests that reached it in the second half.
    async fn failed(&self, to: SocketAddr) -> (Measure, u64, Vec<Reply>) {
        self.chat.fail(true);
        self.chat.reset();
        let asks = presences();
        let replies = load(to, &asks, EVERY, Instant::now() + FAILING);
        let halfway = async {
            tokio::time::sleep(FAILING / 2).await;
            self.requests()
        };
        let (replies, early) = tokio::join!(replies, halfway);
        let all = self.requests();
        (measure(all, &replies), all.saturating_sub(early), replies)
    }

    /// Load on a healed upstream until every page was fetched anew and, where there is one, `envoy`'s circuit has
    /// closed; gives also how long the pages took.
    async fn healed(&self, to: SocketAddr, envoy: Option<&Envoy>) -> (Measure, Option<Duration>, Vec<Reply>) {
        self.chat.fail(false);
        self.chat.reset();
        let asks = presences();
        let begin = Instant::now();
        let mut replies = Vec::new();
        let mut fresh = None;
        let mut bodies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        while begin.elapsed() < RECOVERING {
            for reply in load(to, &asks, EVERY, Instant::now() + EVERY * ROOMS as u32).await {
                if let Some(answer) = reply.success() {
                    bodies.entry(reply.ask.path.clone()).or_default().insert(answer.text());
                }
                replies.push(reply);
            }
            // Stale answers all have one body: a second one was fetched since.
            if fresh.is_none() && bodies.len() == ROOMS && bodies.values().all(|bodies| bodies.len() > 1) {
                fresh = Some(begin.elapsed());
            }
            let closed = match envoy {
                Some(envoy) => envoy.stat(CLOSED).await > 0,
                None => true,
            };
            if fresh.is_some() && closed {
                break;
            }
        }
        (measure(self.requests(), &replies), fresh, replies)
    }

    async fn measured(&self, to: SocketAddr, asks: &[Ask]) -> (Measure, Vec<Reply>) {
        self.chat.reset();
        let replies = wave(to, asks).await;
        (measure(self.requests(), &replies), replies)
    }

    fn requests(&self) -> u64 {
        self.chat.counters().values().sum()
    }

    fn say(&self, step: &str, with: bool) {
        self.progress.now(&format!("step {step}, {} Breakwater", if with { "with" } else { "without" }));
    }

    fn note_outcomes(&mut self, step: &'static str, replies: &[Reply]) {
        self.outcomes.push(Outcomes::of(step, replies.iter().filter_map(|reply| reply.answer.as_ref())));
    }
}

impl Row {
    /// Notes what does not hold.
    pub fn expect(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.broken.push(what.into());
        }
    }
}

fn measure(upstream: u64, replies: &[Reply]) -> Measure {
    let ok = replies.iter().filter_map(Reply::success).count();
    let latencies = replies.iter().filter_map(|reply| Some(reply.answer.as_ref()?.latency)).collect();
    Measure::of(upstream, ok, replies.len(), latencies)
}

/// Whether the history in `answer` is the asker's: by its own word, and by whom it welcomes.
fn is_own(answer: &Answer, reply: &Reply) -> bool {
    let Some(asker) = reply.ask.user else { return false };
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(&answer.body) else { return false };
    let others = USERS.into_iter().filter(|user| *user != asker);
    body["user"] == asker && others.into_iter().all(|other| !answer.text().contains(other))
}

fn history(user: &'static str) -> Ask {
    Ask::get("/api/chat/lobby/history").by(user)
}

fn presences() -> Vec<Ask> {
    (1..=ROOMS).map(|room| Ask::get(&format!("/rooms/room-{room}/presence")).refresh()).collect()
}

const BROWSERS: usize = 1_000;
const HISTORIES: usize = 100;
const REFRESHES: usize = 20;
const ROOMS: usize = 10;
const USERS: [&str; 2] = ["alice", "bob"];

/// One request of the steady load.
const EVERY: Duration = Duration::from_millis(20);
/// Shorter than the default `breaker.open_for`, so that the second half lies within it.
const FAILING: Duration = Duration::from_secs(4);
/// Time for the circuit to open again once more than it should.
const RECOVERING: Duration = Duration::from_secs(15);
/// What the upstream states for a presence.
const PRESENCE_LIFETIME: Duration = Duration::from_secs(1);

const OPENED: &str = "wasmcustom.breakwater.breaker.opened";
const CLOSED: &str = "wasmcustom.breakwater.breaker.closed";
