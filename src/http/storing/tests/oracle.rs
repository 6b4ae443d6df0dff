//! What is kept, and for how long, beside what the `http-cache-semantics` crate would do as a shared cache.
//!
//! Both judge the same generated heads of a GET and its response. Where they are to differ is written down here, each
//! difference with its reason, and what is said of it is tested as well: see [`Difference`]. Some are not generated at
//! all, since nothing can be said of the outcome. There, directives are known in lower case only and quoted strings
//! are cut at their commas; two max-age that disagree are both dropped for a `must-revalidate`; a lifetime without a
//! number is as if it were not there; `no-cache` in a response's Pragma counts; `immutable` is a lifetime of a day and
//! permits cookies; `must-understand` is unknown; a list in Age is no age and a huge one overflows; and there are HEAD
//! and POST, which are not kept here.

use super::*;
use crate::testing::cases;
use http_cache_semantics::{CacheOptions, CachePolicy};
use std::time::{SystemTime, UNIX_EPOCH};

/// Why the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// There, a status that it does not know by name is not kept; RFC 9111 §3 asks that of `must-understand` alone.
    Status,
    /// There, `proxy-revalidate` ends a lifetime at once; RFC 9111 §5.2.2.8 forbids to serve what is stale, not what is
    /// fresh.
    ProxyRevalidate,
    /// There, `public` lets a cookie be shared; here only a rule does.
    Cookie,
    /// There, Date shows no age; RFC 9111 §4.2.3 takes the greater of the two ages.
    ApparentAge,
    /// There, a guess may reach for months; RFC 9111 §4.2.2 wants it cautious, and here it ends after a day.
    LongGuess,
}

/// The heads of a request and its response; times are seconds beside [`NOW`].
#[derive(Clone, Debug)]
struct Heads {
    authorization: bool,
    no_store: bool,
    status: u16,
    cache_control: Vec<String>,
    age: Option<String>,
    date: Option<i64>,
    expires: Option<Option<i64>>,
    last_modified: Option<i64>,
    set_cookie: bool,
    vary: Option<&'static str>,
}

impl Heads {
    fn request(&self) -> Vec<(&'static str, String)> {
        let authorization = self.authorization.then(|| ("authorization", "Basic eDp5".to_owned()));
        let no_store = self.no_store.then(|| ("cache-control", "no-store".to_owned()));
        authorization.into_iter().chain(no_store).collect()
    }

    fn response(&self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        if !self.cache_control.is_empty() {
            fields.push(("cache-control", self.cache_control.join(", ")));
        }
        fields.extend(self.age.clone().map(|age| ("age", age)));
        fields.extend(self.date.map(|date| ("date", written(date))));
        let expires = self.expires.map(|expires| expires.map_or("0".to_owned(), written));
        fields.extend(expires.map(|expires| ("expires", expires)));
        fields.extend(self.last_modified.map(|changed| ("last-modified", written(changed))));
        fields.extend(self.set_cookie.then(|| ("set-cookie", "a=b".to_owned())));
        fields.extend(self.vary.map(|vary| ("vary", vary.to_owned())));
        fields
    }

    fn says(&self, directive: &str) -> bool {
        self.cache_control.iter().any(|member| member == directive)
    }

