//! Compares the tree that a replay left with the trace's manifest, both ways.
//!
//! What is compared: presence, type, permissions, owners (where comparable), size and content of
//! files, targets of links, which names are links to one file, link counts where all names are
//! known, extended attributes. Never compared: times, inode and device numbers, sizes and link
//! counts of directories. Whatever else cannot be compared is listed with its reason in
//! [`TreeComparison::excluded`].

use ahash::HashMap;
use model::files::{Content, Differs, FileType, Final, Row, State, compared_xattr};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, OFlags, Stat, fgetxattr, flistxattr, fstat, readlinkat};
use sandbox::Tree;
use sandbox::{CAPABILITY, SET_ID};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::Path;
use trace::text::escape;

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The name, as the manifest has it.
    pub path: Vec<u8>,
    /// What differs: `presence`, `type`, `mode`, `owner`, `group`, `size`, `links`, `target`,
    /// `names`, `xattr NAME`, `content`.
    pub what: String,
    /// What the manifest says.
    pub expected: String,
    /// What the tree shows.
    pub got: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {}: expected {}, got {}",
            escape(&self.path),
            self.what,
            self.expected,
            self.got
        )
    }
}

/// The outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeComparison {
    /// Names compared.
    pub compared: u64,
    /// Names of which something could not be compared, with the reason.
    pub excluded: Vec<(Vec<u8>, String)>,
    /// What differs, by path.
    pub differences: Vec<Difference>,
}

impl TreeComparison {
    /// Adds a difference of the file at `path`: `what` was expected to be `expected`, and is `got`.
    fn add_difference(
        &mut self,
        path: &[u8],
        what: &str,
        expected: impl Display,
        got: impl Display,
    ) {
        let (expected, got) = (format!("{expected}"), format!("{got}"));
        self.differences.push(Difference {
            path: path.to_vec(),
            what: what.to_owned(),
            expected,
            got,
        });
    }
    /// Adds a path that is compared only in part, with the reason.
    fn add_excluded(&mut self, path: &[u8], reason: impl Into<String>) {
        self.excluded.push((path.to_vec(), reason.into()));
    }
}

/// What can be equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompareOptions {
    /// Owners and groups: the replay ran with the recorded credentials.
    pub owners: bool,
    /// What lets others act as a file's owner was not set on files.
    pub withhold: bool,
}

/// Why set-user-ID bits and the like are not compared.
const WITHHELD: &str = "withheld, as others can reach the root";

/// Compares the tree under `root` with the final state in the manifest. `progress` is called with
/// the number of compared names and of all names.
pub fn compare_tree(
    rows: &[Row],
    root: &Path,
    options: CompareOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> io::Result<TreeComparison> {
    let mut tree = Tree::open(root)?;
    let mut report = TreeComparison::default();
    let mut identities = FileIdentities::default();
    let mut expected: BTreeMap<&[u8], bool> = BTreeMap::new();
    for (done, row) in rows.iter().enumerate() {
        progress(done as u64, rows.len() as u64);
        match &row.last {
            Final::Unknown(reason) => {
                report.add_excluded(&row.path, reason.clone());
                expected.insert(&row.path, false);
            }
            Final::Absent => {}
            Final::Present(state, _) if !state.kind.performed() => {
                report.add_excluded(&row.path, format!("a {} is not replayed", state.kind.name()));
                expected.insert(&row.path, false);
            }
            Final::Present(state, content) => {
                expected.insert(&row.path, state.kind == FileType::Directory);
                report.compared += 1;
                if let Err(error) = compare_file(
                    &mut tree,
                    row,
                    state,
                    content,
                    options,
                    &mut identities,
                    &mut report,
                ) {
                    match error.kind() {
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                            report.add_difference(
                                &row.path,
                                "presence",
                                state.kind.name(),
                                "nothing",
                            );
                        }
                        _ => {
                            report.add_excluded(&row.path, format!("cannot be read here: {error}"));
                        }
                    }
                }
            }
        }
    }
    find_extra_names(&mut tree, &expected, &mut report)?;
    report.differences.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(report)
}

/// Which names of the tree are one file, and which should be.
#[derive(Default)]
struct FileIdentities {
    by_group: HashMap<u32, ((u64, u64), Vec<u8>)>,
    by_file: HashMap<(u64, u64), (Option<u32>, Vec<u8>)>,
}

