//! The origin the simulated Envoys stand in front of: it remembers whom each answer was made for, and who else may
//! have it.

use breakwater::host::sim::{Answer, Asked, ClientId, Lines, Outcome, Rng, Script};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// What kind of resource a URL is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `max-age=n` (seconds); not shareable if it was fetched with Authorization.
    Cacheable(u64),
    /// `public, max-age=n`: whoever asked for it.
    Public(u64),
    Private,
    NoStore,
    SetCookie,
    /// Varies by Accept-Language.
    Vary,
    VaryStar,
    /// Another kind each time.
    Mixed,
    /// For anybody at first, and what confirms it says otherwise half of the time.
    Fickle,
}

/// How well the origin works.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// In thousandths of all answers: errors, broken and late ones.
    pub errors: u32,
    pub resets: u32,
    pub cuts: u32,
    pub slow: u32,
    /// In thousandths of what it is asked about: it confirms another response than that.
    pub confused: u32,
    /// When nothing works.
    pub outage: Option<(Duration, Duration)>,
    /// The `stale-while-revalidate` of answers that others may have.
    pub window: Option<u64>,
    /// Largest body.
    pub body: usize,
}

/// One answer, as the origin remembers it.
#[derive(Clone, Debug)]
pub struct Made {
    pub method: String,
    pub url: String,
    pub client: ClientId,
    pub envoy: usize,
    pub status: u16,
    /// Why nobody else may have it.
    pub forbidden: Option<&'static str>,
    /// Whether it says that a request with Authorization may have it.
    pub permits_authorized: bool,
    /// The Accept-Language it was selected by.
    pub language: Option<Vec<u8>>,
    pub lifetime: Duration,
    /// For how long it may be served stale while it is refreshed, if it says so.
    pub window: Option<Duration>,
    pub body: Vec<u8>,
    /// For a 304: the answer it confirms.
    pub confirms: Option<u64>,
    /// For a 304: it confirms none that there is.
    pub confused: bool,
}

pub struct Origin {
    pub made: BTreeMap<u64, Rc<Made>>,
    kinds: BTreeMap<String, Kind>,
    versions: BTreeMap<String, u64>,
    health: Health,
}

/// The longest the origin takes, to the body's end.
pub const SLOWEST: Duration = Duration::from_millis(3_000 + 10 * 20);
/// The field that says which answer the body is of.
pub const SERIAL: &str = "x-serial";
/// What precedes, in Cache-Control, the number of the answer that the fields are of: a 304 that confirms a stored
/// response brings its own, and no 304 comes without.
pub const AS_OF: &str = "as-of=";
/// What precedes the serial number in every body.
pub const MARKER: &[u8] = b"serial=";
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

impl Origin {
    pub fn new(kinds: BTreeMap<String, Kind>, health: Health) -> Self {
        Self { made: BTreeMap::new(), kinds, versions: BTreeMap::new(), health }
    }

    pub fn ask(&mut self, asked: &Asked, rng: &mut Rng) -> Script {
        let text =
            |name: &str| String::from_utf8_lossy(asked.fields.get(name).unwrap_or_default()).into_owned();
        let (method, url) = (text(":method"), text(":path"));
        let wait = if rng.chance(self.health.slow) {
            rng.duration(Duration::from_millis(200), Duration::from_millis(3_000))
        } else {
            rng.duration(Duration::from_millis(1), Duration::from_millis(60))
        };
        let mut made = Made {
            method,
            url,
            client: asked.client,
            envoy: asked.envoy,
            status: 200,
            forbidden: None,
            permits_authorized: false,
            language: None,
            lifetime: Duration::ZERO,
            window: None,
            body: Vec::new(),
            confirms: None,
            confused: false,
        };
        let out = self.health.outage.is_some_and(|(from, to)| (from..to).contains(&asked.at));
        let outcome = if out { Outcome::Reset } else { self.outcome(asked, &mut made, rng) };
        self.made.insert(asked.serial, Rc::new(made));
        Script { wait, outcome }
    }

    fn outcome(&mut self, asked: &Asked, made: &mut Made, rng: &mut Rng) -> Outcome {
        if rng.chance(self.health.resets) {
            return match rng.below(5) {
                0 => Outcome::Local(429),
                1 | 2 => Outcome::Timeout,
                _ => Outcome::Reset,
            };
        }
        if made.method != "GET" && made.method != "HEAD" {
            made.forbidden = Some("an answer to an unsafe request");
            if rng.chance(150) {
                made.status = 500;
                return Outcome::Answer(Answer::new(500, b"refused"));
            }
            *self.versions.entry(made.url.clone()).or_default() += 1;
            return Outcome::Answer(Answer::new(200, b"accepted"));
        }
        if rng.chance(self.health.errors) {
            made.status = *rng.pick(&[500, 502, 503]).unwrap();
            made.forbidden = forbidden_by_request(&asked.fields);
            if asked.fields.get("authorization").is_some() {
                made.forbidden = Some("authorized");
            }
            made.body = body(asked.serial, rng.index(64));
            let serial = asked.serial.to_string();
            let answer = Answer::new(made.status, &made.body).with(SERIAL, &serial);
            return Outcome::Answer(answer.with("cache-control", &format!("{AS_OF}{serial}")));
        }
        self.answer(asked, made, rng)
    }

