//! Takes exports out of a linked WebAssembly module: `trim IN OUT NAME…`.
//!
//! The SDK exports every callback the ABI knows, and Envoy enters the VM for each that is exported, for every request,
//! whether anything is done there or not. No linker option takes an export back, so the export section is written anew
//! without the named ones. Everything else is copied as it is. A name that is not exported is an error: it would mean
//! that the SDK changed.

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
    const EXPORTS: u8 = 7;
    let (head, mut rest) = module.split_at_checked(HEAD)?;
    let mut out = head.to_vec();
    while let Some((&id, after)) = rest.split_first() {
        let (size, after) = number(after)?;
        let (section, after) = after.split_at_checked(size)?;
        let kept = if id == EXPORTS { keep(section, names)? } else { section.to_vec() };
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
