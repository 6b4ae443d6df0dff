//! The rules of the house that no compiler knows: layers, sizes, words, and documents that tell the truth.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room of `src/` with the rooms it may use, itself apart: layers point downwards only. `lib.rs` may use all.
const LAYERS: [(&str, &[&str]); 13] = [
    ("time", &[]),
    ("testing", &[]),
    ("http", &["time"]),
    ("redis", &["time"]),
    ("config", &["http", "redis", "time"]),
    ("flight", &["config", "http", "redis", "time"]),
    // Redis is asked for an entry and for the lease to fetch it in one breath.
    ("store", &["flight", "config", "http", "redis", "time"]),
    ("breaker", &["config", "http", "redis", "time"]),
    ("exchange", &["store", "flight", "breaker", "config", "http", "redis", "time"]),
    // The narrow door speaks the plain vocabulary only; only these two stand at it.
    ("host", &["http", "time"]),
    ("telemetry", &["exchange", "store", "flight", "breaker", "host", "config", "http", "redis", "time"]),
    (
        "filter",
        &["telemetry", "exchange", "store", "flight", "breaker", "host", "config", "http", "redis", "time"],
    ),
    (
        "lib",
        &[
            "filter",
            "telemetry",
            "exchange",
            "store",
            "flight",
            "breaker",
            "host",
            "config",
            "http",
            "redis",
            "time",
        ],
    ),
];

/// Rooms that take time and randomness as arguments and know nothing of Envoy.
const SANS_IO: [&str; 7] = ["time", "http", "redis", "config", "store", "flight", "breaker"];

const MOST_LINES: usize = 400;

