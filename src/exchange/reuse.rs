//! Whether what is stored or shared may answer a request (RFC 9111 §4).
//!
//! Two questions: does it fit, by permission and selection, and is it fresh enough for this client? A request's own
//! wishes (§5.2.1) count only where the rule honours them.

use super::{Action, Context, Exchange, Held, Sender};
use crate::config::plan::Advice;
use crate::flight::{Answer, Origin, Outcome, Token};
use crate::http::key::Key;
use crate::http::no_vary_search::NoVarySearch;
use crate::http::request::is_safe;
use crate::http::validators::Condition;
use crate::http::{Fields, Reason, RequestHead, vary};
use crate::store::Entry;
use crate::time::Wall;
use std::rc::Rc;

impl Exchange {
    /// Whether a stale response may answer while it is fetched anew (RFC 5861 §3).
    pub(super) fn may_refresh(&self, held: &Held, context: &Context<'_>) -> bool {
        let advice = context.rule.cache.request_directives;
        let may = |entry: Entry<'_>| may_refresh(&entry, &self.request, advice, context.now);
        self.sender == Sender::Client && context.refreshes && Entry::read(held).is_some_and(may)
    }

    /// Whether a response that fits may be reused as it is. A refresh is there to find a fresher one.
    pub(super) fn answers(&self, entry: &Entry<'_>, context: &Context<'_>) -> bool {
        let is_news = match self.sender {
            Sender::Refresh(known) => entry.meta.received_at > known,
            Sender::Client | Sender::Detached(_) | Sender::Refetch => true,
        };
        is_news && answers(entry, &self.request, context.rule.cache.request_directives, context.now)
    }

    /// Why a response that fits is not reused as it is.
    pub(super) fn unused(&self, held: &Held, context: &Context<'_>) -> Reason {
        let is_fresh = Entry::read(held).is_some_and(|entry| entry.is_fresh(context.now));
        if is_fresh && !self.sender.is_refresh() { Reason::RequestDirectives } else { Reason::Stale }
    }

    /// Whether a response says of the query what the request was brought under one key with others by.
    pub(super) fn is_as_searched(&self, fields: &Fields) -> bool {
        self.searched.as_ref().is_none_or(|(search, _)| NoVarySearch::read(fields).as_ref() == Some(search))
    }

    /// What to ask the upstream about a stored response that may not be reused as it is (RFC 9111 §4.3.1).
    pub(super) fn condition(&self, held: &Held, context: &Context<'_>) -> Option<Condition> {
        let entry = Entry::read(held).filter(|entry| self.is_cacheable() && self.fits(entry))?;
        // A part that is wanted only of one representation is for the upstream to judge. And whoever asks about what is
        // stored by POST is told 412, not 304 (RFC 9110 §13.1.2).
        // What is sent again is to bring all of it, whatever is stored meanwhile.
        let asks = context.rule.cache.enabled
            && !self.request.if_range
            && is_safe(&self.fields)
            && self.sender != Sender::Refetch;
        entry.condition().filter(|_| asks)
    }

    /// A write has a key too, but nothing stored answers it.
    pub(super) fn usable_on_error(&self, held: Held, changed_at: Wall, now: Wall) -> Option<Held> {
        let entry = Entry::read(&held).filter(|_| self.is_cacheable())?;
        (entry.requested_at() > changed_at && entry.is_usable_on_error(now) && self.fits(&entry))
            .then_some(Rc::clone(&held))
    }

    /// A stale copy in place of a failure answers all who wait. A refresh has failed nevertheless.
    pub(super) fn stand_in(
        &self,
        token: Option<Token>,
        origin: Origin,
        entry: Held,
        failure: Answer,
    ) -> Vec<Action> {
        let stale = Answer::new(origin, entry);
        let own = if self.sender.is_refresh() { failure } else { stale.clone() };
        let end = token.map(|token| Action::End(token, Outcome::Answer(stale)));
        std::iter::once(Action::Serve(own)).chain(end).collect()
    }

    /// Whether a stored or shared response may answer this request: permission first, then selection.
    pub fn fits(&self, entry: &Entry<'_>) -> bool {
        self.key().is_some_and(|key| fits(entry, key, &self.request, &self.fields))
    }
}

/// Whether an entry that fits a request may be reused as it is: it is fresh, or the client takes it so stale
/// (RFC 9111 §4.2, §5.2.1.2).
pub fn answers(entry: &Entry<'_>, request: &RequestHead, advice: Advice, now: Wall) -> bool {
    let max_stale = request.directives.max_stale;
    let allowed =
        entry.is_fresh(now) || max_stale.is_some_and(|max_stale| entry.is_within_stale(max_stale, now));
    allowed && (advice == Advice::Ignore || suits(entry, request, now))
}

/// Whether a stale entry may answer while it is fetched anew (RFC 5861 §3).
pub fn may_refresh(entry: &Entry<'_>, request: &RequestHead, advice: Advice, now: Wall) -> bool {
    entry.is_within_refresh(now) && (advice == Advice::Ignore || suits(entry, request, now))
}

/// Whether an entry is as fresh as the client wants it (RFC 9111 §5.2.1.1, §5.2.1.3, §5.2.1.4).
fn suits(entry: &Entry<'_>, request: &RequestHead, now: Wall) -> bool {
    let wants = &request.directives;
    !wants.no_cache
        && wants.max_age.is_none_or(|max_age| entry.age(now) <= max_age)
        && wants.min_fresh.is_none_or(|min_fresh| entry.meta.fresh_until.since(now) >= min_fresh)
}

/// Whether an entry may answer a request: the key is the same to the byte, what selected the entry selects it again
/// (RFC 9111 §4.1), and a request with `Authorization` gets only what permits it (RFC 9111 §3.5).
pub fn fits(entry: &Entry<'_>, key: &Key, request: &RequestHead, fields: &Fields) -> bool {
    entry.key == key.bytes()
        && (!request.authorization || entry.meta.authorized || key.is_partitioned())
        && vary::matches(entry.selecting, fields)
}
