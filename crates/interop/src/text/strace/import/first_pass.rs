//! A first pass over the log. It is needed as a child may act before its parent's clone(2) has
//! returned, and the first line may be about a thread that was started later.

use super::thread_parents::ThreadStarts;
use crate::importing::forks::is_fork;
use crate::text::strace::line::{Body, Line, When};
use crate::text::strace::value;
use abi::Effect;
use abi::flags::process::CLONE;
use ahash::HashMap;

/// What a first pass finds.
#[derive(Default)]
pub(crate) struct FirstPass {
    /// The threads, and the calls that started them.
    pub thread_starts: ThreadStarts,
    /// The working directory of a thread when it first used AT_FDCWD, by thread (`-y`). Empty if it
    /// had changed before.
    directories: HashMap<u32, Vec<u8>>,
    /// The time of the first line that is about a thread.
    pub began: Option<u64>,
    /// Whether lines have times.
    pub timed: bool,
}

impl FirstPass {
    /// Notes what a line says about threads and working directories. `number` is the number of the
    /// line.
    pub fn observe_line(&mut self, line: Line<'_>, time: u64, number: u64) {
        if matches!(line.body, Body::Message | Body::Unknown) {
            return;
        }
        self.began.get_or_insert(time);
        self.timed |= line.when != When::Never;
        let tid = line.tid.unwrap_or(0);
        self.thread_starts.observe_line(tid, number);
        match line.body {
            Body::Begin(name, args) => {
                self.observe_directory(tid, args);
                self.observe_chdir(tid, name);
                if is_fork(name) {
                    self.thread_starts.begin_fork(tid, number, time, parse_flags(name, args));
                }
            }
            Body::Call(name, args, after) => {
                self.observe_directory(tid, args);
                self.observe_chdir(tid, name);
                if is_fork(name) {
                    let flags = parse_flags(name, args);
                    self.thread_starts.begin_fork(tid, number, time, flags);
                    self.end_fork(tid, number, after, flags);
                } else if makes_namespaces(name) && value::parse_result(after) == Some(0) {
                    self.thread_starts.add_namespace(tid, parse_flags(name, args));
                }
            }
            Body::Resume(name, args, after) => {
                if is_fork(name) {
                    self.end_fork(tid, number, after, parse_flags(name, args));
                }
            }
            Body::Exited(_) | Body::Killed(..) => self.thread_starts.thread_ended(tid),
            Body::Superseded(by) => self.thread_starts.superseded(tid, by),
            Body::Signal(_) | Body::Message | Body::Unknown => {}
        }
    }

    /// Notes the return of a call that started a thread, from the text after its arguments.
    fn end_fork(&mut self, tid: u32, number: u64, after: &str, flags: u64) {
        let result = value::parse_result(after).unwrap_or(0);
        self.thread_starts.end_fork(tid, number, result, value::parse_translated_id(after), flags);
    }

    /// Notes the thread's working directory if the call's arguments show it (`-y`) and no earlier
    /// call did.
    fn observe_directory(&mut self, tid: u32, args: &str) {
        // Only the first counts: later ones may follow a chdir(2).
        let mentions_cwd = |args: &str| args.contains("AT_FDCWD") || args.contains("-100");
        if self.directories.contains_key(&tid) || !mentions_cwd(args) {
            return;
        }
        let is_cwd = |part: &str| {
            value::parse_number(part, None) == Some(i64::from(abi::AT_FDCWD).cast_unsigned())
        };
        let directory = value::split(args)
            .iter()
            .filter(|part| is_cwd(part))
            .find_map(|part| value::parse_path(part).map(|(path, _)| path));
        if let Some(path) = directory.filter(|p| p.starts_with(b"/")) {
            self.directories.insert(tid, path);
        }
    }

    /// Notes that a chdir(2) makes the working directory unknown, unless an earlier line has shown
    /// it.
    fn observe_chdir(&mut self, tid: u32, name: &str) {
        let changes_directory =
            |row: &abi::Row| matches!(row.spec.effect, Effect::Chdir | Effect::Fchdir);
        if abi::by_name(name).is_some_and(changes_directory) {
            self.directories.entry(tid).or_default();
        }
    }

    /// Returns the first working directory of a thread, if the log shows it.
    pub fn directory_of(&self, tid: u32) -> Option<&Vec<u8>> {
        self.directories.get(&tid).filter(|path| !path.is_empty())
    }

    /// Returns the id of the first thread of the log, or 1 if the log has no thread ids. Lines
    /// without a thread id count as lines about it from now on.
    pub fn main_thread(&mut self) -> u32 {
        let main = self.thread_starts.first_thread().filter(|tid| *tid != 0).unwrap_or(1);
        self.thread_starts.set_main_thread(main);
        main
    }
}

/// Returns whether the call takes flags of clone(2), among them those of new namespaces.
fn makes_namespaces(name: &str) -> bool {
    abi::by_name(name).is_some_and(|row| row.spec.args.iter().any(has_clone_flags))
}

/// Returns whether the argument is a set of flags of clone(2).
fn has_clone_flags(arg: &abi::Arg) -> bool {
    matches!(arg.kind, abi::Kind::Flags(set) if set.name == CLONE.name)
}

/// Returns the flags of clone(2) in the arguments of a call that takes them, as names or as a
/// number.
fn parse_flags(name: &str, args: &str) -> u64 {
    let Some(row) = abi::by_name(name) else { return 0 };
    let parts = value::split(args);
    let field = |part: &str| {
        let inside = part.trim_start_matches('{');
        let value = inside.strip_prefix("flags=")?;
        Some(value::sum_known(value.split([',', '}']).next().unwrap_or_default(), Some(&CLONE)))
    };
    let in_struct = parts.iter().find_map(|part| field(part));
    in_struct.unwrap_or_else(|| {
        let index = row.spec.args.iter().position(has_clone_flags);
        index
            .and_then(|index| parts.get(index))
            .map_or(0, |part| value::sum_known(part, Some(&CLONE)))
    })
}