    fn answer(&mut self, asked: &Asked, made: &mut Made, rng: &mut Rng) -> Outcome {
        let resource = made.url.split('?').next().unwrap_or_default();
        let mut kind = self.kinds.get(resource).copied().unwrap_or(Kind::Cacheable(0));
        let version = self.versions.get(&made.url).copied().unwrap_or(0);
        let tag = |serial: u64| format!("\"{version}-{serial}\"");
        made.confirms = self.confirmed(asked, &tag);
        if made.confirms.is_some() && rng.chance(self.health.confused) {
            // About no response that anybody has: it says nothing.
            made.status = 304;
            made.confirms = None;
            made.permits_authorized = true;
            made.confused = true;
            return Outcome::Answer(Answer::new(304, b"").with("etag", "\"another\""));
        }
        let kinds = match kind {
            Kind::Mixed => &[
                Kind::Cacheable(1),
                Kind::Private,
                Kind::NoStore,
                Kind::SetCookie,
                Kind::Public(0),
                Kind::VaryStar,
            ][..],
            Kind::Fickle if made.confirms.is_some() => {
                &[Kind::Private, Kind::NoStore, Kind::Public(0), Kind::Public(60)]
            }
            Kind::Fickle => &[Kind::Public(0), Kind::Public(0), Kind::Public(1)],
            _ => &[],
        };
        kind = rng.pick(kinds).copied().unwrap_or(kind);
        made.forbidden = forbidden_by_request(&asked.fields);
        made.permits_authorized = matches!(kind, Kind::Public(_) | Kind::Vary | Kind::VaryStar);
        let mut fields = Lines::default();
        let mut forbid = |why| made.forbidden = made.forbidden.or(Some(why));
        let control = match kind {
            Kind::Cacheable(seconds) | Kind::Public(seconds) => {
                made.lifetime = Duration::from_secs(seconds);
                let public = matches!(kind, Kind::Public(_));
                if asked.fields.get("authorization").is_some() && !public {
                    forbid("authorized");
                }
                format!("{}max-age={seconds}", if public { "public, " } else { "" })
            }
            Kind::Private => {
                forbid("private");
                "private, max-age=60".to_owned()
            }
            Kind::NoStore => {
                forbid("no-store");
                "no-store".to_owned()
            }
            Kind::SetCookie => {
                fields.add("set-cookie", format!("who={}", asked.client.0).as_bytes());
                forbid("Set-Cookie");
                "max-age=60".to_owned()
            }
            Kind::Vary => {
                fields.add("vary", b"accept-language");
                made.lifetime = Duration::from_secs(1);
                made.language = Some(asked.fields.get("accept-language").unwrap_or_default().to_vec());
                "public, max-age=1".to_owned()
            }
            Kind::VaryStar => {
                fields.add("vary", b"*");
                forbid("Vary: *");
                "public, max-age=60".to_owned()
            }
            Kind::Mixed | Kind::Fickle => String::new(),
        };
        let window = self.health.window.map(|seconds| format!(", stale-while-revalidate={seconds}"));
        made.window = self.health.window.map(Duration::from_secs);
        let control = format!("{control}{}, {AS_OF}{}", window.unwrap_or_default(), asked.serial);
        fields.add("cache-control", control.as_bytes());
        let mut answer = Answer { gap: Duration::from_millis(20), ..Answer::new(200, b"") };
        let stamp = |answer: Answer, tag: String| {
            let mut answer = answer.with("etag", &tag);
            for (name, value) in fields.to_fields().iter() {
                answer.fields.add(std::str::from_utf8(name).unwrap(), value);
            }
            answer
        };
        if let Some(confirmed) = made.confirms {
            made.status = 304;
            answer.fields.set(":status", Some(b"304"));
            return Outcome::Answer(stamp(answer, tag(confirmed)));
        }
        made.body = body(asked.serial, rng.index(self.health.body));
        answer.body = made.body.clone();
        if rng.chance(self.health.cuts) {
            answer.cut = Some(rng.index(answer.body.len()));
            made.forbidden = Some("incomplete");
        }
        if rng.chance(500) {
            answer = answer.with("content-length", &made.body.len().to_string());
        }
        Outcome::Answer(stamp(answer, tag(asked.serial)).with(SERIAL, &asked.serial.to_string()))
    }

    /// The earlier answer that an `If-None-Match` names, if it is still what would be answered.
    fn confirmed(&self, asked: &Asked, tag: &dyn Fn(u64) -> String) -> Option<u64> {
        let named = String::from_utf8_lossy(asked.fields.get("if-none-match")?).into_owned();
        let path = asked.fields.get(":path")?;
        let language = asked.fields.get("accept-language").unwrap_or_default();
        self.made.iter().rev().find_map(|(serial, made)| {
            let same = made.url.as_bytes() == path && made.status == 200 && named.contains(&tag(*serial));
            (same && made.language.as_deref().is_none_or(|selected| selected == language)).then_some(*serial)
        })
    }
}

fn forbidden_by_request(fields: &Lines) -> Option<&'static str> {
    let directives = fields.get("cache-control").unwrap_or_default();
    (directives == b"no-store").then_some("fetched for a request with no-store")
}

fn body(serial: u64, filler: usize) -> Vec<u8> {
    let mut body = [MARKER, serial.to_string().as_bytes(), b";"].concat();
    body.extend(ALPHABET.repeat(filler / ALPHABET.len() + 1).iter().take(filler));
    body
}
