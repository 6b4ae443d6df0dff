//! How answers described themselves: their Cache-Status, counted by form.

use crate::support::client::Answer;
use crate::table::thousands;
use std::collections::BTreeMap;
use std::fmt;

/// The answers of one step.
pub struct Outcomes {
    step: &'static str,
    forms: BTreeMap<Form, Count>,
}

/// Status and Cache-Status, the latter before and behind the number of its `ttl`.
type Form = (u16, String, String);

/// How many answers have a form, and the seconds of freshness they had left.
struct Count {
    answers: usize,
    ttl: Option<(i64, i64)>,
}

impl Outcomes {
    /// Counts `answers`.
    pub fn of<'a>(step: &'static str, answers: impl Iterator<Item = &'a Answer>) -> Self {
        let mut forms = BTreeMap::new();
        for answer in answers {
            let field = Some(answer.header("cache-status")).filter(|field| !field.is_empty());
            let field = field.unwrap_or_else(|| "(no Cache-Status)".to_owned());
            let (before, ttl, behind) = split(&field);
            let form = (answer.status, before.to_owned(), behind.to_owned());
            let count = forms.entry(form).or_insert(Count { answers: 0, ttl: None });
            count.answers += 1;
            if let Some(ttl) = ttl {
                let (least, most) = count.ttl.unwrap_or((ttl, ttl));
                count.ttl = Some((least.min(ttl), most.max(ttl)));
            }
        }
        Self { step, forms }
    }
}

impl fmt::Display for Outcomes {
    /// One line per form, the most frequent first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  step {}", self.step)?;
        let mut forms: Vec<_> = self.forms.iter().collect();
        forms.sort_by_key(|(_, count)| std::cmp::Reverse(count.answers));
        for ((status, before, behind), Count { answers, ttl }) in forms {
            let ttl = match ttl {
                Some((least, most)) if least < most => format!("{least}…{most}"),
                Some((ttl, _)) => ttl.to_string(),
                None => String::new(),
            };
            writeln!(f, "    {:>6}  {status} {before}{ttl}{behind}", thousands(*answers as u64))?;
        }
        Ok(())
    }
}

/// A Cache-Status before, in and behind the number of its `ttl`.
fn split(field: &str) -> (&str, Option<i64>, &str) {
    let Some(start) = field.find(TTL).map(|at| at + TTL.len()) else { return (field, None, "") };
    let end = field[start..].find(';').map_or(field.len(), |length| start + length);
    match field[start..end].parse() {
        Ok(ttl) => (&field[..start], Some(ttl), &field[end..]),
        Err(_) => (field, None, ""),
    }
}

const TTL: &str = "ttl=";
