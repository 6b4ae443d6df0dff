use super::*;
use crate::testing::cases;
use proptest::prelude::*;
use sfv::{BareItem, InnerList, ListEntry};

fn value<'a>(field: &'a str, key: &str) -> Option<Value<'a>> {
    dictionary(field.as_bytes())?.get(key).cloned()
}

#[test]
fn each_type_becomes_its_value_without_its_parameters() {
    for (text, expected) in [
        ("a", Value::Boolean(true)),
        ("a;x=1", Value::Boolean(true)),
        ("a=?1", Value::Boolean(true)),
        ("a=?0;x", Value::Boolean(false)),
        ("a=-7", Value::Integer(-7)),
        ("a=007", Value::Integer(7)),
        ("a=999999999999999", Value::Integer(999_999_999_999_999)),
        ("a=\"\"", Value::String("".into())),
        ("a=\"b, c\"", Value::String("b, c".into())),
        ("a=\"\\\"\\\\\"", Value::String("\"\\".into())),
        ("a=b:c/d", Value::Token("b:c/d")),
        ("a=*", Value::Token("*")),
        ("a=()", Value::List(vec![])),
        (
            "a=( \"b\";q  c 1 );x=y",
            Value::List(vec![Value::String("b".into()), Value::Token("c"), Value::Integer(1)]),
        ),
        ("a=1.5", Value::Other),
        ("a=:AAAA:", Value::Other),
        ("a=@1", Value::Other),
        ("a=%\"%c3%a9\"", Value::Other),
    ] {
        assert_eq!(value(text, "a"), Some(expected.clone()), "{text}");
        let text = text.strip_prefix("a=").unwrap_or("?1");
        assert_eq!(list(format!("b, {text}").as_bytes()), Some(vec![Value::Token("b"), expected]), "{text}");
    }
}

#[test]
fn of_a_key_that_stands_twice_the_last_value_counts() {
    assert_eq!(value("a=1, b, a=\"x\"", "a"), Some(Value::String("x".into())));
    assert_eq!(value("a=\"x\", a", "a"), Some(Value::Boolean(true)));
    assert_eq!(value("a", "b"), None);
}

#[test]
fn one_wrong_byte_and_there_is_nothing() {
    for text in [
        "a,",
        ",a",
        "a,,b",
        "a b",
        "a=",
        "a =1",
        "a= 1",
        "A=1",
        "1=a",
        "a=\"b",
        "a=\"\\b\"",
        "a=?2",
        "a=1.",
        "a=1.2345",
        "a=1000000000000000",
        "a=(b",
        "a=(b,c)",
        "a=((b))",
        "a;X",
        "a;",
        "a=:*:",
        "a=é",
        "&&&&&",
        "a=@1.5",
    ] {
        assert!(dictionary(format!("ok=1, {text}").as_bytes()).is_none(), "{text}");
        assert!(dictionary(text.as_bytes()).is_none(), "{text}");
    }
}

#[test]
fn lines_are_one_value() {
    let joined = |lines: &[&'static str]| join(lines.iter().map(|line| line.as_bytes()));
    assert!(matches!(joined(&["a=1,b"]), Cow::Borrowed(b"a=1,b")));
    assert_eq!(&*joined(&["a=1", "b", "a=2"]), b"a=1, b, a=2");
    for (lines, is_valid, is_empty) in [
        (&[][..], true, true),
        (&[""], true, true),
        (&["  "], true, true),
        (&["a", "b"], true, false),
        (&["a", ""], false, false),
        (&["", "b"], false, false),
        (&["", ""], false, false),
        (&["a=(", ")"], false, false),
    ] {
        let whole = joined(lines);
        let members = dictionary(&whole);
        assert_eq!(members.is_some(), is_valid, "{lines:?}");
        assert_eq!(members.is_some_and(|members| members.is_empty()), is_empty, "{lines:?}");
    }
}

/// What `sfv`'s own collections hold, in the words used here.
fn of_item(item: &BareItem) -> Value<'_> {
    match item {
        BareItem::Boolean(boolean) => Value::Boolean(*boolean),
        BareItem::Integer(integer) => Value::Integer((*integer).into()),
        BareItem::String(text) => Value::String(text.as_str().into()),
        BareItem::Token(token) => Value::Token(token.as_str()),
        _ => Value::Other,
    }
}

fn of_entry(entry: &ListEntry) -> Value<'_> {
    match entry {
        ListEntry::Item(item) => of_item(&item.bare_item),
        ListEntry::InnerList(InnerList { items, .. }) => {
            Value::List(items.iter().map(|item| of_item(&item.bare_item)).collect())
        }
    }
}

