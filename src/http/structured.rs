//! The lines of one Structured Field (RFC 9651), read as a dictionary or as a list.
//!
//! The grammar is the `sfv` crate's, and as strict as the RFC wants it: one wrong byte anywhere, and there is nothing.
//! Here its events become the few plain values that caching fields have. Parameters are checked and left out, since
//! none of these fields gives them a meaning; what no such field may hold, such as a date, is [`Value::Other`].

use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser, StringRef, TokenRef};
use std::borrow::Cow;
use std::convert::Infallible;

/// A member of a dictionary or list, or an item of an inner list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Boolean(bool),
    Integer(i64),
    String(Cow<'a, str>),
    Token(&'a str),
    List(Vec<Self>),
    Other,
}

/// The members of a dictionary.
#[derive(Debug, Default)]
pub(super) struct Dictionary<'a>(Vec<(&'a str, Value<'a>)>);

impl<'a> Dictionary<'a> {
    /// The value of `key`: the last one, where it stands twice (RFC 9651 §3.2).
    pub(super) fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.0.iter().rev().find_map(|(name, value)| (*name == key).then_some(value))
    }

    /// Whether there is no member, which is how the absence of the field reads too.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The lines as the one value they are, whatever lies in between (RFC 9651 §4.2).
pub(super) fn join<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Cow<'a, [u8]> {
    let mut whole = Cow::Borrowed(lines.next().unwrap_or_default());
    for line in lines {
        let whole = whole.to_mut();
        whole.extend_from_slice(b", ");
        whole.extend_from_slice(line);
    }
    whole
}

/// The value as a dictionary; `None` if it is none.
pub(super) fn dictionary(whole: &[u8]) -> Option<Dictionary<'_>> {
    Parser::new(whole).parse_dictionary_with_visitor(Dictionary::default()).ok()
}

/// The value as a list; `None` if it is none.
pub(super) fn list(whole: &[u8]) -> Option<Vec<Value<'_>>> {
    Parser::new(whole).parse_list_with_visitor(List(Vec::new())).ok()
}

impl<'a> From<BareItemFromInput<'a>> for Value<'a> {
    fn from(item: BareItemFromInput<'a>) -> Self {
        match item {
            BareItemFromInput::Boolean(boolean) => Self::Boolean(boolean),
            BareItemFromInput::Integer(integer) => Self::Integer(integer.into()),
            BareItemFromInput::String(Cow::Borrowed(text)) => Self::String(StringRef::as_str(text).into()),
            BareItemFromInput::String(Cow::Owned(text)) => Self::String(String::from(text).into()),
            BareItemFromInput::Token(token) => Self::Token(TokenRef::as_str(token)),
            _ => Self::Other,
        }
    }
}

struct List<'a>(Vec<Value<'a>>);

/// Where the next member's value goes.
struct Place<'v, 'a>(&'v mut Value<'a>);

/// Where the items of an inner list go.
struct Items<'v, 'a>(&'v mut Vec<Value<'a>>);

/// A place for one more value at the end of `values`.
fn next<T>(values: &mut Vec<T>, value: T) -> Option<&mut T> {
    values.push(value);
    values.last_mut()
}

impl<'a> DictionaryVisitor<'a> for Dictionary<'a> {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'a KeyRef) -> Result<impl EntryVisitor<'a>, Infallible> {
        Ok(next(&mut self.0, (key.as_str(), Value::Other)).map(|(_, value)| Place(value)))
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

impl<'a> ListVisitor<'a> for List<'a> {
    type Out = Vec<Value<'a>>;
    type Error = Infallible;

    fn entry(&mut self) -> Result<impl EntryVisitor<'a>, Infallible> {
        Ok(next(&mut self.0, Value::Other).map(Place))
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.0)
    }
}

impl<'v, 'a> EntryVisitor<'a> for Place<'v, 'a> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, Infallible> {
        *self.0 = Value::List(Vec::new());
        match self.0 {
            Value::List(items) => Ok(Some(Items(items))),
            _ => Ok(None),
        }
    }
}

impl<'a> ItemVisitor<'a> for Place<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItemFromInput<'a>,
    ) -> Result<impl ParameterVisitor<'a, Out = ()>, Infallible> {
        *self.0 = item.into();
        Ok(Ignored)
    }
}

impl<'a> InnerListVisitor<'a> for Items<'_, 'a> {
    type Error = Infallible;

    fn item(&mut self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(next(self.0, Value::Other).map(Place))
    }

    fn finish(self) -> Result<impl ParameterVisitor<'a>, Infallible> {
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests;
