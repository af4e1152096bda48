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
    /// Returns whether calls can be left out by file, name or process.
    pub fn can_exclude(&self) -> bool {
        self.include.is_some()
            || self.exclude.is_some()
            || !self.skip.is_empty()
            || !self.pids.is_empty()
    }

    /// Returns whether calls on the file at this path are selected.
    pub fn selects_file(&self, path: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
        self.include.as_ref().is_none_or(|globs| globs.is_match(path))
            && !self.exclude.as_ref().is_some_and(|globs| globs.is_match(path))
    }

    /// Returns whether the user asks for this call by name. If files are selected, calls that use
    /// no file are performed as well, but not asked for.
    pub(crate) fn is_requested<R>(&self, operands: &Operands<R>) -> bool {
        self.include.is_none() && self.exclude.is_none() || operand_paths(operands).next().is_some()
    }

    /// Returns the reason to leave a call out, or `None` if it is selected.
    pub(crate) fn exclusion<R>(&self, call: &Call, operands: &Operands<R>) -> Option<&'static str> {
        if !self.pids.is_empty() && !self.pids.contains(&call.pid) {
            return Some("process not chosen");
        }
        if self.skip.contains(&call.nr) {
            return Some("call not chosen");
        }
        let files = self.include.is_some() || self.exclude.is_some();
        (files && operand_paths(operands).any(|path| !self.selects_file(&path)))
            .then_some("file not chosen")
    }
}

/// Returns the paths of the files that a call uses.
fn operand_paths<R>(operands: &Operands<R>) -> impl Iterator<Item = Vec<u8>> + '_ {
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
    /// Notes the files that a call changed which is left out.
    pub fn add_excluded<R>(&mut self, call: &Call, spec: &CallSpec, operands: &Operands<R>) {
        if spec.changes && call.succeeded() {
            self.0.extend(operand_paths(operands).map(Into::into));
        }
    }

    /// Returns whether the result of a call can depend on the excluded changes: one of its files or
    /// its working directory was changed, or a name was created or removed in one of its
    /// directories.
    pub fn is_affected<R>(&self, operands: &Operands<R>) -> bool {
        let within = || operands.cwd.as_ref().is_some_and(|cwd| self.contains(&cwd.path));
        !self.0.is_empty()
            && (within()
                || operand_paths(operands).any(|path| {
                    self.contains(&path) || self.0.iter().any(|left| parent(left) == path)
                }))
    }

    /// Returns whether this path, or a directory above it, was noted.
    pub fn contains(&self, path: &[u8]) -> bool {
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
