//! Which of a trace's calls are performed: by file, by call, by process, by time.
//!
//! What is left out must not break the rest. Calls before the chosen time are performed all the
//! same, at once and without being compared: they make the state that the chosen ones find. A
//! descriptor whose open was left out is opened when a call needs it. What a call finds in files
//! that others changed which were left out is explained by that: it may differ, and is counted
//! apart.

use abi::CallSpec;
use ahash::HashSet;
use globset::GlobSet;
use model::processes::{Operands, lexical, parent};
use std::collections::BTreeSet;
use trace::Call;

/// What is chosen; by default everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only calls on these files; `None`: on all.
    pub include: Option<GlobSet>,
    /// No calls on these.
    pub exclude: Option<GlobSet>,
    /// Numbers of calls that are left out.
    pub skip: HashSet<u32>,
    /// Only calls of these processes; none: of all.
    pub pids: Vec<u32>,
    /// Calls that begin earlier after the first one, in nanoseconds, only make the state for the
    /// others.
    pub from: u64,
    /// Calls that begin later after the first one, in nanoseconds, are left out.
    pub until: Option<u64>,
}

impl Selection {
    /// Whether calls may be left out.
    pub fn leaves_out(&self) -> bool {
        self.include.is_some()
            || self.exclude.is_some()
            || !self.skip.is_empty()
            || !self.pids.is_empty()
    }

    /// Whether a file is chosen.
    pub fn has(&self, path: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
        self.include.as_ref().is_none_or(|globs| globs.is_match(path))
            && !self.exclude.as_ref().is_some_and(|globs| globs.is_match(path))
    }

    /// Whether a call that is not left out is one that the user asks for: where files are named,
    /// calls that are about none are performed, too.
    pub(crate) fn names<R>(&self, operands: &Operands<R>) -> bool {
        self.include.is_none() && self.exclude.is_none() || paths(operands).next().is_some()
    }

    /// Why a call is left out, if it is.
    pub(crate) fn exclusion<R>(&self, call: &Call, operands: &Operands<R>) -> Option<&'static str> {
        if !self.pids.is_empty() && !self.pids.contains(&call.pid) {
            return Some("process not chosen");
        }
        if self.skip.contains(&call.nr) {
            return Some("call not chosen");
        }
        let files = self.include.is_some() || self.exclude.is_some();
        (files && paths(operands).any(|path| !self.has(&path))).then_some("file not chosen")
    }
}

/// The files that a call is about.
fn paths<R>(operands: &Operands<R>) -> impl Iterator<Item = Vec<u8>> + '_ {
    let named = operands.paths.values().map(|p| lexical(p));
    named.chain(
        operands
            .fds
            .iter()
            .flatten()
            .chain(&operands.closed)
            .filter(|d| d.file.is_stored())
            .map(|d| d.file.path.to_vec()),
    )
}

/// Files that were changed in the recording by calls that were left out.
#[derive(Default)]
pub(crate) struct SkippedChanges(BTreeSet<Box<[u8]>>);

impl SkippedChanges {
    /// A call is left out.
    pub fn note<R>(&mut self, call: &Call, spec: &CallSpec, operands: &Operands<R>) {
        if spec.changes && call.succeeded() {
            self.0.extend(paths(operands).map(Into::into));
        }
    }

    /// Whether a call's files or its working directory are among them, or were made or removed in a
    /// directory that it is about.
    pub fn explains<R>(&self, operands: &Operands<R>) -> bool {
        let within = || operands.cwd.as_ref().is_some_and(|cwd| self.has(&cwd.path));
        !self.0.is_empty()
            && (within()
                || paths(operands)
                    .any(|path| self.has(&path) || self.0.iter().any(|left| parent(left) == path)))
    }

    /// Whether this name, or one above it, is among them.
    pub fn has(&self, path: &[u8]) -> bool {
        let mut path = path;
        loop {
            if self.0.contains(path) {
                return true;
            }
            if path.len() <= 1 {
                return false;
            }
            path = parent(path);
        }
    }
}
