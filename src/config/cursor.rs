//! Walks one JSON object: knows where it is, which fields were asked for, and what was wrong with them.
//!
//! A mistake never ends the walk. The field counts as absent, the mistake is noted with its path, and reading goes
//! on, so that one look at the log corrects the whole configuration. What nobody asked for is an unknown field, noted
//! when the object is left.

use crate::config::errors::{Problem, shown, within};
use crate::config::kinds::{Kind, Refusal, Written};
use crate::config::limits;
use crate::config::similar::nearest;
use serde_json::{Map, Value};

/// A place in the configuration: one object, its path, and the mistakes found so far.
pub(super) struct Cursor<'a> {
    path: String,
    fields: &'a Map<String, Value>,
    known: Vec<&'static str>,
    elsewhere: &'static [(&'static str, &'static str)],
    problems: &'a mut Vec<Problem>,
}

impl Cursor<'_> {
    /// Reads the outermost object.
    pub(super) fn read_root<T>(
        fields: &Map<String, Value>,
        problems: &mut Vec<Problem>,
        read: impl FnOnce(&mut Cursor<'_>) -> T,
    ) -> T {
        Cursor::read(String::new(), fields, problems, read)
    }

    /// Reads the object under `name`; an absent or wrong one as if it were empty.
    pub(super) fn section<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Cursor<'_>) -> T) -> T {
        let empty = Map::new();
        let fields = self.object(name).unwrap_or(&empty);
        Cursor::read(known_place(&self.path, name), fields, self.problems, read)
    }

    /// Reads the object under `name`; `None` if it is absent or wrong.
    pub(super) fn section_if_written<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Cursor<'_>) -> T,
    ) -> Option<T> {
        let fields = self.object(name)?;
        Some(Cursor::read(known_place(&self.path, name), fields, self.problems, read))
    }

    /// Reads each object of the list under `name`, at most `most` of them, and gives each with its index.
    pub(super) fn each<T>(
        &mut self,
        name: &'static str,
        most: usize,
        mut read: impl FnMut(&mut Cursor<'_>) -> T,
    ) -> Vec<(usize, T)> {
        let allowed = format!("a list of at most {most} objects");
        let elements = self.elements(name, most, &allowed, "write a list, or leave the field out");
        let mut read_ones = Vec::new();
        for (nth, element) in elements.unwrap_or_default().iter().take(most).enumerate() {
            let place = format!("{name}[{nth}]");
            match element {
                Value::Object(fields) => {
                    let path = known_place(&self.path, &place);
                    read_ones.push((nth, Cursor::read(path, fields, self.problems, &mut read)));
                }
                other => {
                    self.report(&place, kind_of(other), "an object", "write its fields, or remove it");
                }
            }
        }
        read_ones
    }

    /// The value of `name`; `None` if it is absent or wrong.
    pub(super) fn field<K: Kind>(&mut self, name: &'static str, kind: &K) -> Option<K::Value> {
        let value = self.take(name)?;
        kind.read(value).map_err(|refusal| self.refuse(name, value, refusal, "leave the field out")).ok()
    }

    /// The value of `name`; `default` if it is absent or wrong.
    pub(super) fn field_or<K: Written>(
        &mut self,
        name: &'static str,
        default: K::Value,
        kind: &K,
    ) -> K::Value {
        let Some(value) = self.take(name) else { return default };
        kind.read(value).unwrap_or_else(|refusal| {
            let without = format!("leave the field out for {}", kind.written(&default));
            self.refuse(name, value, refusal, &without);
            default
        })
    }

    /// The value of `name`, which must be there; `None` if it is not, or wrong.
    pub(super) fn required<K: Kind>(&mut self, name: &'static str, kind: &K) -> Option<K::Value> {
        let Some(value) = self.take(name) else {
            self.report(name, "nothing", &kind.allowed(), "add the field");
            return None;
        };
        kind.read(value)
            .map_err(|Refusal { allowed, advice }| {
                self.report(name, &shown(value), &allowed, advice.as_deref().unwrap_or("change it"));
            })
            .ok()
    }

    /// The values listed under `name`, the right ones among them; `None` if there is no list.
    pub(super) fn list<K: Kind>(&mut self, name: &'static str, kind: &K) -> Option<Vec<K::Value>> {
        self.list_up_to(name, limits::LIST, kind)
    }

    /// As [`Cursor::list`], of `most` values at most.
    pub(super) fn list_up_to<K: Kind>(
        &mut self,
        name: &'static str,
        most: usize,
        kind: &K,
    ) -> Option<Vec<K::Value>> {
        let allowed = format!("a list of at most {most}, each {}", kind.allowed());
        let elements = self.elements(name, most, &allowed, "write a list, as in [\"…\", \"…\"]")?;
        let mut read_ones = Vec::new();
        for (nth, element) in elements.iter().take(most).enumerate() {
            match kind.read(element) {
                Ok(value) => read_ones.push(value),
                Err(refusal) => self.refuse(&format!("{name}[{nth}]"), element, refusal, "remove it"),
            }
        }
        Some(read_ones)
    }

    /// The entries of the object under `name`, the right ones among them, at most `most`; `None` if there is no object.
    /// What its fields may be called is for `names` to say.
    pub(super) fn entries_up_to<N: Kind, K: Kind>(
        &mut self,
        name: &'static str,
        most: usize,
        names: &N,
        kind: &K,
    ) -> Option<Vec<(N::Value, K::Value)>> {
        let entries = self.object(name)?;
        if entries.len() > most {
            let found = format!("an object of {}", entries.len());
            let allowed = format!("an object of at most {most}, each {}", kind.allowed());
            self.report(name, &found, &allowed, "shorten it");
        }
        let mut read_ones = Vec::new();
        for (written, value) in entries.iter().take(most) {
            let place = within(name, written);
            let own_name = Value::from(written.as_str());
            match (names.read(&own_name), kind.read(value)) {
                (Ok(name), Ok(value)) => read_ones.push((name, value)),
                (Err(refusal), _) => self.refuse(&place, &own_name, refusal, "remove it"),
                (_, Err(refusal)) => self.refuse(&place, value, refusal, "remove it"),
            }
        }
        Some(read_ones)
    }

    /// A field that a later version gives an effect: only the value without effect is taken, written as `off`.
    pub(super) fn later(&mut self, name: &'static str, off: &str, is_off: impl FnOnce(&Value) -> bool) {
        if let Some(value) = self.take(name)
            && !is_off(value)
        {
            let allowed = format!("{off} alone, since the rest is not available in this version");
            self.report(name, &shown(value), &allowed, "leave the field out");
        }
    }

    /// As [`Cursor::later`], for a field without a value that means off; what is there is not repeated.
    pub(super) fn later_at_all(&mut self, name: &'static str) {
        if let Some(value) = self.take(name)
            && value.as_object().is_none_or(|fields| !fields.is_empty())
        {
            let allowed = "nothing, since it is not available in this version";
            self.report(name, kind_of(value), allowed, "leave the field out");
        }
    }

    /// Whether the operator wrote `name` here.
    pub(super) fn wrote(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// Fields that people look for here and that live elsewhere, with their place.
    pub(super) fn elsewhere(&mut self, fields: &'static [(&'static str, &'static str)]) {
        self.elsewhere = fields;
    }

    /// Notes a mistake at `name`.
    pub(super) fn report(&mut self, name: &str, found: &str, allowed: &str, advice: &str) {
        self.problems.push(Problem {
            path: known_place(&self.path, name),
            found: found.into(),
            allowed: allowed.into(),
            advice: advice.into(),
        });
    }

    /// Checks `low` ≤ `high`, two fields of this object with their values; at fault is the one that was written.
    ///
    /// Values that nobody wrote here were weighed where they come from; wrong ones are noted already.
    pub(super) fn at_most<K: Written<Value: PartialOrd>>(
        &mut self,
        kind: &K,
        (low, low_value): (&str, &K::Value),
        (high, high_value): (&str, &K::Value),
    ) {
        let nothing_written = !self.wrote(low) && !self.wrote(high);
        if low_value <= high_value || nothing_written || self.is_wrong(low) || self.is_wrong(high) {
            return;
        }
        let (low_text, high_text) = (kind.written(low_value), kind.written(high_value));
        if self.wrote(low) {
            let allowed = format!("at most {high}, which is {high_text}");
            self.report(low, &low_text, &allowed, &format!("lower it, or raise {high}"));
        } else {
            let allowed = format!("at least {low}, which is {low_text}");
            self.report(high, &high_text, &allowed, &format!("raise it, or lower {low}"));
        }
    }

    /// Checks that one of `names` is written here and no more.
    pub(super) fn exactly_one(&mut self, names: &[&str], if_several: &str, if_none: &str) {
        let written: Vec<_> = names.iter().copied().filter(|name| self.wrote(name)).collect();
        let (found, advice) = match written.as_slice() {
            [_] => return,
            [] => ("none of them".into(), if_none),
            several => (several.join(" and "), if_several),
        };
        let path = self.path.clone();
        let allowed = format!("one of {}", names.join(", "));
        self.problems.push(Problem { path, found, allowed, advice: advice.into() });
    }

    /// Whether a mistake was noted at `name`.
    pub(super) fn is_wrong(&self, name: &str) -> bool {
        let path = known_place(&self.path, name);
        self.problems.iter().any(|problem| problem.path == path)
    }

    fn read<T>(
        path: String,
        fields: &Map<String, Value>,
        problems: &mut Vec<Problem>,
        read: impl FnOnce(&mut Cursor<'_>) -> T,
    ) -> T {
        let mut cursor = Cursor { path, fields, known: Vec::new(), elsewhere: &[], problems };
        let value = read(&mut cursor);
        cursor.report_unknown();
        value
    }

    fn refuse(&mut self, name: &str, value: &Value, refusal: Refusal, otherwise: &str) {
        let Refusal { allowed, advice } = refusal;
        let advice = format!("{}, or {otherwise}", advice.as_deref().unwrap_or("change it"));
        self.report(name, &shown(value), &allowed, &advice);
    }

    fn report_unknown(&mut self) {
        let unknown = self.fields.keys().filter(|key| !self.known.contains(&key.as_str()));
        for key in unknown {
            let moved = self.elsewhere.iter().find_map(|(name, place)| (name == key).then_some(*place));
            let meant = moved.or_else(|| nearest(key, self.known.iter().copied()));
            self.problems.push(Problem {
                path: within(&self.path, key),
                found: "an unknown field".into(),
                allowed: self.known.join(", "),
                advice: meant.map_or_else(|| "remove it".into(), |name| format!("did you mean {name}?")),
            });
        }
    }
}

impl<'a> Cursor<'a> {
    fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.fields.get(name)
    }

    fn object(&mut self, name: &'static str) -> Option<&'a Map<String, Value>> {
        let value = self.take(name)?;
        let fields = value.as_object();
        if fields.is_none() {
            self.report(name, kind_of(value), "an object", "write its fields, or leave the field out");
        }
        fields
    }

    fn elements(
        &mut self,
        name: &'static str,
        most: usize,
        allowed: &str,
        advice: &str,
    ) -> Option<&'a [Value]> {
        match self.take(name)? {
            Value::Array(elements) => {
                if elements.len() > most {
                    let found = format!("a list of {}", elements.len());
                    self.report(name, &found, allowed, "shorten it");
                }
                Some(elements)
            }
            other => {
                self.report(name, &shown(other), allowed, advice);
                None
            }
        }
    }
}

/// The path of a field that is known here, or of an element of its list; unlike any name, it needs no quotes.
fn known_place(parent: &str, place: &str) -> String {
    if parent.is_empty() { place.into() } else { format!("{parent}.{place}") }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
