//! What Cache-Control says (RFC 9111 §5.2), as flags and durations.
//!
//! One scanner walks the bytes member by member; nothing is allocated, nothing can fail. Doubt is resolved towards
//! the upstream: whatever shrinks reuse (`no-store`, a shorter lifetime) counts even where it is badly written,
//! whatever widens it (`public`, a lifetime) counts only where it is well formed. So an unknown directive is ignored
//! alone, a freshness directive with a bad number means "stale" (§4.2.1), of two that disagree the shorter counts,
//! and after a quote that is misplaced or never closed nothing that permits is believed.

use std::time::Duration;

/// The largest number of seconds told apart; more means "very long" (RFC 9111 §1.2.2).
pub const MAX_DELTA_SECONDS: u64 = 2_147_483_647;

/// Cache-Control of a response (RFC 9111 §5.2.2, RFC 5861).
///
/// A lifetime of zero also stands for one that was stated and not understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// Not to be stored (§5.2.2.5).
    pub no_store: bool,
    /// Not to be reused without validation (§5.2.2.4); also where it names fields only.
    pub no_cache: bool,
    /// For one user (§5.2.2.7); also where it names fields only.
    pub private: bool,
    /// For everybody (§5.2.2.9).
    pub public: bool,
    /// Never served stale (§5.2.2.2).
    pub must_revalidate: bool,
    /// Never served stale by a shared cache (§5.2.2.8).
    pub proxy_revalidate: bool,
    /// Stored only by those who know the status code, and by them in spite of no-store (§5.2.2.3).
    pub must_understand: bool,
    /// Lifetime (§5.2.2.1).
    pub max_age: Option<Duration>,
    /// Lifetime in shared caches (§5.2.2.10).
    pub s_maxage: Option<Duration>,
    /// How long past its lifetime it may stand in for an error (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
    /// How long past its lifetime it may be served while it is refreshed (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
}

impl ResponseDirectives {
    /// Reads all lines of the field.
    pub fn parse<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut directives = Self::default();
        values.for_each(|value| directives.read_line(value));
        directives
    }

    /// Reads one more line of the field.
    pub(super) fn read_line(&mut self, line: &[u8]) {
        for directive in Directives::of(line) {
            let mut space = Name::default();
            match space.lower(directive.name) {
                b"no-store" => self.no_store = true,
                b"no-cache" => self.no_cache = true,
                b"private" => self.private = true,
                b"must-revalidate" => self.must_revalidate = true,
                b"proxy-revalidate" => self.proxy_revalidate = true,
                b"public" => self.public |= directive.is_plain(),
                b"must-understand" => self.must_understand |= directive.is_plain(),
                b"max-age" => shorten(&mut self.max_age, directive.lifetime()),
                b"s-maxage" => shorten(&mut self.s_maxage, directive.lifetime()),
                b"stale-if-error" => shorten(&mut self.stale_if_error, directive.lifetime()),
                b"stale-while-revalidate" => shorten(&mut self.stale_while_revalidate, directive.lifetime()),
                _ => {}
            }
        }
    }
}

/// Cache-Control of a request (RFC 9111 §5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// Neither this request nor its response is to be stored (§5.2.1.5).
    pub no_store: bool,
    /// Not to be answered without validation (§5.2.1.4).
    pub no_cache: bool,
    /// To be answered from the store or not at all (§5.2.1.7).
    pub only_if_cached: bool,
    /// The greatest age taken (§5.2.1.1); zero where the number is bad.
    pub max_age: Option<Duration>,
    /// How long the response must stay fresh (§5.2.1.3); a bad number is ignored.
    pub min_fresh: Option<Duration>,
    /// How long past its lifetime a response is taken (§5.2.1.2): `Duration::MAX` without a number, zero where the
    /// number is bad.
    pub max_stale: Option<Duration>,
}