    /// How long the response is fresh here; zero where it is not kept, or kept to be validated.
    fn ours(&self) -> Duration {
        let text = |fields: &[(&'static str, String)], first: (&str, &str)| {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            self::fields(&[&[first], &fields[..]].concat())
        };
        let request = RequestHead::read(&text(&self.request(), (":method", "GET")));
        let status = self.status.to_string();
        let response = ResponseHead::read(&text(&self.response(), (":status", &status)), NOW);
        judge(&request, &response, false, &POLICY, NOW, NOW)
            .store
            .map_or(Duration::ZERO, |kept| kept.fresh_for)
    }

    /// How long it is there.
    fn theirs(&self) -> Duration {
        let mut request = http::Request::get("http://a.test/");
        for (name, value) in self.request() {
            request = request.header(name, value);
        }
        let mut response = http::Response::builder().status(self.status);
        for (name, value) in self.response() {
            response = response.header(name, value);
        }
        let (request, response) = (request.body(()).unwrap(), response.body(()).unwrap());
        let options = CacheOptions { cache_heuristic: 0.1, ..Default::default() };
        let policy = CachePolicy::new_options(&request, &response, moment(0), options);
        if policy.is_storable() { policy.time_to_live(moment(0)) } else { Duration::ZERO }
    }

    /// The differences that these heads may bring out.
    fn differences(&self) -> Vec<Difference> {
        let guessed =
            self.expires.is_none() && !self.cache_control.iter().any(|member| member.contains("ma"));
        let day = 24 * 60 * 60;
        let unchanged = self.last_modified.map(|changed| self.date.unwrap_or(0) - changed);
        [
            (!KNOWN.contains(&self.status), Difference::Status),
            (self.says("proxy-revalidate"), Difference::ProxyRevalidate),
            (self.set_cookie && self.says("public"), Difference::Cookie),
            (self.date.is_some_and(|date| date < 0), Difference::ApparentAge),
            (guessed && unchanged.is_some_and(|unchanged| unchanged > 10 * day), Difference::LongGuess),
        ]
        .into_iter()
        .filter_map(|(there, difference)| there.then_some(difference))
        .collect()
    }
}

fn moment(seconds: i64) -> SystemTime {
    let now = i64::try_from(NOW.0 / 1000).unwrap();
    UNIX_EPOCH + Duration::from_secs(u64::try_from(now + seconds).unwrap())
}

fn written(seconds: i64) -> String {
    httpdate::fmt_http_date(moment(seconds))
}

/// The statuses that are known there, but for 206, which is kept here as a part alone.
const KNOWN: [u16; 14] = [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501];

fn heads() -> impl Strategy<Value = Heads> {
    let status = prop_oneof![
        4 => Just(200),
        4 => prop::sample::select(&KNOWN[..]),
        1 => prop::sample::select(vec![201_u16, 299, 304, 400, 403, 500, 502, 503, 599]),
    ];
    let directive = prop_oneof![
        prop::sample::select(vec![
            "no-store",
            "no-cache",
            "private",
            "public",
            "must-revalidate",
            "proxy-revalidate"
        ])
        .prop_map(str::to_owned),
        "(max-age|s-maxage)=(0|[1-9][0-9]{0,5}|\"[1-9][0-9]{0,2}\"|-1|x|1\\.5)",
        "[a-l]{1,3}(=[0-9])?",
    ];
    let cache_control = prop::collection::vec(directive, 0..4).prop_map(|members| {
        let mut seen = std::collections::BTreeSet::new();
        let is_first = |member: &String| seen.insert(member.split('=').next().unwrap_or_default().to_owned());
        members.into_iter().filter(is_first).collect::<Vec<_>>()
    });
    let request = (prop::bool::weighted(0.2), prop::bool::weighted(0.05));
    let age = prop::option::weighted(0.3, "[0-9]{1,4}|-1|x|1\\.5");
    let date = prop::option::weighted(0.6, prop_oneof![2 => Just(0_i64), 1 => 0_i64..100, 1 => -200_i64..0]);
    let expires = prop::option::weighted(0.3, prop::option::weighted(0.8, -100_i64..10_000));
    let last_modified = prop::option::weighted(0.4, prop_oneof![-100_000_i64..100, -20_000_000_i64..0]);
    let vary = prop::option::weighted(0.2, prop::sample::select(vec!["accept", "accept, cookie", "*"]));
    (request, status, cache_control, age, date, expires, last_modified, prop::bool::weighted(0.1), vary)
        .prop_map(
            |(
                (authorization, no_store),
                status,
                cache_control,
                age,
                date,
                expires,
                last_modified,
                set_cookie,
                vary,
            )| {
                Heads {
                    authorization,
                    no_store,
                    status,
                    cache_control,
                    age,
                    date,
                    expires,
                    last_modified,
                    set_cookie,
                    vary,
                }
            },
        )
}

proptest! {
    #![proptest_config(cases(1024))]

    #[test]
    fn another_cache_keeps_the_same_for_as_long(heads in heads()) {
        let (ours, theirs) = (heads.ours(), heads.theirs());
        // Lifetimes are guessed to the second there.
        let same = ours.as_secs() == theirs.as_secs();
        let longer = ours.as_secs() > theirs.as_secs();
        match &heads.differences()[..] {
            [] => prop_assert!(same, "{:?} here and {:?} there: {:?}", ours, theirs, heads),
            // Each on its own has one way to go.
            [Difference::Status | Difference::ProxyRevalidate] => prop_assert!(same || longer, "{:?}", heads),
            [Difference::Cookie] => prop_assert!(ours.is_zero(), "{:?}", heads),
            [Difference::ApparentAge] => {
                let age = u64::try_from(-heads.date.unwrap_or(0)).unwrap();
                prop_assert!(!longer && theirs <= ours + Duration::from_secs(age), "{:?}", heads);
            }
            [Difference::LongGuess] => prop_assert!(!longer && ours <= Duration::from_secs(24 * 60 * 60), "{:?}", heads),
            _ => {}
        }
    }
}

/// Each difference is there: none is listed that would only hide a mistake.
#[test]
fn each_difference_is_one() {
    let plain = Heads {
        authorization: false,
        no_store: false,
        status: 200,
        cache_control: vec!["max-age=60".to_owned()],
        age: None,
        date: Some(0),
        expires: None,
        last_modified: None,
        set_cookie: false,
        vary: None,
    };
    let with = |member: &str| vec!["max-age=60".to_owned(), member.to_owned()];
    let month = 30 * 24 * 60 * 60;
    for (heads, difference, ours, theirs) in [
        (Heads { status: 503, ..plain.clone() }, Difference::Status, 60, 0),
        (
            Heads { cache_control: with("proxy-revalidate"), ..plain.clone() },
            Difference::ProxyRevalidate,
            60,
            0,
        ),
        (
            Heads { cache_control: with("public"), set_cookie: true, ..plain.clone() },
            Difference::Cookie,
            0,
            60,
        ),
        (Heads { date: Some(-31), ..plain.clone() }, Difference::ApparentAge, 29, 60),
        (
            Heads { cache_control: vec![], last_modified: Some(-20 * month), ..plain.clone() },
            Difference::LongGuess,
            24 * 60 * 60,
            2 * month,
        ),
    ] {
        assert_eq!(heads.differences(), [difference], "{heads:?}");
        let found = (heads.ours().as_secs(), heads.theirs().as_secs());
        assert_eq!(found, (ours, u64::try_from(theirs).unwrap()), "{difference:?}");
    }
    assert_eq!(plain.differences(), []);
    assert_eq!((plain.ours(), plain.theirs()), (secs(60), secs(60)));
}
