//! Which of the fields that control a shared cache counts: CDN-Cache-Control or Cache-Control (RFC 9213).
//!
//! The targeted field is a dictionary (RFC 8941 §3.2): the whole of it counts or nothing does, and where it counts,
//! Cache-Control and Expires do not. Some values can be read in more than one way (a quoted number): then there is
//! more than one [`Reading`] of the response, and only what holds in all of them is certain.

use super::directives::{Directives, LARGEST, Number, Odds};
use super::fields;
use crate::history::Fields;

/// One way to understand what a response says to a shared cache.
#[derive(Clone, Debug)]
pub struct Reading {
    pub directives: Directives,
    /// They come from the targeted field: Expires does not count (RFC 9213 §2.2).
    pub targeted: bool,
}

pub fn readings(response: &Fields) -> Vec<Reading> {
    let plain = Reading { directives: Directives::of(response), targeted: false };
    let Some(text) = fields::value(response, "cdn-cache-control") else { return vec![plain] };
    // RFC 9213 §2.1: empty, or not to be parsed: as if it were not there.
    let Some(members) = dictionary(&text).filter(|members| !members.is_empty()) else { return vec![plain] };
    let mut readings = Vec::new();
    let typed = members.iter().all(|(name, item)| is_typed(name, item));
    readings.push(Reading { directives: directives(&members), targeted: true });
    if !typed {
        // What has the wrong type is ignored alone, or with the whole field.
        let right: Vec<_> = members.iter().filter(|(name, item)| is_typed(name, item)).cloned().collect();
        readings.push(Reading { directives: directives(&right), targeted: true });
        readings.push(plain);
    }
    readings
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Integer(i64),
    Boolean(bool),
    /// A string or token.
    Word(String),
    /// A byte sequence, decimal or inner list: the words in it.
    Other(Vec<String>),
}

fn is_typed(name: &str, item: &Item) -> bool {
    match name {
        "max-age" | "s-maxage" | "stale-if-error" | "stale-while-revalidate" => {
            matches!(item, Item::Integer(number) if *number >= 0)
        }
        "no-store" | "public" | "must-revalidate" | "proxy-revalidate" | "must-understand" => {
            matches!(item, Item::Boolean(_))
        }
        // Those two may name fields, as one argument.
        "private" | "no-cache" => matches!(item, Item::Boolean(_) | Item::Word(_)),
        _ => true,
    }
}

fn directives(members: &[(String, Item)]) -> Directives {
    let find = |name: &str| members.iter().find(|(n, _)| n == name).map(|(_, item)| item);
    let flag = |name: &str| match find(name) {
        Some(Item::Boolean(true)) => Odds::Yes,
        None | Some(Item::Boolean(false)) => Odds::No,
        Some(_) => Odds::Maybe,
    };
    let words = |name: &str| match find(name) {
        Some(Item::Word(words)) => fields::simple_list(&words.to_ascii_lowercase()),
        _ => Vec::new(),
    };
    let number = |name: &str| {
        find(name).map(|item| match item {
            Item::Integer(seconds) => {
                let seconds = (*seconds).clamp(0, LARGEST);
                Number { at_least: seconds, at_most: seconds }
            }
            _ => Number { at_least: 0, at_most: 0 },
        })
    };
    Directives {
        no_store: flag("no-store"),
        no_cache: flag("no-cache"),
        no_cache_fields: words("no-cache"),
        private: flag("private"),
        private_fields: words("private"),
        public: flag("public"),
        must_revalidate: flag("must-revalidate"),
        proxy_revalidate: flag("proxy-revalidate"),
        must_understand: flag("must-understand"),
        max_age: number("max-age"),
        s_maxage: number("s-maxage"),
        stale_if_error: number("stale-if-error"),
        stale_while_revalidate: number("stale-while-revalidate"),
        ..Directives::default()
    }
}

/// RFC 8941 §4.2.2; `None` if any of it is wrong. Of members with the same name the last counts.
fn dictionary(text: &str) -> Option<Vec<(String, Item)>> {
    let mut parser = Parser { rest: text.chars().collect(), at: 0 };
    let mut members: Vec<(String, Item)> = Vec::new();
    parser.skip(" ");
    while !parser.is_over() {
        let key = parser.key()?;
        let item = if parser.take('=') { parser.item_or_list()? } else { Item::Boolean(true) };
        parser.parameters()?;
        members.retain(|(known, _)| *known != key);
        members.push((key, item));
        parser.skip(" \t");
        if parser.is_over() {
            return Some(members);
        }
        if !parser.take(',') {
            return None;
        }
        parser.skip(" \t");
        if parser.is_over() {
            return None;
        }
    }
    Some(members)
}

struct Parser {
    rest: Vec<char>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn is_over(&self) -> bool {
        self.peek().is_none()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn skip(&mut self, letters: &str) {
        while self.peek().is_some_and(|c| letters.contains(c)) {
            self.at += 1;
        }
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek().is_some_and(&belongs) {
            self.at += 1;
        }
        self.rest[start..self.at].iter().collect()
    }

    fn key(&mut self) -> Option<String> {
        self.peek().filter(|c| c.is_ascii_lowercase() || *c == '*')?;
        Some(self.word(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c)))
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(';') {
            self.skip(" ");
            self.key()?;
            if self.take('=') {
                self.bare()?;
            }
        }
        Some(())
    }

    fn item_or_list(&mut self) -> Option<Item> {
        if !self.take('(') {
            return self.bare();
        }
        let mut words = Vec::new();
        loop {
            self.skip(" ");
            if self.take(')') {
                return Some(Item::Other(words));
            }
            match self.bare()? {
                Item::Word(word) => words.push(word),
                Item::Other(more) => words.extend(more),
                Item::Integer(_) | Item::Boolean(_) => {}
            }
            self.parameters()?;
            self.peek().filter(|c| *c == ' ' || *c == ')')?;
        }
    }

    fn bare(&mut self) -> Option<Item> {
        match self.peek()? {
            '-' | '0'..='9' => self.number(),
            '"' => self.string(),
            '?' => {
                self.at += 1;
                let value = self.take('1');
                (value || self.take('0')).then_some(Item::Boolean(value))
            }
            ':' => {
                self.at += 1;
                let bytes = self.word(|c| c.is_ascii_alphanumeric() || "+/=".contains(c));
                self.take(':').then_some(Item::Other(vec![bytes]))
            }
            c if c.is_ascii_alphabetic() || c == '*' => {
                Some(Item::Word(self.word(|c| fields::is_tchar(c) || c == ':' || c == '/')))
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Item> {
        let sign = if self.take('-') { -1 } else { 1 };
        let whole = self.word(|c| c.is_ascii_digit());
        if whole.is_empty() || whole.len() > 15 {
            return None;
        }
        if self.take('.') {
            let part = self.word(|c| c.is_ascii_digit());
            let held = whole.len() <= 12 && (1..=3).contains(&part.len());
            return held.then(|| Item::Other(vec![format!("{whole}.{part}")]));
        }
        Some(Item::Integer(whole.parse::<i64>().ok()? * sign))
    }

    fn string(&mut self) -> Option<Item> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let c = self.peek()?;
            self.at += 1;
            match c {
                '"' => return Some(Item::Word(text)),
                '\\' => {
                    let escaped = self.peek().filter(|c| *c == '"' || *c == '\\')?;
                    self.at += 1;
                    text.push(escaped);
                }
                ' '..='~' => text.push(c),
                _ => return None,
            }
        }
    }
}
