//! The Redis behind all Envoys: GET, SET and DEL on a virtual clock, with every way to misbehave.
//!
//! It reads the pipelines itself rather than with the plugin's codec, so that a mistake there cannot cancel out.

use super::rng::Rng;
use std::collections::BTreeMap;
use std::time::Duration;

/// How Redis, and the way to it, behave. Chances are in thousandths of all pipelines.
#[derive(Clone, Debug)]
pub struct Mood {
    /// Shortest and longest round trip.
    pub delay: (Duration, Duration),
    /// How often no answer comes; the pipeline may have been carried out all the same.
    pub loss: u32,
    /// How often every command fails.
    pub error: u32,
    /// How often the answer is not what was asked for: noise, half an answer, none, or another key's value.
    pub garbage: u32,
}

impl Default for Mood {
    fn default() -> Self {
        Self { delay: (Duration::from_micros(200), Duration::from_millis(1)), loss: 0, error: 0, garbage: 0 }
    }
}

impl Mood {
    /// Not reachable: the proxy answers for it, at once.
    pub fn down() -> Self {
        Self { error: 1000, ..Self::default() }
    }

    /// How long one way takes this time.
    pub(super) fn way(&self, rng: &mut Rng) -> Duration {
        let half = |whole: Duration| whole.checked_div(2).unwrap_or_default();
        rng.duration(half(self.delay.0), half(self.delay.1))
    }

    /// Stopped: no answer ever comes.
    pub fn frozen() -> Self {
        Self { loss: 1000, ..Self::default() }
    }
}

/// The values, and when each ends.
#[derive(Debug, Default)]
pub(super) struct Redis {
    values: BTreeMap<Vec<u8>, (Vec<u8>, Option<Duration>)>,
}

