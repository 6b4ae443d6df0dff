//! The bytes of commands and replies.

/// Splits the first command off a pipeline.
pub(super) fn command(bytes: &[u8]) -> Result<(Vec<&[u8]>, &[u8]), &'static str> {
    let (count, mut rest) = header(bytes, b'*').ok_or("no array begins where a command should")?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (len, behind) = header(rest, b'$').ok_or("no bulk string begins where a word should")?;
        let len = usize::try_from(len).map_err(|_| "a word longer than memory")?;
        let (word, behind) = behind.split_at_checked(len).ok_or("a word ends early")?;
        rest = behind.strip_prefix(b"\r\n").ok_or("a word does not end where it says")?;
        words.push(word);
    }
    if words.is_empty() { Err("a command without words") } else { Ok((words, rest)) }
}

fn header(bytes: &[u8], kind: u8) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let (digits, rest) = rest.split_at_checked(end)?;
    (*first == kind).then_some((number(digits)?, rest.strip_prefix(b"\r\n")?))
}

pub(super) fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

pub(super) fn bulk(value: &[u8]) -> Vec<u8> {
    let mut bulk = format!("${}\r\n", value.len()).into_bytes();
    bulk.extend_from_slice(value);
    bulk.extend_from_slice(b"\r\n");
    bulk
}

/// A pipeline or its replies as a line to read, without their lengths and the most of what is long.
pub fn short(bytes: &[u8]) -> String {
    let lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let told = lines.filter(|line| !matches!(line, [] | [b'*' | b'$', b'0'..=b'9', ..]));
    let cut = |line: &[u8]| line.get(..line.len().min(44)).unwrap_or_default().escape_ascii().to_string();
    told.map(cut).collect::<Vec<_>>().join(" ")
}
