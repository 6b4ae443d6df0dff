//! One copy of what Redis holds: the values, when each ends, and what was written lately.

use super::super::rng::Rng;
use super::LONGEST_LAG;
use super::wire::{bulk, number};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// A copy of the data.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Copy {
    values: BTreeMap<Vec<u8>, Value>,
    /// What the last writes took the place of, the latest at the end.
    replaced: VecDeque<(Duration, Vec<u8>, Option<Value>)>,
}

/// A value, and when it ends.
type Value = (Rc<[u8]>, Option<Duration>);

impl Copy {
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
                    Some((value, _)) => bulk(value).repeat(rng.index(5).saturating_add(1)),
                    None => Vec::new(),
                }
            }
        }
    }

    /// A value that has not ended.
    pub fn value(&self, key: &[u8], now: Duration) -> Option<&[u8]> {
        let (value, end) = self.values.get(key)?;
        end.is_none_or(|end| now < end).then_some(&**value)
    }

    /// The keys of all values that have not ended, and when each will.
    pub fn keys(&self, now: Duration) -> impl Iterator<Item = (&[u8], Option<Duration>)> {
        let all = self.values.iter().map(|(key, (_, end))| (key.as_slice(), *end));
        all.filter(move |(_, end)| end.is_none_or(|end| now < end))
    }

    /// Forgets the keys that `part` is part of.
    pub fn forget(&mut self, part: &[u8], now: Duration) {
        let is_part = |key: &[u8]| part.is_empty() || key.windows(part.len()).any(|found| found == part);
        let gone: Vec<_> = self.values.keys().filter(|key| is_part(key)).cloned().collect();
        for key in gone {
            self.put(&key, None, now);
        }
    }

    /// What was written since that moment was not written.
    pub fn fall_back(&mut self, moment: Duration) {
        while self.replaced.back().is_some_and(|(at, ..)| *at > moment) {
            match self.replaced.pop_back() {
                Some((_, key, Some(value))) => drop(self.values.insert(key, value)),
                Some((_, key, None)) => drop(self.values.remove(&key)),
                None => return,
            }
        }
    }

    /// Writes a value, or its absence.
    fn put(&mut self, key: &[u8], value: Option<Value>, now: Duration) {
        let former = match value {
            Some(value) => self.values.insert(key.to_vec(), value),
            None => self.values.remove(key),
        };
        self.replaced.push_back((now, key.to_vec(), former));
        let known = now.saturating_sub(LONGEST_LAG);
        while self.replaced.front().is_some_and(|(at, ..)| *at < known) {
            self.replaced.pop_front();
        }
    }

    /// Carries out a command.
    pub fn execute(&mut self, command: &[&[u8]], now: Duration) -> Vec<u8> {
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
                    self.put(key, None, now);
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
        let either = arguments.get(..2).unwrap_or_default();
        if self.value(key, now).is_none_or(|held| !either.contains(&held)) {
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
        self.put(key, Some((value.into(), end)), now);
        format!(":{len}\r\n").into_bytes()
    }

    fn expire(&mut self, key: &[u8], ms: &[u8], now: Duration) -> Vec<u8> {
        let Some(ms) = number(ms) else {
            return b"-ERR value is not an integer or out of range\r\n".to_vec();
        };
        let held = self.values.get(key).filter(|_| self.value(key, now).is_some());
        let Some((value, _)) = held else { return b":0\r\n".to_vec() };
        let end = now.saturating_add(Duration::from_millis(ms));
        self.put(key, Some((Rc::clone(value), Some(end))), now);
        b":1\r\n".to_vec()
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
        self.put(key, Some((value.into(), end)), now);
        b"+OK\r\n".to_vec()
    }
}

/// Command and arguments of the call in `local v=… if v==ARGV[1] or v==ARGV[2] then return redis.call('…',…) end return 0`.
fn sentence(lua: &str) -> Option<(&str, &str)> {
    let call = lua.strip_prefix("local v=redis.call('GET',KEYS[1]) if v==ARGV[1] or v==ARGV[2] ")?;
    let call = call.strip_prefix("then return redis.call('")?.strip_suffix(") end return 0")?;
    call.split_once("',")
}