impl RequestDirectives {
    /// Reads all lines of the field.
    pub fn parse<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut directives = Self::default();
        values.for_each(|value| directives.read_line(value));
        directives
    }

    /// Whether it asks for a response that is fresher than being fresh makes it (§5.2.1.1, §5.2.1.3, §5.2.1.4).
    pub fn asks_fresher(&self) -> bool {
        self.no_cache || self.max_age.is_some() || self.min_fresh.is_some()
    }

    /// Reads one more line of the field.
    pub(super) fn read_line(&mut self, line: &[u8]) {
        for directive in Directives::of(line) {
            let mut space = Name::default();
            match space.lower(directive.name) {
                b"no-store" => self.no_store = true,
                b"no-cache" => self.no_cache = true,
                b"only-if-cached" => self.only_if_cached = true,
                b"max-age" => shorten(&mut self.max_age, directive.lifetime()),
                b"min-fresh" => self.min_fresh = self.min_fresh.max(directive.seconds()),
                b"max-stale" if directive.is_plain() => shorten(&mut self.max_stale, Duration::MAX),
                b"max-stale" => shorten(&mut self.max_stale, directive.lifetime()),
                _ => {}
            }
        }
    }
}

/// One member of the list.
struct Directive<'a> {
    name: &'a [u8],
    /// A token, or a quoted string's inside with its backslashes.
    argument: Option<&'a [u8]>,
    /// Whether it is written as the grammar has it, and so may widen reuse.
    sound: bool,
}

impl Directive<'_> {
    /// Well formed and without argument.
    fn is_plain(&self) -> bool {
        self.sound && self.argument.is_none()
    }

    /// delta-seconds, bare or quoted (§1.2.2).
    fn seconds(&self) -> Option<Duration> {
        self.argument.filter(|_| self.sound).and_then(delta_seconds)
    }

    /// As `seconds`; what is no number is no time at all (§4.2.1).
    fn lifetime(&self) -> Duration {
        self.seconds().unwrap_or(Duration::ZERO)
    }
}

/// A number of seconds, all digits, cut off at [`MAX_DELTA_SECONDS`] (RFC 9111 §1.2.2).
pub(super) fn delta_seconds(digits: &[u8]) -> Option<Duration> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = digits.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(u64::from(digit.saturating_sub(b'0')))
    });
    Some(Duration::from_secs(seconds.min(MAX_DELTA_SECONDS)))
}

fn shorten(slot: &mut Option<Duration>, duration: Duration) {
    *slot = Some(slot.map_or(duration, |known| known.min(duration)));
}

/// Room for the longest known name, `stale-while-revalidate`.
#[derive(Default)]
struct Name([u8; 22]);

impl Name {
    /// `name` in lower case; empty if it is longer than any known one.
    fn lower(&mut self, name: &[u8]) -> &[u8] {
        let Some(space) = self.0.get_mut(..name.len()) else { return &[] };
        space.copy_from_slice(name);
        space.make_ascii_lowercase();
        space
    }
}

/// Walks the members of one line.
struct Directives<'a> {
    rest: &'a [u8],
    /// A quote stood where none belongs: the border between text and directive is guesswork from here on.
    doubtful: bool,
}

impl<'a> Directives<'a> {
    fn of(line: &'a [u8]) -> Self {
        Self { rest: line, doubtful: false }
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !belongs(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    fn take(&mut self, byte: u8) -> bool {
        let rest = self.rest.strip_prefix(&[byte]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// The inside of a quoted string whose opening quote is taken; nothing is taken if it never closes.
    fn take_quoted(&mut self) -> Option<&'a [u8]> {
        let mut escaped = false;
        let end = self.rest.iter().position(|byte| {
            let closes = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            closes
        })?;
        let (inside, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        self.take(b'"').then_some(inside)
    }
}

impl<'a> Iterator for Directives<'a> {
    type Item = Directive<'a>;

    fn next(&mut self) -> Option<Directive<'a>> {
        loop {
            self.take_while(|byte| is_blank(byte) || byte == b',');
            if self.rest.is_empty() {
                return None;
            }
            let name = self.take_while(is_token);
            let mut sound = true;
            let mut argument = None;
            let blank_before = !self.take_while(is_blank).is_empty();
            if self.take(b'=') {
                let blank_after = !self.take_while(is_blank).is_empty();
                sound = !blank_before && !blank_after;
                if self.take(b'"') {
                    argument = self.take_quoted();
                    self.doubtful |= argument.is_none();
                }
                argument = argument.or_else(|| Some(self.take_while(is_token)));
            }
            self.take_while(is_blank);
            let stray = self.take_while(|byte| byte != b',');
            sound &= stray.is_empty();
            self.doubtful |= stray.contains(&b'"');
            if !name.is_empty() {
                return Some(Directive { name, argument, sound: sound && !self.doubtful });
            }
        }
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// `tchar` (RFC 9110 §5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
pub(super) mod tests;