fn agrees(text: &[u8]) {
    let whole = Parser::new(text).parse::<sfv::Dictionary>();
    let found = dictionary(text);
    assert_eq!(found.is_some(), whole.is_ok());
    for (key, entry) in whole.iter().flatten() {
        assert_eq!(found.as_ref().unwrap().get(key.as_str()), Some(&of_entry(entry)), "{key}");
    }
    let whole = Parser::new(text).parse::<sfv::List>();
    let expected = whole.as_ref().ok().map(|members| members.iter().map(of_entry).collect::<Vec<_>>());
    assert_eq!(list(text), expected);
}

fn item() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\?[01]",
        "-?[0-9]{1,15}",
        "-?[0-9]{1,12}\\.[0-9]{1,3}",
        "\"([ -!#-\\[\\]-~]|\\\\\"|\\\\\\\\){0,6}\"",
        "[a-zA-Z*][a-z0-9:/*~-]{0,6}",
        ":(AAAA){0,2}:",
        "@-?[0-9]{1,9}",
        "%\"([a-z ]|%c3%a9){0,4}\"",
    ]
}

fn member() -> impl Strategy<Value = String> {
    let parameters = "(; ?[a-c*][a-c0-9_.-]{0,2}(=[0-9a-c])?){0,2}";
    let inner = prop::collection::vec((item(), parameters), 0..4).prop_map(|items| {
        format!("({})", items.iter().map(|(item, rest)| item.clone() + rest).collect::<Vec<_>>().join(" "))
    });
    (prop_oneof![item(), inner], parameters).prop_map(|(value, rest)| value + &rest)
}

prop_compose! {
    /// A dictionary or a list, as the grammar has it.
    fn field()(is_list in any::<bool>(), members in prop::collection::vec(("[a-c*][a-c_*.-]{0,2}", any::<bool>(), member(), "[ \t]{0,2},[ \t]{0,2}"), 0..5)) -> String {
        let mut text = String::new();
        for (number, (key, plain, value, comma)) in members.iter().enumerate() {
            text += if number == 0 { "" } else { comma };
            text += &match (is_list, plain) {
                (true, _) => value.clone(),
                (false, true) => key.clone(),
                (false, false) => format!("{key}={value}"),
            };
        }
        text
    }
}

/// A value with the text that it is by the grammar of RFC 9651 §3, whatever `sfv` thinks of it.
fn written() -> impl Strategy<Value = (String, Value<'static>)> {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let item = prop_oneof![
        any::<bool>().prop_map(|set| (format!("?{}", u8::from(set)), Value::Boolean(set))),
        (-999_999_999_999_999_i64..=999_999_999_999_999)
            .prop_map(|number| (number.to_string(), Value::Integer(number))),
        "[ -~]{0,6}".prop_map(move |text| (format!("\"{}\"", escaped(&text)), Value::String(text.into()))),
        prop::sample::select(vec!["a", "*", "Ab:c/d", "x!#$%&'*+-.^_`|~9"])
            .prop_map(|token| (token.to_owned(), Value::Token(token))),
    ];
    let list = prop::collection::vec(item.clone(), 0..4).prop_map(|items| {
        let (texts, values): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        (format!("({})", texts.join(" ")), Value::List(values))
    });
    prop_oneof![3 => item, 1 => list]
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn what_the_grammar_allows_is_read(text in field()) {
        let is_either = dictionary(text.as_bytes()).is_some() || list(text.as_bytes()).is_some();
        prop_assert!(is_either);
        agrees(text.as_bytes());
    }

    #[test]
    fn what_nearly_follows_the_grammar_is_judged_alike(text in field(), at in any::<prop::sample::Index>(), cut in 0_usize..2, with in "[\"\\\\(),;=?:@% \tA0a.é-]{0,2}") {
        let mut text = text.into_bytes();
        let at = at.index(text.len() + 1);
        text.splice(at..(at + cut).min(text.len()), with.bytes());
        agrees(&text);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        agrees(&bytes);
    }

    #[test]
    fn what_is_written_is_read_back(members in prop::collection::vec((prop::sample::select(vec!["a", "b", "*c", "a-b_c.d*9"]), written(), any::<bool>()), 0..6)) {
        let text = |dictionary: bool| members.iter().map(|(key, (text, value), parameter)| {
            let rest = if *parameter { ";x" } else { "" };
            match (dictionary, value) {
                (false, _) => format!("{text}{rest}"),
                (true, Value::Boolean(true)) => format!("{key}{rest}"),
                (true, _) => format!("{key}={text}{rest}"),
            }
        }).collect::<Vec<_>>().join(", ");
        let values: Vec<_> = members.iter().map(|(_, (_, value), _)| value.clone()).collect();
        let line = text(false);
        prop_assert_eq!(list(line.as_bytes()), Some(values));
        let text = text(true);
        let found = dictionary(text.as_bytes()).unwrap();
        for (key, ..) in &members {
            let last = members.iter().rev().find(|(other, ..)| other == key).map(|(_, (_, value), _)| value);
            prop_assert_eq!(found.get(key), last, "{} in {}", key, text);
        }
    }
}
