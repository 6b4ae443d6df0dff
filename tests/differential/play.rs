//! Plays sequences against an Envoy: hundreds at once, each on URLs of its own, so that none disturbs another.

use crate::history::{Exchange, Fields, Request, Response, now};
use crate::model::{Verdict, judge};
use crate::origin::Stage;
use crate::script::{Sequence, Step, Url};
use crate::support::client::{self, Client};
use crate::values::Moment;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A sequence that was played, and what is said of it.
pub struct Played {
    pub sequence: Sequence,
    pub history: Vec<Exchange>,
    pub verdicts: Vec<Verdict>,
}

/// Plays them all, at most `together` at a time; in the order of their numbers.
pub async fn all(
    envoy: SocketAddr,
    stage: &Arc<Stage>,
    sequences: Vec<Sequence>,
    together: usize,
) -> Vec<Played> {
    let places = Arc::new(Semaphore::new(together));
    let mut tasks = JoinSet::new();
    for sequence in sequences {
        let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
        let stage = Arc::clone(stage);
        tasks.spawn(async move {
            let history = one(envoy, &stage, &sequence).await;
            drop(place);
            let verdicts = judge(&history);
            Played { sequence, history, verdicts }
        });
    }
    let mut played = tasks.join_all().await;
    played.sort_by_key(|played| played.sequence.number);
    played
}

async fn one(envoy: SocketAddr, stage: &Stage, sequence: &Sequence) -> Vec<Exchange> {
    let began = now();
    stage.enter(sequence, began);
    let mut player = Player { envoy, sequence, began, connection: None, seen: BTreeMap::new() };
    let mut history = Vec::new();
    for (number, step) in sequence.steps.iter().enumerate() {
        if step.pause > 0 {
            tokio::time::sleep(Duration::from_millis(step.pause.unsigned_abs())).await;
        }
        history.push(player.play(number, step).await);
    }
    for (step, upstream) in stage.leave(sequence) {
        history[step].upstream.push(upstream);
    }
    history
}

struct Player<'a> {
    envoy: SocketAddr,
    sequence: &'a Sequence,
    began: i64,
    connection: Option<Client>,
    /// What the client was last sent for each URL.
    seen: BTreeMap<Url, Fields>,
}

impl Player<'_> {
    async fn play(&mut self, number: usize, step: &Step) -> Exchange {
        let none = Fields::new();
        let seen = self.seen.get(&step.url).unwrap_or(&none);
        let moment = Moment { began: self.began, now: now(), seen };
        let mut fields = moment.fields(&step.fields);
        fields.push(("x-step".to_owned(), number.to_string().into_bytes()));
        let url = self.sequence.url(step.url);
        let mut message = client::Request::new(step.method, &url);
        for (name, value) in &fields {
            message = message.header(name, value);
        }
        if !step.body.is_empty() {
            message = message.body(step.body.clone());
            fields.push(("content-length".to_owned(), step.body.len().to_string().into_bytes()));
        }
        let sent = now();
        let answer = self.send(&message).await;
        let answered = now();
        if let Some(answer) = answer.as_ref().filter(|answer| answer.status < 300) {
            self.seen.insert(step.url, answer.fields.clone());
        }
        let request = Request { method: step.method.to_owned(), url, fields };
        Exchange { request, sent, answered, upstream: Vec::new(), answer }
    }

    async fn send(&mut self, message: &client::Request) -> Option<Response> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Client::connect(self.envoy).await.expect("Envoy takes connections"),
        };
        let answer = connection.send(message).await.ok()?;
        let closes = answer.header("connection").eq_ignore_ascii_case("close");
        if self.sequence.one_connection && !closes {
            self.connection = Some(connection);
        }
        Some(Response { status: answer.status, fields: answer.head.fields, body: answer.body })
    }
}
