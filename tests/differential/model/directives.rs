//! What Cache-Control says (RFC 9111 §5.2), and how sure one can be of it.
//!
//! A directive written as the grammar has it says what it says. One that is not may be read in more than one way: then
//! what restricts *may* restrict, and what permits *may* permit, and the model leaves both ways open. Of numbers two
//! are kept: the least lifetime that Breakwater has promised to see in them, and the most that RFC 9111 lets anybody
//! see (§4.2.1: of several, the first; of a bad one, none).

use super::fields::{self, is_token, list};
use crate::history::Fields;

/// How sure it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Odds {
    #[default]
    No,
    Maybe,
    Yes,
}

/// Seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    pub at_least: i64,
    pub at_most: i64,
}

/// RFC 9111 §1.2.2: more than this is this.
pub const LARGEST: i64 = 2_147_483_648;

#[derive(Clone, Debug, Default)]
pub struct Directives {
    pub no_store: Odds,
    /// Without arguments; with them it is `Maybe`, and they are below.
    pub no_cache: Odds,
    pub no_cache_fields: Vec<String>,
    /// As `no_cache`.
    pub private: Odds,
    pub private_fields: Vec<String>,
    pub public: Odds,
    pub must_revalidate: Odds,
    pub proxy_revalidate: Odds,
    pub must_understand: Odds,
    pub max_age: Option<Number>,
    pub s_maxage: Option<Number>,
    pub stale_if_error: Option<Number>,
    pub stale_while_revalidate: Option<Number>,
    pub only_if_cached: Odds,
    /// Of a request; without argument [`LARGEST`].
    pub max_stale: Option<Number>,
    /// Part of it cannot be read with certainty.
    pub doubtful: bool,
}

/// `name[=argument]`.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    pub argument: Option<Argument>,
    /// Written as the grammar has it.
    pub sound: bool,
    text: String,
}

#[derive(Clone, Debug)]
pub enum Argument {
    Token(String),
    Quoted(String),
}

impl Argument {
    fn text(&self) -> &str {
        match self {
            Self::Token(text) | Self::Quoted(text) => text,
        }
    }
}

impl Directives {
    /// Of the lines of Cache-Control.
    pub fn of(fields: &Fields) -> Self {
        let Some(value) = fields::value(fields, "cache-control") else { return Self::default() };
        let list = list(&value);
        let members: Vec<Member> = list.clear.iter().map(|text| Member::read(text)).collect();
        let reader = Reader { members: &members, doubtful: &list.doubtful };
        reader.directives()
    }
}

impl Member {
    fn read(text: &str) -> Self {
        let name_end = text.find(|c| !fields::is_tchar(c)).unwrap_or(text.len());
        let (name, rest) = text.split_at(name_end);
        let (argument, sound) = match rest.strip_prefix('=') {
            None => (None, rest.is_empty()),
            Some(argument) => match unquoted(argument) {
                Some(inside) => (Some(Argument::Quoted(inside)), true),
                None => (Some(Argument::Token(argument.to_owned())), is_token(argument)),
            },
        };
        Self {
            name: name.to_ascii_lowercase(),
            argument,
            sound: sound && !name.is_empty(),
            text: text.to_ascii_lowercase(),
        }
    }

    /// delta-seconds, bare or quoted (§5.2: recipients ought to accept both); 0 for what is none.
    fn seconds(&self) -> i64 {
        match &self.argument {
            Some(argument) if self.sound => delta_seconds(argument.text()).unwrap_or(0),
            _ => 0,
        }
    }
}

/// All digits; `None` else.
pub fn delta_seconds(text: &str) -> Option<i64> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let digits = text.trim_start_matches('0');
    if digits.len() > 10 {
        return Some(LARGEST);
    }
    Some(digits.parse::<i64>().unwrap_or(0).min(LARGEST))
}

fn unquoted(text: &str) -> Option<String> {
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut plain = String::new();
    let mut letters = inside.chars();
    while let Some(c) = letters.next() {
        match c {
            '\\' => plain.push(letters.next()?),
            '"' => return None,
            c => plain.push(c),
        }
    }
    Some(plain)
}

struct Reader<'a> {
    members: &'a [Member],
    doubtful: &'a [String],
}

impl Reader<'_> {
    fn directives(&self) -> Directives {
        let (no_cache, no_cache_fields) = self.qualified("no-cache");
        let (private, private_fields) = self.qualified("private");
        Directives {
            no_store: self.restricts("no-store"),
            no_cache,
            no_cache_fields,
            private,
            private_fields,
            public: self.permits("public"),
            must_revalidate: self.restricts("must-revalidate"),
            proxy_revalidate: self.restricts("proxy-revalidate"),
            must_understand: self.permits("must-understand"),
            max_age: self.number("max-age"),
            s_maxage: self.number("s-maxage"),
            stale_if_error: self.number("stale-if-error"),
            stale_while_revalidate: self.number("stale-while-revalidate"),
            only_if_cached: self.restricts("only-if-cached"),
            max_stale: self.max_stale(),
            doubtful: !self.doubtful.is_empty(),
        }
    }

    fn called<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter(move |member| member.name == name)
    }

    /// Whether what nobody can read for certain speaks of `name`.
    fn hinted(&self, name: &str) -> bool {
        self.doubtful.iter().any(|text| text.to_ascii_lowercase().contains(name))
            || self.members.iter().any(|member| !member.sound && member.text.contains(name))
    }

    fn restricts(&self, name: &str) -> Odds {
        match self.called(name).any(|member| member.sound) {
            true => Odds::Yes,
            false if self.hinted(name) => Odds::Maybe,
            false => Odds::No,
        }
    }

    fn permits(&self, name: &str) -> Odds {
        match self.called(name).any(|member| member.sound && member.argument.is_none()) {
            true => Odds::Yes,
            false if self.hinted(name) || self.called(name).next().is_some() => Odds::Maybe,
            false => Odds::No,
        }
    }

    /// `private` and `private="a, b"` are two directives with one name (§5.2.2.4, §5.2.2.7).
    fn qualified(&self, name: &str) -> (Odds, Vec<String>) {
        let plain = self.called(name).any(|member| member.sound && member.argument.is_none());
        let named =
            self.called(name).filter(|member| member.sound).filter_map(|member| member.argument.as_ref());
        let names: Vec<String> =
            named.flat_map(|argument| fields::simple_list(&argument.text().to_ascii_lowercase())).collect();
        let odds = match plain {
            true => Odds::Yes,
            false if self.hinted(name) || self.called(name).next().is_some() => Odds::Maybe,
            false => Odds::No,
        };
        (odds, names)
    }

    fn number(&self, name: &str) -> Option<Number> {
        let stated: Vec<i64> = self.called(name).map(Member::seconds).collect();
        let hinted = self.doubtful.iter().any(|text| text.to_ascii_lowercase().contains(name));
        match (stated.first(), hinted) {
            (None, false) => None,
            (None, true) => Some(Number { at_least: 0, at_most: LARGEST }),
            (Some(first), hinted) => {
                let shortest = stated.iter().copied().min().unwrap_or(0);
                Some(Number { at_least: if hinted { 0 } else { shortest }, at_most: *first })
            }
        }
    }

    fn max_stale(&self) -> Option<Number> {
        let number = self.number("max-stale")?;
        let first = self.called("max-stale").next();
        let unlimited = first.is_some_and(|member| member.sound && member.argument.is_none());
        let several = self.called("max-stale").count() > 1;
        match unlimited {
            true => Some(Number { at_least: if several { 0 } else { LARGEST }, at_most: LARGEST }),
            false => Some(number),
        }
    }
}
