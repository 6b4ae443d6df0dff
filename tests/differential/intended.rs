//! Differences that are meant to be: each with its reason, and no more of them than must be.

use crate::history::{Exchange, Ms, Reply};
use crate::model::directives::Odds;
use crate::model::fields;
use crate::model::storing::{Judgement, storing};
use crate::model::targeted::readings;
use crate::model::{Breach, Rule};

pub struct Intended {
    rules: &'static [Rule],
    reason: &'static str,
    /// Whether it applies to the last of these exchanges.
    applies: fn(&[Exchange]) -> bool,
}

const INTENDED: &[Intended] = &[
    Intended {
        rules: &[Rule::MissedReuse],
        reason: "a worker that saw a minute ago that a URL's answers are not for sharing fetches it without asking Redis",
        applies: was_not_for_sharing,
    },
    Intended {
        rules: &[Rule::MissedReuse, Rule::MissedValidation],
        reason: "variants stored at the same moment by two workers: one may be left out of the index that Redis gets last",
        applies: variants_came_at_once,
    },
];

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

/// Whether two earlier answers for the same URL vary, and came so close to one another that the one was still on its way
/// to Redis.
fn variants_came_at_once(history: &[Exchange]) -> bool {
    const SOON: Ms = 250;
    let Some((last, earlier)) = history.split_last() else { return false };
    let varies = |exchange: &&Exchange| {
        exchange.request.url == last.request.url
            && exchange.upstream.iter().any(|upstream| match &upstream.reply {
                Reply::Whole(reply) => fields::has(&reply.fields, "vary"),
                Reply::Cut(_) | Reply::Dropped => false,
            })
    };
    let varying: Vec<&Exchange> = earlier.iter().filter(varies).collect();
    varying.windows(2).any(|pair| pair[1].sent - pair[0].answered < SOON)
}