impl FileIdentities {
    /// Adds a difference if the file is not hard-linked with the other names of its group, or with
    /// another file.
    fn check_links(
        &mut self,
        path: &[u8],
        group: Option<u32>,
        stat: &Stat,
        report: &mut TreeComparison,
    ) {
        let file = (stat.st_dev, stat.st_ino);
        if let Some((first, name)) = group.and_then(|g| self.by_group.get(&g)) {
            if *first != file {
                report.add_difference(
                    path,
                    "names",
                    format!("a link to {}", escape(name)),
                    "another file",
                );
            }
            return;
        }
        if let Some(group) = group {
            self.by_group.insert(group, (file, path.to_vec()));
        }
        if let Some((_, name)) = self.by_file.get(&file) {
            report.add_difference(
                path,
                "names",
                "a file of its own",
                format!("a link to {}", escape(name)),
            );
        }
        self.by_file.insert(file, (group, path.to_vec()));
    }
}

/// Compares a file with its final state: type, content, links and attributes.
fn compare_file(
    tree: &mut Tree,
    row: &Row,
    state: &State,
    content: &Content,
    options: CompareOptions,
    identities: &mut FileIdentities,
    report: &mut TreeComparison,
) -> io::Result<()> {
    let path = &row.path[..];
    let fd = tree.get(path, OFlags::PATH)?;
    let stat = fstat(&fd)?;
    let kind = FileType::of_mode(stat.st_mode);
    if kind != state.kind {
        report.add_difference(path, "type", state.kind.name(), kind.name());
        return Ok(());
    }
    if kind == FileType::Link {
        let target = readlinkat(&fd, c"", Vec::new())?.into_bytes();
        if let Some(expected) = state.target.as_ref().filter(|t| **t != target) {
            report.add_difference(path, "target", escape(expected), escape(&target));
        }
    } else if let Some(mode) = state.mode.filter(|m| is_withheld(options, kind, *m, stat.st_mode)) {
        let bits = mode & SET_ID;
        report.add_excluded(path, format!("mode bits {bits:04o} were {WITHHELD}"));
    } else if path == b"/" && is_private(&stat) && state.mode.is_some_and(|m| m & OTHERS != 0) {
        report.add_excluded(path, "mode: a root that is made lets in nobody but its owner");
    } else if let Some(mode) = state.mode.filter(|m| *m != stat.st_mode & 0o7777) {
        report.add_difference(
            path,
            "mode",
            format!("{mode:04o}"),
            format!("{:04o}", stat.st_mode & 0o7777),
        );
    }
    if options.owners {
        if let Some(uid) = state.uid.filter(|u| *u != stat.st_uid) {
            report.add_difference(path, "owner", uid, stat.st_uid);
        }
        if let Some(gid) = state.gid.filter(|g| *g != stat.st_gid) {
            report.add_difference(path, "group", gid, stat.st_gid);
        }
    }
    if kind != FileType::Directory {
        identities.check_links(path, state.group, &stat, report);
        if let Some(links) = state.links.filter(|l| u64::from(*l) != stat.st_nlink) {
            report.add_difference(path, "links", links, stat.st_nlink);
        }
    }
    if kind == FileType::Regular || kind == FileType::Directory {
        let file = tree.get(path, OFlags::RDONLY)?;
        compare_xattrs(path, state, &file, options, report)?;
        if kind == FileType::Regular {
            compare_content(path, state, content, &file, stat.st_size as u64, report)?;
        }
    }
    Ok(())
}

/// Compares the content of a regular file with the recorded hash or size.
fn compare_content(
    path: &[u8],
    state: &State,
    content: &Content,
    file: &OwnedFd,
    size: u64,
    report: &mut TreeComparison,
) -> io::Result<()> {
    if let Some(expected) = state.size.filter(|s| *s != size) {
        report.add_difference(path, "size", expected, size);
        return Ok(());
    }
    match content {
        Content::None => {}
        Content::Not(reason) => report.add_excluded(path, reason.clone()),
        Content::Hash(digest) => {
            let unstated = digest.unstated(size);
            if unstated > 0 {
                report
                    .add_excluded(path, format!("{unstated} of {size} bytes are not in the trace"));
            }
            match digest.differs(file, size)? {
                None => {}
                Some(Differs::Hash(got)) => {
                    report.add_difference(path, "content", to_hex(&digest.hash), to_hex(&got));
                }
                Some(Differs::NoZero(at)) => {
                    report.add_difference(path, "content", "a hole", format!("data at byte {at}"));
                }
            }
        }
    }
    Ok(())
}

