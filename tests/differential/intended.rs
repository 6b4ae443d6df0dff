//! Differences that are meant to be: each with its reason, and no more of them than must be.

use crate::history::{Exchange, Reply};
use crate::model::directives::Odds;
use crate::model::storing::{Judgement, storing};
use crate::model::targeted::readings;
use crate::model::{Breach, Rule};

pub struct Intended {
    rules: &'static [Rule],
    reason: &'static str,
    /// Whether it applies to the last of these exchanges.
    applies: fn(&[Exchange]) -> bool,
}

const INTENDED: &[Intended] = &[Intended {
    rules: &[Rule::MissedReuse],
    reason: "a worker that saw a minute ago that a URL's answers are not for sharing fetches it without asking Redis",
    applies: was_not_for_sharing,
}];

/// Why a difference in the last of `history` is meant to be, if it is.
pub fn reason(history: &[Exchange], breach: &Breach) -> Option<&'static str> {
    let known = INTENDED.iter().find(|known| known.rules.contains(&breach.rule) && (known.applies)(history));
    known.map(|known| known.reason)
}

/// Whether an earlier answer for the same URL was not to be shared.
fn was_not_for_sharing(history: &[Exchange]) -> bool {
    let Some((last, earlier)) = history.split_last() else { return false };
    let same = earlier.iter().filter(|exchange| exchange.request.url == last.request.url);
    let mut replies =
        same.flat_map(|exchange| exchange.upstream.iter().map(move |upstream| (exchange, upstream)));
    replies.any(|(exchange, upstream)| match &upstream.reply {
        Reply::Whole(reply) | Reply::Cut(reply) => {
            let asks = readings(&reply.fields).iter().any(|reading| reading.directives.no_cache > Odds::No);
            asks || storing(&exchange.request, reply) != Judgement::Expected
        }
        Reply::Dropped => false,
    })
}
