//! The filter expressions of `-e`, strace's grammar, one parser for every command.
//!
//! An expression is a set of calls (`read,write`, `!futex`, `%file`, `/^f?stat`, also written
//! `trace=...`), a set of outcomes (`status=failed`), or a pattern of paths (`path=*.db`). As in
//! strace, a later set of calls or outcomes replaces an earlier one, and several patterns add up. A
//! call passes when it passes every sort that was given.

mod parse;

pub use parse::Error;

use globset::GlobMatcher;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use trace::Call;

/// Separates expressions in one line.
const BETWEEN: &str = " -e ";

/// The calls that pass the expressions of `-e`.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    calls: Calls,
    statuses: Option<BTreeSet<Status>>,
    paths: Vec<GlobMatcher>,
}

/// A set of calls: the numbers listed, or all but those.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Calls {
    listed: BTreeSet<u32>,
    all_but: bool,
}

impl Default for Calls {
    fn default() -> Self {
        Self { listed: BTreeSet::new(), all_but: true }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Returned without an error.
    Successful,
    /// Returned an error.
    Failed,
    /// Never returned.
    Unfinished,
}

impl Status {
    /// Returns the status of a call.
    pub fn of_call(call: &Call) -> Self {
        match (call.result().is_some(), call.error()) {
            (false, _) => Self::Unfinished,
            (true, Some(_)) => Self::Failed,
            (true, None) => Self::Successful,
        }
    }
}

/// Returns the help text of an option that takes filter expressions. `more` describes what this
/// option takes besides sets of calls.
pub fn option_help(summary: &str, more: &str) -> String {
    let groups: Vec<String> = abi::Row::group_names().map(|name| format!("%{name}")).collect();
    format!(
        "{summary}\n\nEXPR is a list like openat,%stat or a pattern like /^f?sync; a leading ! \
         selects all other calls. {more}Groups: {}.",
        groups.join(", ")
    )
}

impl Filter {
    /// Parses filter expressions, in the order in which they were typed.
    pub fn parse(expressions: &[String]) -> Result<Self, Error> {
        let mut filter = Self::default();
        for expression in expressions {
            parse::add_expression(&mut filter, expression)?;
        }
        Ok(filter)
    }
    /// Joins expressions to the line that a trace keeps as its filter. [`Filter::from_line`] parses
    /// it.
    pub fn to_line(expressions: &[String]) -> String {
        expressions.join(BETWEEN)
    }
    /// Parses the line that [`Filter::to_line`] made.
    pub fn from_line(written: &str) -> Result<Self, Error> {
        Self::parse(
            &written
                .split(BETWEEN)
                .filter(|e| !e.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    }
    /// Returns whether calls with this system call number may pass.
    pub fn has_number(&self, nr: u32) -> bool {
        self.calls.listed.contains(&nr) != self.calls.all_but
    }
    /// Returns whether calls with any number may pass.
    pub fn has_all_numbers(&self) -> bool {
        self.calls == Calls::default()
    }
    /// Returns whether any call may be left out.
    pub fn chooses(&self) -> bool {
        !self.has_all_numbers() || self.statuses.is_some() || !self.paths.is_empty()
    }
    /// Lets calls with this outcome pass, and no others.
    pub fn only_status(&mut self, status: Status) {
        self.statuses = Some(BTreeSet::from([status]));
    }
    /// Adds a path, taken literally.
    pub fn add_path(&mut self, path: &[u8]) -> Result<(), Error> {
        let literal = globset::escape(&String::from_utf8_lossy(path));
        parse::add_expression(self, &format!("path={literal}"))
    }
    /// Returns whether every call passes that replay needs.
    pub fn suffices_for_replay(&self) -> bool {
        let all =
            [Status::Successful, Status::Failed].iter().all(|status| self.has_status(*status));
        all && self.paths.is_empty()
            && abi::rows()
                .filter(|row| row.needed_for_replay())
                .all(|row| self.has_number(row.number))
    }
    /// Returns whether calls with this outcome may pass.
    pub fn has_status(&self, status: Status) -> bool {
        self.statuses.as_ref().is_none_or(|s| s.contains(&status))
    }
    /// Returns whether [`Filter::passes`] looks at its `paths`.
    pub fn needs_paths(&self) -> bool {
        !self.paths.is_empty()
    }
    /// Returns whether the call passes. `paths` are those of its path arguments and descriptors;
    /// they are needed only if [`Filter::needs_paths`].
    pub fn passes(&self, call: &Call, paths: &[&[u8]]) -> bool {
        self.has_number(call.nr)
            && self.has_status(Status::of_call(call))
            && (self.paths.is_empty() || paths.iter().any(|p| self.has_path(p)))
    }
    /// Returns whether one of the globs matches the path. None does without [`Filter::needs_paths`].
    pub fn has_path(&self, path: &[u8]) -> bool {
        let path = std::ffi::OsStr::from_bytes(path);
        self.paths.iter().any(|glob| glob.is_match(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(expressions: &[&str]) -> Filter {
        let owned: Vec<String> = expressions.iter().map(ToString::to_string).collect();
        Filter::parse(&owned).expect("a valid expression")
    }
    fn names(expressions: &[&str]) -> Vec<&'static str> {
        let filter = filter(expressions);
        abi::rows().filter(|r| filter.has_number(r.number)).map(abi::Row::name).collect()
    }
    fn refusal(expression: &str) -> String {
        Filter::parse(&[expression.to_owned()]).expect_err("not a valid expression").to_string()
    }
    fn call(name: &str, ret: i64) -> Call {
        let nr = abi::by_name(name).expect("a call of the table").number;
        Call {
            seq: 0,
            entered: 0,
            exited: Some(1),
            pid: 1,
            tid: 1,
            nr,
            flags: 0,
            args: [0; 6],
            ret,
            fd_snapshot: Default::default(),
            payloads: Vec::new(),
        }
    }

    #[test]
    fn sets_of_calls() {
        assert!(filter(&[]).has_all_numbers());
        assert_eq!(names(&["read,write"]), ["read", "write"]);
        assert_eq!(names(&["trace=read"]), ["read"]);
        assert_eq!(names(&["read", "close"]), ["close"], "the later set replaces the earlier one");
        assert!(!names(&["!read,write"]).contains(&"write"));
        assert!(names(&["!read,write"]).contains(&"close"));
        assert!(names(&["%file"]).contains(&"openat"));
        assert!(!names(&["%file"]).contains(&"read"));
        assert_eq!(names(&["/^(read|write)$"]), ["read", "write"]);
        let replay = names(&["%replay"]);
        assert!(
            ["openat", "pread64", "fork", "sendmsg", "accept4", "setuid"]
                .iter()
                .all(|call| replay.contains(call))
        );
        assert!(
            ["futex", "epoll_wait", "recvfrom", "getpid"].iter().all(|call| !replay.contains(call))
        );
        assert!(
            filter(&["%replay"]).suffices_for_replay()
                && filter(&["!futex"]).suffices_for_replay()
                && filter(&[]).suffices_for_replay()
        );
        let written = Filter::to_line(&["!lseek".to_owned(), "status=successful".to_owned()]);
        assert!(
            !Filter::from_line(&written).unwrap().has_status(Status::Failed)
                && Filter::from_line("").unwrap().suffices_for_replay()
        );
        assert!(
            !filter(&["!lseek"]).suffices_for_replay()
                && !filter(&["status=failed"]).suffices_for_replay()
        );
        assert_eq!(names(&["none"]), [""; 0]);
        assert!(filter(&["all"]).has_all_numbers());
        assert_eq!(names(&["?no_such_call,read"]), ["read"]);
        assert!(
            filter(&["!read"]).has_number(100_000),
            "what the table does not know is not excluded"
        );
        assert!(!filter(&["read"]).has_number(100_000));
        assert!(
            filter(&["read"]).has_number(0) && filter(&["0"]).has_number(0),
            "numbers are names too"
        );
    }

    #[test]
    fn outcomes_and_paths() {
        let failed = filter(&["status=failed"]);
        assert!(failed.passes(&call("read", -2), &[]) && !failed.passes(&call("read", 2), &[]));
        let not_failed = filter(&["status=!failed"]);
        assert!(
            !not_failed.passes(&call("read", -2), &[]) && not_failed.passes(&call("read", 2), &[])
        );
        let db = filter(&["path=/tmp/*.db", "path=*.wal", "read"]);
        assert!(db.passes(&call("read", 2), &[b"/tmp/a/b.db"]), "a star spans directories");
        assert!(db.passes(&call("read", 2), &[b"/x", b"/x/y.wal"]));
        assert!(!db.passes(&call("read", 2), &[b"/x", b"/tmp/y.txt"]));
        assert!(!db.passes(&call("close", 2), &[b"/tmp/b.db"]));
        assert!(!db.passes(&call("read", 2), &[]));
    }

    #[test]
    fn mistakes_are_explained() {
        let mistakes = [
            "raed",
            "file",
            "%fiel",
            "/((",
            "/zzz",
            "status=broken",
            "signal=none",
            "",
            "read,,write",
            "path=[a",
        ];
        let told: Vec<String> = mistakes.iter().map(|m| refusal(m)).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        unknown system call 'raed'; did you mean read?
        unknown system call 'file'; did you mean the group %file?
        unknown group of calls '%fiel'; known groups: %desc %file %net %network %memory %process %signal %ipc %creds %clock %stat %xattr %aio %system %replay
        invalid regular expression '/((': unclosed group
        invalid regular expression '/zzz': it matches no system call
        unknown status 'broken'; expected successful, failed or unfinished
        unknown filter 'signal='; expected trace=, status= or path=
        empty name in '-e '
        empty name in '-e read,,write'
        invalid glob '[a': unclosed character class; missing ']'
        "#);
    }
}
