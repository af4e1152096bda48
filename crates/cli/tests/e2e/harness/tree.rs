//! What a directory holds, as a comparable text: an oracle that shares nothing with the program's
//! own comparison.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// One line for each name below `top`, sorted: type, mode, links, size, a hash of the content or
/// the link's target.
pub fn describe(top: &Path) -> String {
    let mut lines = String::new();
    walk(top, Path::new("."), &mut lines);
    lines
}

fn walk(path: &Path, name: &Path, lines: &mut String) {
    let meta = fs::symlink_metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let kind = meta.file_type();
    let mode = meta.permissions().mode() & 0o7777;
    let shown = name.display();
    if kind.is_symlink() {
        writeln!(lines, "{shown}: link to {}", fs::read_link(path).unwrap().display()).unwrap();
    } else if kind.is_dir() {
        writeln!(
            lines,
            "{shown}: directory {mode:o} of {}:{}{}",
            meta.uid(),
            meta.gid(),
            attributes(path)
        )
        .unwrap();
        let Ok(entries) = fs::read_dir(path) else {
            return writeln!(lines, "{shown}: closed").unwrap();
        };
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
        names.sort();
        for entry in names {
            walk(&path.join(&entry), &name.join(&entry), lines);
        }
    } else if kind.is_file() {
        let content = fs::read(path)
            .map_or_else(|e| e.kind().to_string(), |bytes| format!("{:016x}", hash(&bytes)));
        let (links, size, uid, gid) = (meta.nlink(), meta.len(), meta.uid(), meta.gid());
        writeln!(
            lines,
            "{shown}: file {mode:o} of {uid}:{gid} {links} links {size} bytes {content}{}",
            attributes(path)
        )
        .unwrap();
    } else {
        writeln!(lines, "{shown}: {} {mode:o}", if kind.is_fifo() { "fifo" } else { "special" })
            .unwrap();
    }
}

fn attributes(path: &Path) -> String {
    let mut list = [0u8; 4096];
    let n = rustix::fs::llistxattr(path, &mut list[..]).unwrap_or(0);
    let mut names: Vec<_> = list[..n].split(|&b| b == 0).filter(|n| !n.is_empty()).collect();
    names.sort_unstable();
    let mut shown = String::new();
    for name in names {
        let mut value = [0u8; 4096];
        let n = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap_or(0);
        write!(
            shown,
            " {}={}",
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(&value[..n])
        )
        .unwrap();
    }
    shown
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// The description without hashes and attributes.
pub fn without_content(description: &str) -> String {
    description
        .lines()
        .map(|line| line.split_once(" bytes ").map_or(line, |(known, _)| known))
        .fold(String::new(), |all, line| all + line + "\n")
}

/// The lines that are in one description only.
pub fn difference(a: &str, b: &str) -> String {
    let only = |x: &str, y: &str, sign: char| -> String {
        let theirs: std::collections::HashSet<_> = y.lines().collect();
        x.lines().filter(|l| !theirs.contains(l)).map(|l| format!("{sign} {l}\n")).collect()
    };
    only(a, b, '-') + &only(b, a, '+')
}