impl Redis {
    /// Carries out a pipeline; `Err` if the bytes are not one.
    pub fn pipeline(&mut self, body: &[u8], now: Duration) -> Result<Vec<u8>, &'static str> {
        let mut rest = body;
        let mut replies = Vec::new();
        while !rest.is_empty() {
            let (command, behind) = command(rest)?;
            rest = behind;
            replies.extend(self.execute(&command, now));
        }
        Ok(replies)
    }

    /// What a proxy that cannot reach Redis answers to the pipeline.
    pub fn unreachable(body: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut rest = body;
        let mut replies = Vec::new();
        while !rest.is_empty() {
            (_, rest) = command(rest)?;
            replies.extend(b"-upstream failure\r\n");
        }
        Ok(replies)
    }

    /// An answer that is not the one to the question.
    pub fn garbage(&self, answer: &[u8], rng: &mut Rng) -> Vec<u8> {
        match rng.below(6) {
            0 => (0..rng.below(64)).map(|_| rng.bits().to_le_bytes().first().copied().unwrap_or(0)).collect(),
            1 => answer.get(..rng.index(answer.len())).unwrap_or_default().to_vec(),
            2 => b"*1000000000\r\n*1000000000\r\n".to_vec(),
            3 => b"$9999999999999999999\r\nx\r\n".to_vec(),
            4 => b":1\r\n".repeat(8),
            _ => {
                let keys: Vec<_> = self.values.keys().collect();
                match rng.pick(&keys).and_then(|key| self.values.get(*key)) {
                    Some((value, _)) => bulk(value).repeat(rng.index(3).saturating_add(1)),
                    None => Vec::new(),
                }
            }
        }
    }

    /// A value that has not ended.
    pub fn value(&self, key: &[u8], now: Duration) -> Option<&[u8]> {
        let (value, end) = self.values.get(key)?;
        end.is_none_or(|end| now < end).then_some(value.as_slice())
    }

    pub fn keys(&self, now: Duration) -> Vec<Vec<u8>> {
        self.values.keys().filter(|key| self.value(key, now).is_some()).cloned().collect()
    }

    fn execute(&mut self, command: &[&[u8]], now: Duration) -> Vec<u8> {
        let name = command.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        match (name.as_slice(), command.get(1..).unwrap_or_default()) {
            (b"GET", [key]) => self.value(key, now).map_or_else(|| b"$-1\r\n".to_vec(), bulk),
            (b"SET", [key, value, options @ ..]) => self.set(key, value, options, now),
            (b"APPEND", [key, more]) => self.append(key, more, now),
            (b"PEXPIRE", [key, ms]) => self.expire(key, ms, now),
            (b"EVAL", [text, b"1", key, arguments @ ..]) => self.eval(text, key, arguments, now),
            (b"DEL", keys) if !keys.is_empty() => {
                let held = keys.iter().filter(|key| self.value(key, now).is_some()).count();
                for key in keys {
                    self.values.remove(*key);
                }
                format!(":{held}\r\n").into_bytes()
            }
            _ => b"-ERR unknown command or wrong number of arguments\r\n".to_vec(),
        }
    }

    /// Of Lua it knows one sentence: a command on a value that is still what somebody says.
    fn eval(&mut self, text: &[u8], key: &[u8], arguments: &[&[u8]], now: Duration) -> Vec<u8> {
        let Some((command, words)) = std::str::from_utf8(text).ok().and_then(sentence) else {
            return b"-ERR Error compiling script (new function)\r\n".to_vec();
        };
        let said = arguments.first();
        if self.value(key, now).is_none_or(|held| said.is_none_or(|said| held != *said)) {
            return b":0\r\n".to_vec();
        }
        let word = |word: &str| match word.strip_prefix("ARGV[").and_then(|n| n.strip_suffix(']')) {
            Some(n) => arguments.get(n.parse::<usize>().ok()?.checked_sub(1)?).copied(),
            None => (word == "KEYS[1]").then_some(key),
        };
        let words: Option<Vec<&[u8]>> = words.split(',').map(word).collect();
        let words = [vec![command.as_bytes()], words.unwrap_or_default()].concat();
        self.execute(&words, now)
    }

    fn append(&mut self, key: &[u8], more: &[u8], now: Duration) -> Vec<u8> {
        let held = self.value(key, now).map(<[u8]>::to_vec);
        let end = held.as_ref().and_then(|_| self.values.get(key)?.1);
        let value = [held.unwrap_or_default(), more.to_vec()].concat();
        let len = value.len();
        self.values.insert(key.to_vec(), (value, end));
        format!(":{len}\r\n").into_bytes()
    }

    fn expire(&mut self, key: &[u8], ms: &[u8], now: Duration) -> Vec<u8> {
        let Some(ms) = number(ms) else {
            return b"-ERR value is not an integer or out of range\r\n".to_vec();
        };
        let is_there = self.value(key, now).is_some();
        if let Some((_, end)) = self.values.get_mut(key).filter(|_| is_there) {
            *end = Some(now.saturating_add(Duration::from_millis(ms)));
        }
        format!(":{}\r\n", u8::from(is_there)).into_bytes()
    }

    fn set(&mut self, key: &[u8], value: &[u8], options: &[&[u8]], now: Duration) -> Vec<u8> {
        let mut end = None;
        let mut only_new = false;
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match option.to_ascii_uppercase().as_slice() {
                b"NX" => only_new = true,
                b"PX" => match options.next().and_then(|ms| number(ms)).filter(|ms| *ms > 0) {
                    Some(ms) => end = Some(now.saturating_add(Duration::from_millis(ms))),
                    None => return b"-ERR invalid expire time in 'set' command\r\n".to_vec(),
                },
                _ => return b"-ERR syntax error\r\n".to_vec(),
            }
        }
        if only_new && self.value(key, now).is_some() {
            return b"$-1\r\n".to_vec();
        }
        self.values.insert(key.to_vec(), (value.to_vec(), end));
        b"+OK\r\n".to_vec()
    }
}

/// Command and arguments of `if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('…',…) end return 0`.
fn sentence(lua: &str) -> Option<(&str, &str)> {
    let call = lua.strip_prefix("if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('")?;
    call.strip_suffix(") end return 0")?.split_once("',")
}

/// Splits the first command off a pipeline.
fn command(bytes: &[u8]) -> Result<(Vec<&[u8]>, &[u8]), &'static str> {
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

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn bulk(value: &[u8]) -> Vec<u8> {
    let mut bulk = format!("${}\r\n", value.len()).into_bytes();
    bulk.extend_from_slice(value);
    bulk.extend_from_slice(b"\r\n");
    bulk
}
