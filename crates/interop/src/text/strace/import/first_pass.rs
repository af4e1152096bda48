//! What a first reading finds out: a child acts before its parent's clone has returned, and the
//! first line may be about somebody who began later.

use super::births::Births;
use crate::importing::forks::is_fork;
use crate::text::strace::line::{Body, Line, When};
use crate::text::strace::value;
use abi::Effect;
use abi::flags::process::CLONE;
use ahash::HashMap;

/// What all lines together tell.
#[derive(Default)]
pub(crate) struct First {
    /// Who made whom.
    pub births: Births,
    /// Where a thread was when it first used a relative name, by its first line (`-y`).
    directories: HashMap<u32, Vec<u8>>,
    /// The time of the first line.
    pub began: Option<u64>,
    /// Whether lines have times.
    pub timed: bool,
}

impl First {
    /// Takes in a line.
    pub fn look(&mut self, line: Line<'_>, time: u64, number: u64) {
        if matches!(line.body, Body::Talk | Body::Unknown) {
            return;
        }
        self.began.get_or_insert(time);
        self.timed |= line.when != When::Never;
        let tid = line.tid.unwrap_or(0);
        self.births.line(tid, number);
        match line.body {
            Body::Begin(name, args) => {
                self.directory(tid, args);
                self.moves(tid, name);
                if is_fork(name) {
                    self.births.begins(tid, number, time, flags(name, args));
                }
            }
            Body::Call(name, args, after) => {
                self.directory(tid, args);
                self.moves(tid, name);
                if is_fork(name) {
                    let flags = flags(name, args);
                    self.births.begins(tid, number, time, flags);
                    self.end(tid, number, after, flags);
                } else if makes_namespaces(name) && value::result(after) == Some(0) {
                    self.births.namespace(tid, flags(name, args));
                }
            }
            Body::Resume(name, args, after) => {
                if is_fork(name) {
                    self.end(tid, number, after, flags(name, args));
                }
            }
            Body::Exited(_) | Body::Killed(..) => self.births.gone(tid),
            Body::Superseded(by) => self.births.superseded(tid, by),
            Body::Signal(_) | Body::Talk | Body::Unknown => {}
        }
    }

    fn end(&mut self, tid: u32, number: u64, after: &str, flags: u64) {
        let result = value::result(after).unwrap_or(0);
        self.births.ends(tid, number, result, value::translated(after), flags);
    }

    fn directory(&mut self, tid: u32, args: &str) {
        // Only the first is of use: later ones may follow a chdir.
        let at_all = |args: &str| args.contains("AT_FDCWD") || args.contains("-100");
        if self.directories.contains_key(&tid) || !at_all(args) {
            return;
        }
        let at_cwd = |part: &str| {
            value::number(part, None) == Some(i64::from(abi::AT_FDCWD).cast_unsigned())
        };
        let found = value::split(args)
            .iter()
            .filter(|part| at_cwd(part))
            .find_map(|part| value::path(part).map(|(path, _)| path));
        if let Some(path) = found.filter(|p| p.starts_with(b"/")) {
            self.directories.insert(tid, path);
        }
    }

    /// Where a thread is after a chdir is not where it began.
    fn moves(&mut self, tid: u32, name: &str) {
        let moves = |row: &abi::Row| matches!(row.shape.effect, Effect::Chdir | Effect::Fchdir);
        if abi::by_name(name).is_some_and(moves) {
            self.directories.entry(tid).or_default();
        }
    }

    /// Where a thread was at first, as far as anybody says.
    pub fn directory_of(&self, tid: u32) -> Option<&Vec<u8>> {
        self.directories.get(&tid).filter(|path| !path.is_empty())
    }

    /// Who the lines without a number are about: the first thread of all.
    pub fn main(&mut self) -> u32 {
        let main = self.births.first().filter(|tid| *tid != 0).unwrap_or(1);
        self.births.is(main);
        main
    }
}

/// Whether the call says in flags of clone(2) what its process is to have of its own.
fn makes_namespaces(name: &str) -> bool {
    abi::by_name(name).is_some_and(|row| {
        row.shape
            .args
            .iter()
            .any(|a| matches!(a.kind, abi::Kind::Flags(set) if set.name == CLONE.name))
    })
}

/// The flags of clone(2) in the arguments of a call that takes them, in words or as a number.
fn flags(name: &str, args: &str) -> u64 {
    let Some(row) = abi::by_name(name) else { return 0 };
    let parts = value::split(args);
    let field = |part: &str| {
        let inside = part.trim_start_matches('{');
        let value = inside.strip_prefix("flags=")?;
        Some(value::words(value.split([',', '}']).next().unwrap_or_default(), Some(&CLONE)))
    };
    let named = parts.iter().find_map(|part| field(part));
    named.unwrap_or_else(|| {
        let at = row
            .shape
            .args
            .iter()
            .position(|a| matches!(a.kind, abi::Kind::Flags(set) if set.name == CLONE.name));
        at.and_then(|at| parts.get(at)).map_or(0, |part| value::words(part, Some(&CLONE)))
    })
}