/// Formats a hash as hexadecimal digits.
fn to_hex(hash: &[u8; 32]) -> String {
    use std::fmt::Write;
    hash[..8].iter().fold("blake3 ".to_owned(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

/// The permissions of all but the owner.
const OTHERS: u32 = 0o077;

/// Returns whether only the owner can enter the directory.
fn is_private(stat: &Stat) -> bool {
    stat.st_mode & OTHERS == 0
}

/// Returns whether two modes differ only in bits that are withheld.
fn is_withheld(options: CompareOptions, kind: FileType, expected: u32, got: u32) -> bool {
    let withheld = expected & SET_ID != 0 && kind != FileType::Directory;
    options.withhold && withheld && expected & !SET_ID == got & 0o7777
}

/// Compares the extended attributes of a file.
fn compare_xattrs(
    path: &[u8],
    state: &State,
    file: &OwnedFd,
    options: CompareOptions,
    report: &mut TreeComparison,
) -> io::Result<()> {
    let got = match read_xattrs(file) {
        Ok(got) => got,
        Err(rustix::io::Errno::OPNOTSUPP) => BTreeMap::new(),
        Err(e) => return Err(e.into()),
    };
    let shown = |value: Option<&Vec<u8>>| {
        value.map_or_else(|| "none".to_owned(), |v| format!("\"{}\"", v.escape_ascii()))
    };
    let expected: BTreeMap<&[u8], &Vec<u8>> =
        state.xattrs.iter().map(|(n, v)| (&n[..], v)).collect();
    let mut names: Vec<&[u8]> =
        expected.keys().copied().chain(got.keys().map(|k| &k[..])).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (e, g) = (expected.get(name).copied(), got.get(name));
        if options.withhold && name == CAPABILITY && e.is_some() && g.is_none() {
            report.add_excluded(path, format!("its file capability was {WITHHELD}"));
        } else if e != g {
            report.add_difference(path, &format!("xattr {}", escape(name)), shown(e), shown(g));
        }
    }
    Ok(())
}

/// Returns the extended attributes of a file.
fn read_xattrs(file: &OwnedFd) -> rustix::io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut list = vec![0u8; 1 << 16];
    let n = flistxattr(file, &mut list[..])?;
    let mut found = BTreeMap::new();
    for name in list[..n].split(|&b| b == 0).filter(|name| compared_xattr(name)) {
        let mut value = vec![0u8; 1 << 16];
        let n = fgetxattr(file, name, &mut value[..])?;
        value.truncate(n);
        found.insert(name.to_vec(), value);
    }
    Ok(found)
}

/// Adds a difference for each name in the tree that the manifest does not have. Names below such a
/// directory are not listed.
fn find_extra_names(
    tree: &mut Tree,
    expected: &BTreeMap<&[u8], bool>,
    report: &mut TreeComparison,
) -> io::Result<()> {
    let device = fstat(tree.root())?.st_dev;
    let mut stack = vec![b"/".to_vec()];
    while let Some(dir) = stack.pop() {
        let listing = match tree.get(&dir, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(fd) if fstat(&fd)?.st_dev != device => continue, // something mounted for the replay
            Ok(fd) => Dir::read_from(&fd)?,
            Err(e)
                if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                continue;
            } // told already
            Err(e) => {
                report.add_excluded(&dir, format!("cannot be listed here: {e}"));
                continue;
            }
        };
        for entry in listing {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." || (dir == b"/" && name == b"lost+found") {
                continue;
            }
            let slash: &[u8] = if dir == b"/" { b"" } else { b"/" };
            let path = [&dir[..], slash, name].concat();
            match expected.get(&path[..]) {
                Some(true) => stack.push(path),
                Some(false) => {}
                None => {
                    let (parent, name) = tree.parent(&path)?;
                    let kind = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
                        .map_or(FileType::Unknown, |s| FileType::of_mode(s.st_mode));
                    report.add_difference(&path, "presence", "nothing", kind.name());
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