#[test]
fn layers_point_downwards_only() {
    let mut wrong = Vec::new();
    for source in rust("src") {
        let room = source.room();
        let (_, allowed) = LAYERS
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| panic!("no layer is set for {room}"));
        for used in source.uses() {
            if used != room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_way_to_name_a_room_is_seen() {
    let uses = |path: &str, code: &str| {
        let source = Source { path: path.to_owned(), text: String::new(), code: code.to_owned() };
        source.uses().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(uses("src/http/key.rs", "use crate::config::Plan;"), ["config"]);
    assert_eq!(
        uses("src/http/key.rs", "use crate::{time::{Wall, Mono}, store, http::{Key}};"),
        ["http", "store", "time"]
    );
    assert_eq!(
        uses("src/http/key.rs", "fn f(now: crate::time::Wall, b: super::super::filter::F) {}"),
        ["filter", "time"]
    );
    assert_eq!(uses("src/http/mod.rs", "use super::time::Wall;"), ["time"]);
    assert_eq!(uses("src/http/key.rs", "use super::fields::Fields;"), [] as [&str; 0]);
    assert_eq!(uses("src/time.rs", "use super::http::Fields;"), ["http"]);
}

#[test]
fn only_the_host_layer_touches_the_sdk() {
    let users = rust("src").into_iter().filter(|source| source.code.contains("proxy_wasm"));
    let wrong: Vec<_> = users
        .map(|source| source.path)
        .filter(|path| !path.starts_with("src/host/envoy") && path != "src/lib.rs")
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_pure_rooms_ask_nobody_for_the_time() {
    let clocks = ["Instant", "SystemTime", "hostcalls"];
    let mut wrong = Vec::new();
    for source in
        rust("src").iter().filter(|source| SANS_IO.contains(&source.room()) || source.room() == "exchange")
    {
        let words: BTreeSet<&str> = words(&source.code).collect();
        wrong.extend(
            clocks.iter().filter(|clock| words.contains(*clock)).map(|c| format!("{}: {c}", source.path)),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_can_panic_or_hides_a_warning_stays_out_of_the_plugin() {
    // Clippy sees most of this, but the code for Envoy only where it is compiled for WebAssembly.
    let banned = [
        ".unwrap()",
        ".expect(",
        "panic!(",
        "unreachable!(",
        "todo!(",
        "unimplemented!(",
        "#[allow",
        "#![allow",
    ];
    let mut wrong = Vec::new();
    for source in rust("src").iter().filter(|source| !source.path.starts_with("src/host/sim")) {
        for (number, line) in source.code.lines().enumerate() {
            wrong.extend(
                banned
                    .iter()
                    .filter(|b| line.contains(*b))
                    .map(|b| format!("{}:{}: {b}", source.path, number + 1)),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_say_what_a_thing_is_and_nothing_is_left_to_do() {
    let mut wrong = Vec::new();
    for source in rust("src").into_iter().chain(rust("tests")) {
        if source.path == file!() {
            continue;
        }
        for word in words(&source.text) {
            let vague =
                ["Manager", "Helper", "Util", "Utils"].iter().any(|end| word.ends_with(end) && word != *end);
            let left = ["TODO", "FIXME", "XXX", "HACK"].contains(&word);
            if vague || left {
                wrong.push(format!("{}: {word}", source.path));
            }
        }
        // The SDK's own name for one of its callbacks.
        let text = source.text.replace("fn get_type(", "");
        if text.contains("fn get_") || text.contains("#[ignore") {
            wrong.push(format!("{}: fn get_… or an ignored test", source.path));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_is_short_enough_to_read() {
    let sizes = rust("src").into_iter().map(|source| {
        // A module's own tests may stand below it; longer ones have a file of their own.
        let lines =
            source.text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
        (source.path, lines)
    });
    let tests = rust("tests").into_iter().map(|source| {
        let lines = source.text.lines().count();
        (source.path, lines)
    });
    // A table of cases is as long as it has cases.
    let long: Vec<_> = sizes
        .chain(tests)
        .filter(|(path, lines)| *lines > MOST_LINES && !path.ends_with("/tests.rs"))
        .collect();
    assert!(long.is_empty(), "over {MOST_LINES} lines: {long:#?}");
}

#[test]
fn every_module_opens_with_what_it_is_for() {
    let wrong: Vec<_> = rust("src")
        .into_iter()
        .filter(|source| !source.path.ends_with("tests.rs") && !source.text.starts_with("//!"))
        .map(|source| source.path)
        .collect();
    assert!(wrong.is_empty(), "no essay at the top: {wrong:#?}");
}

#[test]
fn documents_name_only_paths_that_exist() {
    let mut wrong = Vec::new();
    for document in files(".", "md") {
        let text = read(&document);
        let quoted = text.split('`').skip(1).step_by(2);
        let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for name in quoted.chain(linked) {
            let name = name.split('#').next().unwrap_or_default();
            let ours = ["src/", "tests/", "envoy/", ".ci/"].iter().any(|folder| name.starts_with(folder));
            if ours && !name.contains(['*', ' ', '…', '<', '{']) && !root().join(name).exists() {
                wrong.push(format!("{}: {name}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_readme_explains_each_reason_and_no_other() {
    let readme = read(&root().join("README.md"));
    let (_, table) = readme.split_once("| word | reason |").expect("the table of reasons");
    let (table, _) = table.split_once("\n\n").expect("its end");
    let rows = table.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    let explained: BTreeSet<_> = rows.collect();
    let known: BTreeSet<_> = breakwater::http::Reason::ALL.map(breakwater::http::Reason::word).into();
    assert_eq!(explained, known);
}

#[test]
fn the_breakers_document_explains_each_cause_and_names_only_tests_that_exist() {
    let document = read(Path::new("docs/breaker.md"));
    let table = |title: &str| {
        let (_, table) = document.split_once(title).expect("a table");
        table.split("\n\n").next().unwrap_or_default().to_owned()
    };
    let causes = table("| cause | the circuit |");
    let rows = causes.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    let explained: BTreeSet<_> = rows.collect();
    let known: BTreeSet<_> = breakwater::breaker::Cause::ALL.map(breakwater::breaker::Cause::word).into();
    assert_eq!(explained, known);

    let sources: String = files("tests/integration", "rs").iter().map(|path| read(path)).collect();
    let rows = table("| when | who acts |");
    let named: Vec<&str> = rows.lines().skip(2).filter_map(|row| row.rsplit('`').nth(1)).collect();
    assert!(named.len() >= 10, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !sources.contains(&format!("fn {name}()"))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn documents_and_scripts_name_only_targets_that_make_has() {
    let makefile = read(Path::new("Makefile"));
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| line.contains(" ## "))
        .filter_map(|line| line.split(':').next())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
        .collect();
    assert!(targets.contains("test") && targets.contains("demo"), "{targets:?}");
    let mut wrong = Vec::new();
    for document in
        files(".", "md").into_iter().chain([PathBuf::from(".ci/run"), PathBuf::from("docker-compose.yml")])
    {
        // Commands stand in code: after a backtick, a line's beginning, or the shell's `exec`.
        let text = read(&document).replace('`', "\n").replace("exec ", "\n").replace("#   ", "\n");
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("make ") else { continue };
            let target = rest.split_whitespace().find(|word| !word.contains('=')).unwrap_or_default();
            if !target.is_empty() && !targets.contains(target) {
                wrong.push(format!("{}: make {target}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_port_stands_once_in_a_configuration() {
    for file in files("envoy", "yaml") {
        let text = read(&file);
        let ports: Vec<&str> =
            text.split("port_value: ").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        let distinct: BTreeSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len(), "{}: {ports:?}", file.display());
        assert!(ports.len() >= 3, "{}: {ports:?}", file.display());
    }
}

/// One Rust file: its text, and its code without comments and in-file tests.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The folder or file of `src/` it belongs to.
    fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// The rooms it names, by `crate::` or by as many `super::` as lead there.
    fn uses(&self) -> BTreeSet<String> {
        if self.is_test() {
            return BTreeSet::new();
        }
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        let depth = inside.trim_end_matches("/mod").split('/').count();
        let code = self.code.replace(&"super::".repeat(depth), "crate::");
        let mut used = BTreeSet::new();
        for rest in code.split("crate::").skip(1) {
            match rest.strip_prefix('{') {
                Some(group) => used.extend(heads(group)),
                None => used.extend(words(rest).next().map(str::to_owned)),
            }
        }
        used
    }
}

/// The first word of each member of a `{…}` group that has just been opened.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut fresh, mut found) = (1, true, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => fresh = true,
            _ if fresh && letter.is_alphabetic() => {
                found.extend(words(&group[at..]).next().map(str::to_owned));
                fresh = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rust(folder: &str) -> Vec<Source> {
    let sources = files(folder, "rs").into_iter().map(|path| {
        let text = read(&path);
        let path = path.to_str().expect("names of this project are text").to_owned();
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        let before_tests = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines =
            before_tests.lines().filter(|_| !is_test).map(|line| match line.trim_start().starts_with("//") {
                true => "",
                false => line,
            });
        let code = lines.collect::<Vec<_>>().join("\n");
        Source { path, text, code }
    });
    let sources: Vec<_> = sources.collect();
    assert!(!sources.is_empty(), "no Rust in {folder}");
    sources
}

/// All files below `folder` whose names end so, in order; what was built or fetched apart.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder of this project") {
            let entry = entry.expect("a folder of this project");
            let path = folder.join(entry.file_name());
            let path = path.strip_prefix(".").map(Path::to_path_buf).unwrap_or(path);
            let name = entry.file_name();
            if entry.file_type().expect("a file of this project").is_dir() {
                if !["target", "dist", ".git", ".tools", ".work"].contains(&name.to_str().unwrap_or_default())
                {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
