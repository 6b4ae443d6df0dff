//! A sequence before it is played: what the client sends, after which pause, and what the origin is like meanwhile.
//!
//! Values that depend on the time, or on what the client was sent before, are written as such, so that a sequence is
//! the same whenever it is played.

use crate::history::Ms;

/// A field's value.
#[derive(Clone, Debug)]
pub enum Value {
    Text(Vec<u8>),
    /// A date so many seconds from the moment it is sent.
    Soon(i64, DateForm),
    /// A date so many seconds from the beginning of the sequence: the same whenever it is sent.
    Fixed(i64, DateForm),
    /// What the client was last sent for this URL in this field, if anything, between two texts; else the third.
    Seen(&'static str, &'static str, &'static str, &'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateForm {
    Imf,
    Rfc850,
    Asctime,
    /// In lower case.
    Lower,
    /// With something wrong in it.
    Wrong(DateMistake),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateMistake {
    Zone,
    NoComma,
    OneDigitHour,
    TwoDigitYear,
    DoubledBlank,
    Dashes,
    Weekday,
    Trailing,
}

pub type ScriptFields = Vec<(String, Value)>;

#[derive(Clone, Debug)]
pub struct Sequence {
    pub seed: u64,
    pub number: usize,
    /// How often it was played before: each time it has URLs of its own.
    pub round: usize,
    /// Whether all requests go over one connection.
    pub one_connection: bool,
    pub steps: Vec<Step>,
}

impl Sequence {
    /// What all its URLs begin with.
    pub fn folder(&self) -> String {
        format!("/d/{}/{}/{}", self.seed, self.number, self.round)
    }

    /// The paths of its URLs; nobody else asks for them.
    pub fn url(&self, url: Url) -> String {
        let folder = self.folder();
        match url {
            Url::A => format!("{folder}/a"),
            Url::AQuery => format!("{folder}/a?x=1"),
            Url::B => format!("{folder}/b"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Url {
    A,
    AQuery,
    B,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub pause: Ms,
    pub url: Url,
    pub method: &'static str,
    pub fields: ScriptFields,
    pub body: Vec<u8>,
    /// What the origin does when this step's request reaches it.
    pub origin: Resource,
}

/// The origin's side of a URL at one step.
#[derive(Clone, Debug)]
pub struct Resource {
    pub status: u16,
    pub body: Vec<u8>,
    /// Belong to the representation: the same as long as it is.
    pub representation: ScriptFields,
    /// Come with each answer.
    pub fields: ScriptFields,
    pub manner: Manner,
    pub failure: Option<Failure>,
    /// How long it takes.
    pub delay: Ms,
}

/// How a real origin treats conditions and ranges.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub conditions: bool,
    pub ranges: bool,
    pub chunked: bool,
    pub not_modified: NotModifiedFields,
}

/// What a 304 carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotModifiedFields {
    /// What RFC 9110 §15.4.5 asks for.
    Needed,
    All,
    /// Without validators.
    Bare,
    /// As needed, and some that are no business of a 304: content fields of a body it has not, a cookie.
    Odd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Status(u16),
    Drop,
    Cut,
}
