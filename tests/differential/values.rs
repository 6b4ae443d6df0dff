//! Values as they go over the wire, from values as a script has them.

use crate::history::{Fields, Ms};
use crate::script::{DateForm, DateMistake, ScriptFields, Value};
use std::time::{Duration, UNIX_EPOCH};

/// What a value may depend on.
pub struct Moment<'a> {
    /// When the sequence began.
    pub began: Ms,
    pub now: Ms,
    /// What the client was last sent for the URL.
    pub seen: &'a Fields,
}

impl Moment<'_> {
    pub fn fields(&self, script: &ScriptFields) -> Fields {
        script.iter().map(|(name, value)| (name.clone(), self.value(value))).collect()
    }

    fn value(&self, value: &Value) -> Vec<u8> {
        match value {
            Value::Text(bytes) => bytes.trim_ascii().to_vec(),
            Value::Soon(seconds, form) => date(self.now / 1000 + seconds, *form).into_bytes(),
            Value::Fixed(seconds, form) => date(self.began / 1000 + seconds, *form).into_bytes(),
            Value::Seen(name, before, after, otherwise) => {
                let seen = self.seen.iter().find(|(known, value)| known == name && !value.is_empty());
                match seen {
                    Some((_, seen)) => [before.as_bytes(), seen, after.as_bytes()].concat(),
                    None => otherwise.as_bytes().to_vec(),
                }
            }
        }
    }
}

fn date(seconds: Ms, form: DateForm) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).expect("after 1970"));
    let imf = httpdate::fmt_http_date(time);
    let words: Vec<&str> = imf.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let [weekday, day, month, year, clock, _] = words[..] else { panic!("{imf} is not a date") };
    match form {
        DateForm::Imf => imf,
        DateForm::Lower => imf.to_ascii_lowercase(),
        DateForm::Rfc850 => {
            let long = LONG.iter().find(|long| long.starts_with(weekday)).expect("a weekday");
            format!("{long}, {day}-{month}-{} {clock} GMT", &year[2..])
        }
        DateForm::Asctime => {
            let day = day.strip_prefix('0').map_or(day.to_owned(), |digit| format!(" {digit}"));
            format!("{weekday} {month} {day} {clock} {year}")
        }
        DateForm::Wrong(mistake) => match mistake {
            DateMistake::Zone => imf.replace("GMT", "UTC"),
            DateMistake::NoComma => imf.replace(',', ""),
            DateMistake::OneDigitHour => format!("{weekday}, {day} {month} {year} {} GMT", &clock[1..]),
            DateMistake::TwoDigitYear => format!("{weekday}, {day} {month} {} {clock} GMT", &year[2..]),
            DateMistake::DoubledBlank => imf.replacen(' ', "  ", 1),
            DateMistake::Dashes => format!("{weekday}, {day}-{month}-{year} {clock} GMT"),
            DateMistake::Weekday => {
                let other = if weekday == "Mon" { "Tue" } else { "Mon" };
                imf.replacen(weekday, other, 1)
            }
            DateMistake::Trailing => format!("{imf} x"),
        },
    }
}

const LONG: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
