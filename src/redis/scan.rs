//! Where do complete RESP values end in a buffer that still grows?
//!
//! Envoy hands a network filter that holds data back the whole accumulated buffer on every event. Parsing it from
//! its start each time would be quadratic in a large value, so the scanner remembers where it stopped: inside a
//! line, inside a bulk string (whose bytes it never looks at), or between the elements of arrays, of which it keeps
//! only how many values are still missing. It also says how long the buffer must be before looking again is of any
//! use, which spares the caller even the copying of a buffer that holds half a bulk string.

use super::resp::{Head, MAX_ARGUMENTS, MAX_DEPTH, RespError, bulk_end, head};

/// Which values may stand in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// Whatever Redis may answer.
    Replies,
    /// Arrays of 1 to [`MAX_ARGUMENTS`] bulk strings, none of them null.
    Commands,
}

/// How far the scan has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The buffer ends inside a value or before one.
    NeedMore {
        /// Length of the buffer below which a further call finds nothing new.
        at_least: usize,
    },
    /// One more top-level value is complete.
    Complete {
        /// Offset in the buffer of the first byte behind it.
        end: usize,
    },
    /// No continuation can make this RESP. The scanner stays here.
    Invalid(RespError),
}

/// A position in a growing buffer.
#[derive(Clone, Debug)]
pub struct Scanner {
    grammar: Grammar,
    /// Offset of the item the scan stands before or in.
    at: usize,
    item: Item,
    /// For each open array, outermost first, how many of its elements are still missing.
    open: Vec<usize>,
    #[cfg(test)]
    pub(super) examined: usize,
}

#[derive(Clone, Copy, Debug)]
enum Item {
    Line { searched: usize },
    Bulk { length: usize },
    Broken(RespError),
}

impl Scanner {
    /// A scanner at the start of an empty buffer.
    pub fn new(grammar: Grammar) -> Self {
        Self {
            grammar,
            at: 0,
            item: Item::Line { searched: 0 },
            open: Vec::new(),
            #[cfg(test)]
            examined: 0,
        }
    }

    /// Scans on to the end of the next top-level value.
    ///
    /// `buffer` starts with the bytes of all earlier calls; each value is reported once.
    pub fn advance(&mut self, buffer: &[u8]) -> Progress {
        loop {
            let rest = buffer.get(self.at..).unwrap_or_default();
            let finished = match self.item {
                Item::Broken(error) => Err(error),
                Item::Line { searched } => self.line(rest, searched),
                Item::Bulk { length } => self.bulk(rest, length),
            };
            match finished {
                Err(error) => {
                    self.item = Item::Broken(error);
                    return Progress::Invalid(error);
                }
                Ok(Scan::NeedMore { behind }) => {
                    return Progress::NeedMore { at_least: self.at.saturating_add(behind) };
                }
                Ok(Scan::Inside) => {}
                Ok(Scan::Value) => {
                    if self.close_arrays() {
                        return Progress::Complete { end: self.at };
                    }
                }
            }
        }
    }

    fn line(&mut self, rest: &[u8], searched: usize) -> Result<Scan, RespError> {
        let mut now_searched = searched;
        let found = head(rest, &mut now_searched);
        #[cfg(test)]
        {
            self.examined += now_searched - searched + 3;
        }
        let Some((head, length)) = found? else {
            self.item = Item::Line { searched: now_searched };
            return Ok(Scan::NeedMore { behind: rest.len().saturating_add(1) });
        };
        self.check(head)?;
        self.at = self.at.saturating_add(length);
        self.item = Item::Line { searched: 0 };
        match head {
            Head::Bulk(length) => self.item = Item::Bulk { length },
            Head::Array(_) if self.open.len() >= MAX_DEPTH => return Err(RespError::TooDeep),
            Head::Array(count @ 1..) => self.open.push(count),
            _ => return Ok(Scan::Value),
        }
        Ok(Scan::Inside)
    }

    /// A command is an array of bulk strings and nothing else.
    fn check(&self, head: Head<'_>) -> Result<(), RespError> {
        match (self.grammar, self.open.is_empty(), head) {
            (Grammar::Replies, ..) | (Grammar::Commands, false, Head::Bulk(_)) => Ok(()),
            (Grammar::Commands, true, Head::Array(1..=MAX_ARGUMENTS)) => Ok(()),
            (Grammar::Commands, true, Head::Array(_)) => Err(RespError::BadArrayLength),
            (Grammar::Commands, ..) => Err(RespError::UnexpectedType),
        }
    }

    fn bulk(&mut self, rest: &[u8], length: usize) -> Result<Scan, RespError> {
        #[cfg(test)]
        {
            self.examined += 2;
        }
        let whole = length.saturating_add(2);
        if bulk_end(rest.get(length..).unwrap_or_default())?.is_none() {
            return Ok(Scan::NeedMore { behind: whole });
        }
        self.at = self.at.saturating_add(whole);
        self.item = Item::Line { searched: 0 };
        Ok(Scan::Value)
    }

    /// Books a finished value on the arrays it ends; whether it ended the outermost one.
    fn close_arrays(&mut self) -> bool {
        while let Some(missing) = self.open.last_mut() {
            *missing = missing.saturating_sub(1);
            if *missing > 0 {
                return false;
            }
            self.open.pop();
        }
        true
    }
}

/// What one item came to.
enum Scan {
    NeedMore { behind: usize },
    Inside,
    Value,
}

#[cfg(test)]
mod tests;
