//! One call as a line of strace.

use super::Seen;
use abi::print::{self, Captured, CapturedKind, Payload};
use abi::{Form, Kind, Len};

/// What a line shows.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Paths of descriptors.
    pub paths: bool,
    /// How strings and arrays are shown.
    pub values: print::Options,
}

/// Where strace puts the result.
const COLUMN: usize = 40;

/// Returns the line of a call as strace prints it, without the prefix (process, time) and without
/// the time that the call took.
pub fn call_line(seen: &Seen<'_>, o: &Options) -> String {
    let call = seen.call;
    let spec = call.spec();
    let mut line = call_name(call);
    line.push('(');
    match spec {
        Some(spec) => print::arguments(
            spec,
            &call.args,
            &WithPaths { seen, paths: o.paths },
            &o.values,
            &mut line,
        ),
        None => print::unknown(&call.args, &mut line),
    }
    line.push(')');
    while line.len() < COLUMN - 1 {
        line.push(' ');
    }
    line.push_str(" = ");
    print::result(spec.map_or(abi::Ret::Int, |s| s.ret), call.result(), &mut line);
    if let Some(path) = seen.opened_path().filter(|_| o.paths && call.succeeded()) {
        line.push_str(&format!("<{}>", bracket_path(path)));
    }
    if !call.was_executed() {
        line.push_str(" (answered by a seccomp filter)");
    }
    line
}

/// Returns the name of the call, or its number if the table does not have it.
pub fn call_name(call: &trace::Call) -> String {
    if call.flags & trace::record::COMPAT != 0 {
        return format!("compat_syscall_{}", call.nr);
    }
    abi::by_number(call.nr)
        .map_or_else(|| format!("syscall_{:#x}", call.nr), |row| row.name().to_owned())
}

/// Returns the name of an errno value, such as `ENOENT` for 2.
pub fn error_name(errno: i32) -> String {
    let known = print::errno_name(errno).or_else(|| print::restart(errno).map(|(name, _)| name));
    known.map_or_else(|| format!("errno {errno}"), str::to_owned)
}

/// Escapes a path so that it can stand between angle brackets.
fn bracket_path(path: &[u8]) -> String {
    trace::text::escape(path).replace('<', "\\x3c").replace('>', "\\x3e")
}

struct WithPaths<'a> {
    seen: &'a Seen<'a>,
    paths: bool,
}

/// Of a call that brought no bytes nothing is recorded: strace prints `""` then.
const NOTHING: Payload<'static> = Payload { bytes: &[], more: false };

impl WithPaths<'_> {
    /// Returns whether argument `arg` is a buffer whose length is the result of the call, and the
    /// result was 0: then an empty payload was not captured, but is known.
    fn is_empty_result(&self, arg: u8, part: CapturedKind) -> bool {
        let call = self.seen.call;
        let kind = call.spec().and_then(|s| s.args.get(usize::from(arg))).map(|a| a.kind);
        let of_result = match kind {
            Some(Kind::Out(Len::Ret { .. }, layout)) => {
                part == if layout.form == Form::Data {
                    CapturedKind::Data
                } else {
                    CapturedKind::Bytes
                }
            }
            _ => false,
        };
        of_result && call.result() == Some(0)
    }
}

impl Captured for WithPaths<'_> {
    fn payload(&self, arg: u8, part: CapturedKind, after: bool) -> Option<Payload<'_>> {
        let empty = || (after && self.is_empty_result(arg, part)).then_some(NOTHING);
        Captured::payload(self.seen.call, arg, part, after).or_else(empty)
    }

    fn note(&self, arg: u8) -> Option<String> {
        let cwd = || self.seen.operands.cwd.as_ref().map(|d| &*d.path);
        let at_cwd = self.seen.call.args[usize::from(arg)] as i32 == abi::AT_FDCWD;
        let path = if at_cwd { cwd() } else { self.seen.descriptor_path(arg) };
        path.filter(|_| self.paths).map(bracket_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::processes::Operands;
    use trace::record::{AT_EXIT, PayloadKind};
    use trace::{Call, Payload};

    const O: Options = Options {
        paths: false,
        values: print::Options { strings: 32, elements: 32, whole: false, hex: print::Hex::Never },
    };

    fn payload(arg: u8, kind: PayloadKind, flags: u8, bytes: &[u8]) -> Payload {
        Payload {
            arg,
            kind,
            flags,
            len: bytes.len() as u64,
            wanted: bytes.len() as u64,
            bytes: bytes.to_vec().into(),
        }
    }
    fn made(name: &str, args: [u64; 6], ret: i64, payloads: Vec<Payload>) -> Call {
        let nr = abi::by_name(name).expect("a call of the table").number;
        Call {
            seq: 0,
            entered: 0,
            exited: Some(1),
            pid: 1,
            tid: 1,
            nr,
            flags: 0,
            args,
            ret,
            fd_snapshot: Default::default(),
            payloads,
        }
    }
    fn printed(call: &Call) -> String {
        super::call_line(&Seen { call, operands: &Operands::default() }, &O)
    }

    #[test]
    fn as_strace_prints_them() {
        let at_cwd = i64::from(abi::AT_FDCWD).cast_unsigned();
        let path = || vec![payload(1, PayloadKind::String, 0, b"/etc/passwd")];
        let mut unfinished = made("read", [0, 0x7ffe_1000, 1, 0, 0, 0], 0, vec![]);
        unfinished.exited = None;
        let lines = [
            printed(&made("openat", [at_cwd, 1, 0o2_000_000, 0, 0, 0], 3, path())),
            printed(&made("openat", [at_cwd, 1, 0o1102, 0o644, 0, 0], -13, path())),
            printed(&made(
                "read",
                [3, 1, 64, 0, 0, 0],
                5,
                vec![payload(1, PayloadKind::Data, AT_EXIT, b"abc\n\0")],
            )),
            printed(&made(
                "write",
                [1, 1, 40, 0, 0, 0],
                40,
                vec![payload(1, PayloadKind::Data, AT_EXIT, &[b'x'; 40])],
            )),
            printed(&made("read", [3, 0x7ffe_1000, 64, 0, 0, 0], -9, vec![])),
            printed(&made("read", [0, 0x7ffe_1000, 1, 0, 0, 0], -512, vec![])),
            printed(&unfinished),
            printed(&made("close", [3, 0, 0, 0, 0, 0], 0, vec![])),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r#"
        openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3
        openat(AT_FDCWD, "/etc/passwd", O_RDWR|O_CREAT|O_TRUNC, 0644) = -1 EACCES (Permission denied)
        read(3, "abc\n\0", 64)                  = 5
        write(1, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"..., 40) = 40
        read(3, 0x7ffe1000, 64)                 = -1 EBADF (Bad file descriptor)
        read(0, 0x7ffe1000, 1)                  = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
        read(0, 0x7ffe1000, 1)                  = ?
        close(3)                                = 0
        "#);
    }
}
