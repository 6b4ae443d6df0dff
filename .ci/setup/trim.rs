//! Takes exports out of a linked WebAssembly module, and shortens its names: `trim IN OUT NAME…`.
//!
//! The SDK exports every callback the ABI knows, and Envoy enters the VM for each that is exported, for every request,
//! whether anything is done there or not. No linker option takes an export back, so the export section is written anew
//! without the named ones. Everything else is copied as it is. A name that is not exported is an error: it would mean
//! that the SDK changed.
//!
//! The name section is for people, who meet it in Envoy's log should the plugin ever trap. There
//! `tasks::<impl Worker<H>>::work` says as much as a mangled name three times as long, and all of them together are a tenth
//! of the module.

use std::collections::BTreeSet;
use std::{env, fs, process};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [from, to, names @ ..] = arguments.as_slice() else { fail("usage: trim IN OUT NAME…") };
    let module = fs::read(from).unwrap_or_else(|error| fail(&format!("{from}: {error}")));
    let mut names: BTreeSet<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    let trimmed = trim(&module, &mut names).unwrap_or_else(|| fail(&format!("{from}: no WebAssembly module")));
    if let Some(name) = names.first() {
        fail(&format!("{from}: does not export {}", String::from_utf8_lossy(name)));
    }
    fs::write(to, trimmed).unwrap_or_else(|error| fail(&format!("{to}: {error}")));
}

fn fail(message: &str) -> ! {
    eprintln!("breakwater: {message}");
    process::exit(1);
}

/// Removes from `names` those it found. Section layout: WebAssembly core specification §5.5.
fn trim(module: &[u8], names: &mut BTreeSet<&[u8]>) -> Option<Vec<u8>> {
    const HEAD: usize = 8;
    const CUSTOM: u8 = 0;
    const EXPORTS: u8 = 7;
    let (head, mut rest) = module.split_at_checked(HEAD)?;
    let mut out = head.to_vec();
    while let Some((&id, after)) = rest.split_first() {
        let (size, after) = number(after)?;
        let (section, after) = after.split_at_checked(size)?;
        let kept = match id {
            EXPORTS => keep(section, names)?,
            CUSTOM => shorten_names(section).unwrap_or_else(|| section.to_vec()),
            _ => section.to_vec(),
        };
        out.push(id);
        write_number(&mut out, kept.len());
        out.extend(kept);
        rest = after;
    }
    Some(out)
}

fn keep(section: &[u8], names: &mut BTreeSet<&[u8]>) -> Option<Vec<u8>> {
    let (count, mut rest) = number(section)?;
    let (mut kept, mut kept_count) = (Vec::new(), 0);
    for _ in 0..count {
        let export = rest;
        let (length, after) = number(rest)?;
        let (name, after) = after.split_at_checked(length)?;
        let (_kind, after) = after.split_first()?;
        let (_index, after) = number(after)?;
        if !names.remove(name) {
            kept.extend_from_slice(&export[..export.len() - after.len()]);
            kept_count += 1;
        }
        rest = after;
    }
    let mut section = Vec::new();
    write_number(&mut section, kept_count);
    section.extend(kept);
    Some(section)
}

/// The name section with short names of functions and nothing else; `None` if it is another custom section. Layout: the
/// core specification's appendix on custom sections.
fn shorten_names(section: &[u8]) -> Option<Vec<u8>> {
    const FUNCTIONS: u8 = 1;
    let (length, after) = number(section)?;
    let (title, mut rest) = after.split_at_checked(length)?;
    if title != b"name" {
        return None;
    }
    let mut out = Vec::new();
    write_name(&mut out, "name");
    while let Some((&id, after)) = rest.split_first() {
        let (size, after) = number(after)?;
        let (names, after) = after.split_at_checked(size)?;
        rest = after;
        if id != FUNCTIONS {
            continue;
        }
        let (count, mut names) = number(names)?;
        let mut functions = Vec::new();
        write_number(&mut functions, count);
        for _ in 0..count {
            let (index, after) = number(names)?;
            let (length, after) = number(after)?;
            let (name, after) = after.split_at_checked(length)?;
            write_number(&mut functions, index);
            write_name(&mut functions, &short(&String::from_utf8_lossy(name)));
            names = after;
        }
        out.push(FUNCTIONS);
        write_number(&mut out, functions.len());
        out.extend(functions);
    }
    Some(out)
}

/// The last parts of a mangled path, each type without the way to it.
fn short(name: &str) -> String {
    let mut parts = parts(name);
    if parts.last().is_some_and(|last| last.len() == 17 && last.starts_with('h')) {
        parts.pop();
    }
    if parts.is_empty() {
        return name.to_owned();
    }
    let parts: Vec<String> = parts.iter().map(|part| readable(part)).collect();
    let path = parts[parts.len().saturating_sub(3)..].join("::");
    path.chars().take(MOST_CHARACTERS).collect()
}

/// The identifiers of a path, in either way of mangling: each stands behind its length.
fn parts(name: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let Some(mut rest) = name.strip_prefix("_ZN").or_else(|| name.strip_prefix("_R")) else { return parts };
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = rest[at..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - at);
        let Ok(length) = rest[at..at + digits].parse::<usize>() else { break };
        let Some(part) = rest.get(at + digits..at + digits + length) else { break };
        if length > 0 {
            parts.push(part);
        }
        rest = &rest[at + digits + length.max(1).min(rest.len() - at - digits)..];
    }
    parts
}

fn readable(part: &str) -> String {
    let mut text = part.trim_start_matches('_').to_owned();
    for (code, plain) in [
        ("$LT$", "<"), ("$GT$", ">"), ("$u20$", " "), ("$C$", ","), ("$RF$", "&"), ("$BP$", "*"), ("$u7b$", "{"),
        ("$u7d$", "}"), ("$u5b$", "["), ("$u5d$", "]"), ("$LP$", "("), ("$RP$", ")"), ("..", "::"),
    ] {
        text = text.replace(code, plain);
    }
    let mut out = String::new();
    for piece in text.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        out.push_str(piece.rsplit("::").next().unwrap_or(piece));
    }
    out
}

fn write_name(out: &mut Vec<u8>, name: &str) {
    write_number(out, name.len());
    out.extend_from_slice(name.as_bytes());
}

/// What is longer is mostly generics.
const MOST_CHARACTERS: usize = 60;

/// Reads an unsigned LEB128 number.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (place, &byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}

fn write_number(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
