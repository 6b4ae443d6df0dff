//! Values of single fields: drawn from their grammar, and then perhaps bent a little.

use crate::rng::Rng;
use crate::script::{DateForm, DateMistake, Value};

pub fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into().chars().map(|c| c as u8).collect())
}

/// A Cache-Control value of directives.
pub fn list(rng: &mut Rng, directives: &[String]) -> String {
    let separator =
        rng.weighted(&[(80, ", "), (6, ","), (4, " , "), (3, ",, "), (3, ",\t"), (2, "; "), (2, " ")]);
    directives.join(separator)
}

/// A directive that says `name`, with a number of seconds.
pub fn seconds(rng: &mut Rng, name: &str, number: i64, near_misses: u32) -> String {
    if !rng.chance(near_misses) {
        return format!("{name}={number}");
    }
    match rng.below(18) {
        0 => format!("{name}=\"{number}\""),
        1 => format!("{name}='{number}'"),
        2 => format!("{name} = {number}"),
        3 => format!("{name}= {number}"),
        4 => format!("{name} ={number}"),
        5 => format!("{name}={number}.5"),
        6 => format!("{name}={number}s"),
        7 => format!("{name}=a{number}"),
        8 => format!("{name}=-{number}"),
        9 => format!("{name}="),
        10 => name.to_owned(),
        11 => format!("{name}=00{number}"),
        12 => format!("{name}={number}, {name}=60"),
        13 => format!("{name}=60, {name}={number}"),
        14 => format!("{}={number}", name.to_ascii_uppercase()),
        15 => format!("{name}=2147483648"),
        16 => format!("{name}=99999999999"),
        _ => format!("{name}=\"{number}"),
    }
}

/// A directive without a number, bent in one of `near_misses` percent.
pub fn flag(rng: &mut Rng, name: &str, near_misses: u32) -> String {
    if !rng.chance(near_misses) {
        return name.to_owned();
    }
    match rng.below(9) {
        0 => name.to_ascii_uppercase(),
        1 => format!("{name}=1"),
        2 => format!("{name}=\"x-plain\""),
        3 => format!("\"{name}\""),
        4 => format!("x=\"{name}\""),
        5 => format!("{name}x"),
        6 => format!("{name};q=1"),
        7 => name.replace('-', "_"),
        _ => format!("x=\"{name}"),
    }
}

/// When something ends or was made, in seconds from now (or from the sequence's beginning).
pub fn date(rng: &mut Rng, offset: i64, fixed: bool, near_misses: u32) -> Value {
    let form = if !rng.chance(near_misses) {
        rng.weighted(&[(90, DateForm::Imf), (5, DateForm::Rfc850), (5, DateForm::Asctime)])
    } else if rng.chance(30) {
        let garbage = rng.pick(&[
            "0",
            "-1",
            "",
            "never",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Thu, 99 Jan 2026 00:00:00 GMT",
        ]);
        return text(garbage);
    } else {
        rng.pick(&[
            DateForm::Lower,
            DateForm::Wrong(DateMistake::Zone),
            DateForm::Wrong(DateMistake::NoComma),
            DateForm::Wrong(DateMistake::OneDigitHour),
            DateForm::Wrong(DateMistake::TwoDigitYear),
            DateForm::Wrong(DateMistake::DoubledBlank),
            DateForm::Wrong(DateMistake::Dashes),
            DateForm::Wrong(DateMistake::Weekday),
            DateForm::Wrong(DateMistake::Trailing),
        ])
    };
    if fixed { Value::Fixed(offset, form) } else { Value::Soon(offset, form) }
}

pub fn age(rng: &mut Rng, near_misses: u32) -> Vec<String> {
    let number = rng.pick(&[0, 1, 10, 40, 59, 61, 100]);
    if !rng.chance(near_misses) {
        return vec![number.to_string()];
    }
    match rng.below(8) {
        0 => vec![format!("{number}, 7200")],
        1 => vec!["7200".to_owned(), number.to_string()],
        2 => vec!["-1".to_owned()],
        3 => vec![format!("{number}.5")],
        4 => vec!["abc".to_owned()],
        5 => vec!["2147483648".to_owned()],
        6 => vec![format!("{number};x=1")],
        _ => vec!["0".to_owned(), "7200".to_owned()],
    }
}

pub fn vary(rng: &mut Rng, near_misses: u32) -> Vec<String> {
    let lines: &[&str] = if rng.chance(near_misses) {
        rng.pick(&[
            &["*"][..],
            &["X-Variant, *"],
            &["*, Accept-Language"],
            &["", "*"],
            &["ACCEPT-LANGUAGE"],
            &["Accept-Language ,, X-Variant"],
            &["accept language"],
            &[""],
            &[","],
            &["Accept-Language", "X-Variant"],
            &["X-Nothing"],
            &["Cookie"],
        ])
    } else {
        rng.pick(&[
            &["Accept-Language"][..],
            &["Accept-Language"],
            &["X-Variant"],
            &["Accept-Language, X-Variant"],
        ])
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// An entity tag of the representation with this number.
pub fn tag(rng: &mut Rng, number: u64, near_misses: u32) -> Vec<Vec<u8>> {
    if !rng.chance(near_misses) {
        return vec![
            if rng.chance(75) { format!("\"r{number}\"") } else { format!("W/\"r{number}\"") }.into_bytes(),
        ];
    }
    match rng.below(7) {
        0 => vec![format!("r{number}").into_bytes()],
        1 => vec![format!("w/\"r{number}\"").into_bytes()],
        2 => vec![Vec::new()],
        3 => vec![format!("\"r{number}").into_bytes()],
        4 => vec![[b"\"r\xfc", number.to_string().as_bytes(), b"\""].concat()],
        5 => vec![format!("\"r,{number}\"").into_bytes()],
        _ => vec![format!("\"r{number}\"").into_bytes(), b"\"other\"".to_vec()],
    }
}
