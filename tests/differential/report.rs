//! What is told of a run: how the answers came about, and each kind of difference once, with all that led to it.

use crate::history::{Exchange, Fields, Reply, Request, Response};
use crate::intended;
use crate::model::explain::How;
use crate::model::{Breach, Kind, Rule};
use crate::play::Played;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A rule broken in a sequence.
pub struct Difference<'a> {
    pub played: &'a Played,
    pub exchange: usize,
    pub breach: &'a Breach,
}

/// All differences but the intended ones, in order.
pub fn differences(played: &[Played]) -> Vec<Difference<'_>> {
    let mut differences = Vec::new();
    for played in played {
        for (exchange, verdict) in played.verdicts.iter().enumerate() {
            for breach in &verdict.breaches {
                if intended::reason(&played.history[..=exchange], breach).is_none() {
                    differences.push(Difference { played, exchange, breach });
                }
            }
        }
    }
    differences
}

/// How often each reason was one for a difference that is meant to be.
pub fn meant(played: &[Played]) -> BTreeMap<&'static str, usize> {
    let mut meant = BTreeMap::new();
    for played in played {
        for (exchange, verdict) in played.verdicts.iter().enumerate() {
            let history = &played.history[..=exchange];
            let reasons = verdict.breaches.iter().filter_map(|breach| intended::reason(history, breach));
            reasons.for_each(|reason| *meant.entry(reason).or_default() += 1);
        }
    }
    meant
}

/// How often each kind of answer came.
pub fn census(played: &[Played]) -> BTreeMap<How, usize> {
    let mut census = BTreeMap::new();
    for verdict in played.iter().flat_map(|played| &played.verdicts) {
        *census.entry(verdict.how).or_default() += 1;
    }
    census
}

/// Each rule that was broken: how often, where, and the shortest sequence that shows it.
pub fn summary(differences: &[Difference<'_>]) -> String {
    let mut by_rule: BTreeMap<(Kind, Rule), Vec<&Difference<'_>>> = BTreeMap::new();
    for difference in differences {
        let rule = difference.breach.rule;
        by_rule.entry((rule.kind(), rule)).or_default().push(difference);
    }
    let mut text = String::new();
    for ((kind, rule), all) in by_rule {
        let mut numbers: Vec<usize> =
            all.iter().map(|difference| difference.played.sequence.number).collect();
        numbers.dedup();
        let shown: Vec<String> = numbers.iter().take(20).map(usize::to_string).collect();
        let _ =
            writeln!(text, "\n{kind:?} {rule}\n  {} times, in sequences {} …", all.len(), shown.join(" "));
        for (count, example) in ways(&all).iter().take(8) {
            let number = example.played.sequence.number;
            let _ = writeln!(text, "  {count} × like sequence {number}: {}", example.breach.what);
        }
        if let Some(shortest) = all.iter().min_by_key(|difference| difference.played.history.len()) {
            text.push_str(&transcript(shortest.played));
        }
    }
    text
}

/// Those that differ in numbers only are one way to break a rule; the most frequent first.
fn ways<'a>(all: &[&'a Difference<'a>]) -> Vec<(usize, &'a Difference<'a>)> {
    let mut ways: BTreeMap<String, (usize, &Difference<'_>)> = BTreeMap::new();
    for difference in all {
        let words = difference.breach.what.split(|letter: char| letter.is_ascii_digit());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        ways.entry(words.join("#")).or_insert((0, difference)).0 += 1;
    }
    let mut ways: Vec<_> = ways.into_values().collect();
    ways.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    ways
}

/// A sequence, message by message.
pub fn transcript(played: &Played) -> String {
    let sequence = &played.sequence;
    let mut text = format!("  SEED={} SEQUENCE={}\n", sequence.seed, sequence.number);
    let began = played.history.first().map_or(0, |first| first.sent);
    for (number, (exchange, verdict)) in played.history.iter().zip(&played.verdicts).enumerate() {
        told(&mut text, number, exchange, began);
        let _ = writeln!(text, "    = {:?}", verdict.how);
        for breach in &verdict.breaches {
            let _ = writeln!(text, "    ! {}: {}", breach.rule, breach.what);
            if let Some(reason) = intended::reason(&played.history[..=number], breach) {
                let _ = writeln!(text, "      which is meant: {reason}");
            }
        }
    }
    text
}

fn told(text: &mut String, number: usize, exchange: &Exchange, began: i64) {
    let _ = writeln!(text, "  {} at {} ms", number + 1, exchange.sent - began);
    let _ = writeln!(text, "    > {}", request(&exchange.request, &[]));
    for upstream in &exchange.upstream {
        let _ = writeln!(
            text,
            "      at {} ms origin sees {}",
            upstream.arrived - began,
            request(&upstream.request, &exchange.request.fields)
        );
        let _ = match &upstream.reply {
            Reply::Whole(reply) => writeln!(text, "      and says {}", response(reply)),
            Reply::Cut(reply) => writeln!(text, "      and breaks off {}", response(reply)),
            Reply::Dropped => writeln!(text, "      and hangs up"),
        };
    }
    let answer = exchange.answer.as_ref().map_or("nothing whole".to_owned(), response);
    let _ = writeln!(text, "    < at {} ms {answer}", exchange.answered - began);
}

/// Without the fields in `known`, and what Envoy adds.
fn request(request: &Request, known: &[(String, Vec<u8>)]) -> String {
    let own =
        |(name, _): &&(String, Vec<u8>)| !name.starts_with("x-envoy") && !OF_ENVOY.contains(&name.as_str());
    let new: Fields =
        request.fields.iter().filter(|line| !known.contains(line)).filter(own).cloned().collect();
    format!("{} {}{}", request.method, request.url, fields(&new))
}

fn response(response: &Response) -> String {
    let body: String = response.body.iter().take(24).map(|byte| char::from(*byte)).collect();
    format!("{}{} [{} bytes {body:?}]", response.status, fields(&response.fields), response.body.len())
}

fn fields(fields: &Fields) -> String {
    fields.iter().fold(String::new(), |mut text, (name, value)| {
        let value: String = value.iter().map(|byte| char::from(*byte)).collect();
        let _ = write!(text, " | {name}: {value}");
        text
    })
}

const OF_ENVOY: [&str; 7] =
    ["host", "x-forwarded-for", "x-forwarded-proto", "x-request-id", "x-step", "traceparent", "tracestate"];
