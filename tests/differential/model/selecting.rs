//! Whether a stored response was selected for a request like this one (RFC 9111 §4.1).

use super::directives::Odds;
use super::fields;
use super::stored::Stored;
use crate::history::Fields;

/// Whether all request fields that the response's Vary names are the same.
pub fn selects(stored: &Stored, request: &Fields) -> Odds {
    let odds = by_vary(stored, &stored.request.fields, request);
    // A request for which the origin confirmed it selects it as well as the one that brought it; and what a 304 put
    // into Vary, or took out of it, may count or not.
    let confirmed = stored.confirming.iter().any(|fields| by_vary(stored, fields, request) > Odds::No);
    let before = stored.former.iter().any(|(name, _)| name == "vary");
    match odds {
        Odds::Yes if before => Odds::Maybe,
        Odds::No if confirmed => Odds::Maybe,
        odds => odds,
    }
}

fn by_vary(stored: &Stored, first: &Fields, second: &Fields) -> Odds {
    let Some(vary) = fields::value(&stored.response.fields, "vary") else { return Odds::Yes };
    let by_member = |member: &String| match member.as_str() {
        // "always fails to match"
        "*" => Odds::No,
        name if !fields::is_token(name) => Odds::Maybe,
        name => same(&name.to_ascii_lowercase(), first, second),
    };
    fields::simple_list(&vary).iter().map(by_member).min().unwrap_or(Odds::Yes)
}

/// Equal, absent on both sides, equal after combining lines and dropping blanks; or perhaps equal in meaning.
fn same(name: &str, first: &Fields, second: &Fields) -> Odds {
    match (fields::value(first, name), fields::value(second, name)) {
        (None, None) => Odds::Yes,
        (Some(first), Some(second)) if first == second => Odds::Yes,
        (Some(first), Some(second)) => {
            let (first, second) = (fields::simple_list(&first), fields::simple_list(&second));
            if first == second {
                Odds::Yes
            } else if name == "accept-language" && meaning(&first) == meaning(&second) {
                Odds::Maybe
            } else {
                Odds::No
            }
        }
        // An empty field is not the same as none, but says as little.
        (Some(value), None) | (None, Some(value)) if value.is_empty() => Odds::Maybe,
        _ => Odds::No,
    }
}

/// Language ranges in any case and order, with their weights in thousandths (RFC 9110 §12.4.2, §12.5.4).
fn meaning(ranges: &[String]) -> Vec<(String, u32)> {
    let mut meant: Vec<(String, u32)> = ranges
        .iter()
        .map(|range| {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let weight = weight.trim().to_ascii_lowercase();
            let weight =
                weight.strip_prefix("q=").and_then(|weight| weight.parse::<f64>().ok()).unwrap_or(-1.0);
            (tag.trim().to_ascii_lowercase(), (weight * 1000.0) as u32)
        })
        .collect();
    meant.sort();
    meant
}
