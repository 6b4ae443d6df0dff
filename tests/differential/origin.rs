//! The origin: it has what the script says it has, and answers as a real one would.
//!
//! Conditions and ranges are evaluated against the current representation (RFC 9110 §13.2, §14.2), with code of its
//! own, since neither the plugin nor the model may be the measure of itself. It numbers its answers (`x-serial`), so
//! that each can be traced, and remembers what it saw and said.

use crate::history::{Fields, Ms, Reply, Request, Response, Upstream, now};
use crate::script::{Failure, NotModifiedFields, Resource, Sequence};
use crate::support::origin::Seen;
use crate::support::reply;
use crate::values::Moment;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The sequences that are being played, by their folder.
#[derive(Default)]
pub struct Stage {
    playing: Mutex<BTreeMap<String, Arc<Mutex<Live>>>>,
}

/// One sequence, as the origin sees it.
struct Live {
    sequence: Sequence,
    began: Ms,
    answers: usize,
    seen: Vec<(usize, Upstream)>,
}

impl Stage {
    pub fn enter(&self, sequence: &Sequence, began: Ms) {
        let live = Live { sequence: sequence.clone(), began, answers: 0, seen: Vec::new() };
        self.playing.lock().unwrap().insert(sequence.folder(), Arc::new(Mutex::new(live)));
    }

    /// What the origin saw, with the steps it belongs to.
    pub fn leave(&self, sequence: &Sequence) -> Vec<(usize, Upstream)> {
        let live = self.playing.lock().unwrap().remove(&sequence.folder()).expect("it has entered");
        let live = live.lock().unwrap();
        live.seen.clone()
    }

    /// The origin's handler.
    pub fn answer(&self, seen: &Seen) -> reply::Reply {
        let folder = seen.path().rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let live = self.playing.lock().unwrap().get(&folder).cloned();
        let step = seen.head.field("x-step").and_then(|step| step.parse().ok());
        match (live, step) {
            (Some(live), Some(step)) => live.lock().unwrap().answer(step, seen),
            _ => reply::Reply::with(410, "nobody plays here"),
        }
    }
}

impl Live {
    fn answer(&mut self, step: usize, seen: &Seen) -> reply::Reply {
        let arrived = now();
        let request = Request {
            method: seen.method().to_owned(),
            url: seen.path().to_owned(),
            fields: seen.head.fields.clone(),
        };
        let Some(resource) = self.sequence.steps.get(step).map(|step| step.origin.clone()) else {
            return reply::Reply::with(410, "no such step");
        };
        self.answers += 1;
        let replied = arrived + resource.delay;
        let moment = Moment { began: self.began, now: replied, seen: &Fields::new() };
        let serial = ("x-serial".to_owned(), self.answers.to_string().into_bytes());
        let mut response = match resource.failure {
            Some(Failure::Status(status)) => {
                let date =
                    ("date".to_owned(), httpdate::fmt_http_date(std::time::SystemTime::now()).into_bytes());
                Response { status, fields: vec![date], body: b"failed".to_vec() }
            }
            _ => current(&resource, &moment, &request),
        };
        response.fields.insert(0, serial);
        let (reply, sent) = wire(&resource, response, &request);
        self.seen.push((step, Upstream { request, arrived, replied, reply: sent }));
        if resource.delay > 0 {
            reply.after(Duration::from_millis(resource.delay.unsigned_abs()))
        } else {
            reply
        }
    }
}

/// The bytes, and what is remembered of them.
fn wire(resource: &Resource, mut response: Response, request: &Request) -> (reply::Reply, Reply) {
    let bodyless = matches!(response.status, 204 | 304);
    let chunked = resource.manner.chunked && !bodyless && resource.failure != Some(Failure::Cut);
    let body = if bodyless { Vec::new() } else { response.body.clone() };
    let mut reply = reply::Reply::with(response.status, body.clone());
    for (name, value) in &response.fields {
        reply = reply.header(name, value);
    }
    if bodyless {
        reply = reply.verbatim();
    } else if chunked {
        reply = reply.chunked();
    } else {
        response.fields.push(("content-length".to_owned(), body.len().to_string().into_bytes()));
    }
    response.body = if request.method == "HEAD" { Vec::new() } else { body };
    // Half of nothing is all of it.
    let failure = resource.failure.filter(|failure| *failure != Failure::Cut || response.body.len() > 1);
    match failure {
        Some(Failure::Drop) => (reply.cut(reply::Cut::BeforeHead), Reply::Dropped),
        Some(Failure::Cut) => (reply.cut(reply::Cut::MidBody), Reply::Cut(response)),
        _ => (reply, Reply::Whole(response)),
    }
}

fn current(resource: &Resource, moment: &Moment<'_>, request: &Request) -> Response {
    let representation = moment.fields(&resource.representation);
    let mut fields = moment.fields(&resource.fields);
    fields.extend(representation.clone());
    let whole = Response { status: resource.status, fields, body: resource.body.clone() };
    let retrieval = request.method == "GET" || request.method == "HEAD";
    if !retrieval || resource.status != 200 {
        return whole;
    }
    let validators = Validators::of(&representation);
    if resource.manner.conditions {
        if validators.fail(&request.fields) {
            return Response { status: 412, fields: Fields::new(), body: b"no".to_vec() };
        }
        if validators.not_modified(&request.fields) {
            let fields = not_modified_fields(resource.manner.not_modified, &whole.fields);
            return Response { status: 304, fields, body: Vec::new() };
        }
    }
    let range = field(&request.fields, "range").filter(|_| resource.manner.ranges && request.method == "GET");
    let wanted =
        range.filter(|_| validators.if_range_holds(&request.fields)).and_then(|range| ranges(&range));
    match wanted {
        Some(wanted) => part(whole, &wanted),
        None => whole,
    }
}

