//! Field lines, and the lists in them (RFC 9110 §5).

use crate::history::Fields;

/// The values of all lines called `name`.
pub fn lines(fields: &Fields, name: &str) -> Vec<Vec<u8>> {
    fields.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
}

pub fn has(fields: &Fields, name: &str) -> bool {
    fields.iter().any(|(n, _)| n == name)
}

/// All lines called `name` as one value (RFC 9110 §5.2); `None` if there is no such line.
pub fn value(fields: &Fields, name: &str) -> Option<String> {
    let lines = lines(fields, name);
    if lines.is_empty() {
        return None;
    }
    Some(lines.iter().map(|line| text(line)).collect::<Vec<_>>().join(", "))
}

/// The value of the line called `name`, if there is exactly one.
pub fn only(fields: &Fields, name: &str) -> Option<String> {
    match lines(fields, name).as_slice() {
        [line] => Some(text(line)),
        _ => None,
    }
}

/// Bytes as characters, one each: nothing is lost, and equal bytes are equal text.
pub fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The names without their lines.
pub fn without(fields: &Fields, names: &[&str]) -> Fields {
    fields.iter().filter(|(name, _)| !names.contains(&name.as_str())).cloned().collect()
}

pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_tchar)
}

/// RFC 9110 §5.6.2.
pub fn is_tchar(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// The members of a list whose members hold no quoted commas: split, blanks dropped, empty ones gone.
pub fn simple_list(text: &str) -> Vec<String> {
    text.split(',').map(|member| blankless(member).to_owned()).filter(|member| !member.is_empty()).collect()
}

/// Without the blanks and tabs around it.
pub fn blankless(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A list whose members may hold quoted strings behind a `=` (RFC 9110 §5.6.1, §5.6.4).
#[derive(Debug, Default)]
pub struct List {
    /// The members up to the first quote that stands where none may, or that is never closed.
    pub clear: Vec<String>,
    /// What comes from there on, cut at its commas: nobody can say what it means.
    pub doubtful: Vec<String>,
}

pub fn list(text: &str) -> List {
    let mut list = List::default();
    let letters: Vec<char> = text.chars().collect();
    let mut start = 0;
    let mut at = 0;
    while at < letters.len() {
        match letters[at] {
            ',' => {
                list.clear.push(letters[start..at].iter().collect());
                start = at + 1;
            }
            '"' => {
                let placed = at > start && letters[at - 1] == '=';
                match closing(&letters, at).filter(|_| placed) {
                    Some(end) => at = end,
                    None => {
                        let rest: String = letters[start..].iter().collect();
                        list.doubtful = simple_list(&rest);
                        return trimmed(list);
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    list.clear.push(letters[start..].iter().collect());
    trimmed(list)
}

fn trimmed(mut list: List) -> List {
    list.clear = list.clear.iter().map(|member| blankless(member).to_owned()).collect();
    list.clear.retain(|member| !member.is_empty());
    list
}

/// Where the quoted string that opens at `open` closes.
fn closing(letters: &[char], open: usize) -> Option<usize> {
    let mut at = open + 1;
    while at < letters.len() {
        match letters[at] {
            '\\' => at += 1,
            '"' => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}
