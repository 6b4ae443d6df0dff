//! The rules an answer can break, each with where it is written.

use std::fmt;

/// How bad a difference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An RFC says MUST or MUST NOT.
    Must,
    /// Breakwater has promised it beyond the RFC.
    Promise,
    /// The origin was asked, or more was sent, though the store had an answer that was promised to be used.
    Missed,
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident = $kind:ident, $section:literal;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule { $($(#[doc = $doc])+ $name,)+ }

        impl Rule {
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            pub fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)+ }
            }

            /// Where it is written.
            pub fn section(self) -> &'static str {
                match self { $(Self::$name => $section,)+ }
            }

            /// What it says.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

rules! {
    /// a response to a method that is not stored for this one answered
    Method = Must, "RFC 9111 §3, §4";
    /// must-understand, and the status is not understood
    MustUnderstand = Must, "RFC 9111 §5.2.2.3";
    /// the response said no-store
    NoStore = Must, "RFC 9111 §5.2.2.5";
    /// the request that brought the response said no-store
    RequestNoStore = Must, "RFC 9111 §5.2.1.5";
    /// the response was private
    Private = Must, "RFC 9111 §5.2.2.7";
    /// a field that private named was shown to another
    PrivateFields = Must, "RFC 9111 §5.2.2.7";
    /// no-cache, and the origin was not asked
    NoCache = Must, "RFC 9111 §5.2.2.4";
    /// a field that no-cache named was sent though the origin was not asked
    NoCacheFields = Must, "RFC 9111 §5.2.2.4";
    /// the response to an authorized request was shared without permission
    Authorization = Must, "RFC 9111 §3.5";
    /// nothing in the response permits to store it
    NothingPermits = Must, "RFC 9111 §3";
    /// a broken off response was taken for a whole one
    Incomplete = Must, "RFC 9111 §3.3";
    /// the request fields that Vary names were others
    Vary = Must, "RFC 9111 §4.1";
    /// a stale response was used without permission
    Stale = Must, "RFC 9111 §4.2.4";
    /// a response was used that an unsafe request had made invalid
    Invalidated = Must, "RFC 9111 §4.4";
    /// an older response was used though a newer one was stored
    Superseded = Must, "RFC 9111 §4";
    /// Age is missing or wrong
    Age = Must, "RFC 9111 §4, §4.2.3, §5.1";
    /// a field of the stored response was changed, lost or made up
    Fields = Must, "RFC 9111 §3.1, §3.2, §4.3.4";
    /// a field of the connection was stored
    HopByHop = Must, "RFC 9111 §3.1";
    /// the body is not the stored one
    Body = Must, "RFC 9111 §4; RFC 9110 §15.3";
    /// 304 though the client has something else
    NotModified = Must, "RFC 9111 §4.3.2; RFC 9110 §13.1";
    /// 304 to a client that did not ask for it
    NotModifiedUnasked = Must, "RFC 9111 §4.3.3; RFC 9110 §15.4.5";
    /// a field that a 304 must carry is missing or another
    NotModifiedFields = Must, "RFC 9110 §15.4.5";
    /// a part that was not asked for, or other bytes than its Content-Range says
    Partial = Must, "RFC 9110 §14.2, §15.3.7";
    /// a part though If-Range names another representation
    IfRange = Must, "RFC 9110 §13.1.5";
    /// 416 though a range could be satisfied, or without the length
    Unsatisfiable = Must, "RFC 9110 §14.2, §15.5.17";
    /// the origin's answer was changed on its way
    Relay = Must, "RFC 9110 §7.7, §7.6.1";
    /// the client's request was changed on its way
    Forwarded = Must, "RFC 9110 §7.6.1; RFC 9111 §4.1";
    /// the origin was asked about a validator that it had not given for this URL
    ForeignValidator = Must, "RFC 9111 §4.3.1";
    /// an answer that nobody gave
    Fabricated = Must, "RFC 9110 §7.7";
    /// no whole answer, though the origin gave one
    Unanswered = Must, "RFC 9110 §7.7";
    /// the origin was asked in spite of only-if-cached
    OnlyIfCached = Promise, "RFC 9111 §5.2.1.7; README";
    /// a response that sets a cookie was shared
    SetCookie = Promise, "README, What is cached";
    /// a URL in Location or Content-Location of a write stayed valid
    InvalidatedOther = Promise, "RFC 9111 §4.4; README";
    /// Cache-Status does not say what happened
    CacheStatus = Promise, "RFC 9211 §2; README";
    /// the origin was asked though a fresh response was stored
    MissedReuse = Missed, "RFC 9111 §4";
    /// the origin was asked for all although a stored response could have been validated
    MissedValidation = Missed, "RFC 9111 §4.3.1";
    /// an error was passed on though a stale response was stored
    MissedStale = Missed, "RFC 5861 §4; README, stale_if_error";
    /// the origin was asked though the client would have taken what was stale
    MissedMaxStale = Missed, "RFC 9111 §5.2.1.2";
    /// the client was sent what it has
    MissedNotModified = Missed, "RFC 9111 §4.3.2";
    /// the client was sent all of it for a part
    MissedPart = Missed, "RFC 9110 §14.2";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} ({})", self, self.text(), self.section())
    }
}

/// A rule, and how it was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub rule: Rule,
    pub what: String,
}

pub fn breach(rule: Rule, what: impl Into<String>) -> Breach {
    Breach { rule, what: what.into() }
}