fn not_modified_fields(manner: NotModifiedFields, whole: &Fields) -> Fields {
    let needed =
        ["cache-control", "cdn-cache-control", "content-location", "date", "etag", "expires", "vary", "age"];
    let chosen = |name: &str| match manner {
        NotModifiedFields::All => !["content-type", "set-cookie"].contains(&name),
        NotModifiedFields::Bare => needed.contains(&name) && name != "etag",
        NotModifiedFields::Needed | NotModifiedFields::Odd => needed.contains(&name),
    };
    let mut fields: Fields = whole.iter().filter(|(name, _)| chosen(name)).cloned().collect();
    if manner == NotModifiedFields::Odd {
        for (name, value) in
            [("content-type", "text/odd"), ("set-cookie", "odd=1"), ("x-plain", "odd"), ("x-odd", "1")]
        {
            fields.push((name.to_owned(), value.as_bytes().to_vec()));
        }
    }
    fields
}

fn part(whole: Response, wanted: &[(Option<u64>, Option<u64>)]) -> Response {
    let length = whole.body.len() as u64;
    let within = wanted.iter().filter_map(|(first, last)| match (first, last) {
        (Some(first), last) if *first < length => Some((*first, last.unwrap_or(u64::MAX).min(length - 1))),
        (None, Some(count)) if *count > 0 && length > 0 => Some((length - count.min(&length), length - 1)),
        _ => None,
    });
    let within: Vec<(u64, u64)> = within.collect();
    let mut fields = whole.fields;
    let bytes = |(first, last): (u64, u64)| whole.body[first as usize..=last as usize].to_vec();
    match within[..] {
        [] => {
            let range = format!("bytes */{length}").into_bytes();
            Response { status: 416, fields: vec![("content-range".to_owned(), range)], body: b"no".to_vec() }
        }
        [(first, last)] => {
            let range = format!("bytes {first}-{last}/{length}").into_bytes();
            fields.push(("content-range".to_owned(), range));
            Response { status: 206, fields, body: bytes((first, last)) }
        }
        _ => {
            fields.retain(|(name, _)| name != "content-type");
            let media_type = b"multipart/byteranges; boundary=here".to_vec();
            fields.push(("content-type".to_owned(), media_type));
            let mut body = Vec::new();
            for (first, last) in within {
                let head = format!("--here\r\nContent-Range: bytes {first}-{last}/{length}\r\n\r\n");
                body.extend([head.as_bytes(), &bytes((first, last)), b"\r\n"].concat());
            }
            body.extend(b"--here--\r\n");
            Response { status: 206, fields, body }
        }
    }
}

/// `bytes=a-b, c-, -d`, and nothing that is not exactly so.
fn ranges(text: &str) -> Option<Vec<(Option<u64>, Option<u64>)>> {
    let number = |text: &str| match text {
        "" => Some(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Some(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    };
    let one = |member: &str| {
        let (first, last) = member.trim().split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let sound = match (first, last) {
            (None, None) => false,
            (Some(first), Some(last)) => first <= last,
            _ => true,
        };
        sound.then_some((first, last))
    };
    text.strip_prefix("bytes=")?.split(',').map(one).collect()
}

struct Validators {
    tag: Option<String>,
    changed: Option<String>,
}

impl Validators {
    fn of(representation: &Fields) -> Self {
        Self { tag: field(representation, "etag"), changed: field(representation, "last-modified") }
    }

    fn fail(&self, request: &Fields) -> bool {
        let matches = |tags: String| {
            tags.trim() == "*"
                || tags.split(',').any(|tag| Some(tag.trim()) == self.tag.as_deref() && !weak(tag))
        };
        match (field(request, "if-match"), field(request, "if-unmodified-since")) {
            (Some(tags), _) => !matches(tags),
            (None, Some(since)) => matches!((self.when(), moment(&since)), (Some(a), Some(b)) if a > b),
            (None, None) => false,
        }
    }

    fn not_modified(&self, request: &Fields) -> bool {
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        match (field(request, "if-none-match"), field(request, "if-modified-since")) {
            (Some(tags), _) => {
                let own = self.tag.as_deref().filter(|tag| !tag.is_empty());
                tags.trim() == "*"
                    || own.is_some_and(|own| {
                        tags == own || tags.split(',').any(|tag| opaque(tag) == opaque(own))
                    })
            }
            (None, Some(since)) => matches!((self.when(), moment(&since)), (Some(a), Some(b)) if a <= b),
            (None, None) => false,
        }
    }

    fn if_range_holds(&self, request: &Fields) -> bool {
        let Some(asked) = field(request, "if-range") else { return true };
        (self.tag.as_ref() == Some(&asked) && asked.starts_with('"')) || self.changed.as_ref() == Some(&asked)
    }

    fn when(&self) -> Option<std::time::SystemTime> {
        self.changed.as_deref().and_then(moment)
    }
}

fn weak(tag: &str) -> bool {
    tag.trim().starts_with("W/")
}

fn moment(text: &str) -> Option<std::time::SystemTime> {
    httpdate::parse_http_date(text).ok()
}

fn field(fields: &Fields, name: &str) -> Option<String> {
    let lines: Vec<String> = fields
        .iter()
        .filter(|(known, _)| known == name)
        .map(|(_, value)| value.iter().map(|byte| char::from(*byte)).collect())
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}
