//! Fields as lines, for those who change them one by one.

use crate::http::Fields;
use std::rc::Rc;

/// Field lines that can be changed one by one, and are passed on without being copied.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Lines(Rc<Vec<(Vec<u8>, Vec<u8>)>>);

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        f.debug_map().entries(self.0.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

impl Lines {
    /// The lines of a block.
    pub fn of(fields: &Fields) -> Self {
        Self(Rc::new(fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()))
    }

    /// The same with one more line.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.add(name, value.as_bytes());
        self
    }

    /// Adds a line.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        Rc::make_mut(&mut self.0).push((name.as_bytes().to_vec(), value.to_vec()));
    }

    /// Replaces all lines of a name by one, or by none.
    pub fn set(&mut self, name: &str, value: Option<&[u8]>) {
        if self.get(name).is_some() {
            Rc::make_mut(&mut self.0).retain(|(n, _)| n != name.as_bytes());
        }
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find_map(|(n, v)| (n == name.as_bytes()).then_some(v.as_slice()))
    }

    /// The block of these lines.
    pub fn to_fields(&self) -> Fields {
        Fields::of(self.0.iter().map(|(name, value)| (name.as_slice(), value.as_slice())))
    }
}
