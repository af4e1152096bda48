//! Prints results and errors.

use super::put;
use crate::Ret;
use syscalls::Errno;

/// Returns the errno of a system call's result, such as 2 for -2, or `None` if the call succeeded.
pub fn errno_of(result: i64) -> Option<i32> {
    // MAX_ERRNO (include/linux/err.h).
    (-4095..0).contains(&result).then(|| -result as i32)
}

/// Returns the name of an errno, such as `ENOENT` for 2, or `None` if there is no such error. The
/// kernel's internal codes for restarted calls have names, too (`ERESTARTSYS`).
pub fn errno_name(errno: i32) -> Option<&'static str> {
    Errno::new(errno).name()
}

/// Returns the C library's message for an errno, such as `No such file or directory` for 2.
pub fn errno_message(errno: i32) -> String {
    let mut text = std::io::Error::from_raw_os_error(errno).to_string();
    if let Some(at) = text.rfind(" (os error ") {
        text.truncate(at);
    }
    text
}

/// Returns the name and the explanation of an internal result that makes the kernel restart the
/// call, which the program never receives (`include/linux/errno.h`); else `None`.
pub const fn restart(errno: i32) -> Option<(&'static str, &'static str)> {
    Some(match errno {
        512 => ("ERESTARTSYS", "To be restarted if SA_RESTART is set"),
        513 => ("ERESTARTNOINTR", "To be restarted"),
        514 => ("ERESTARTNOHAND", "To be restarted if no handler"),
        516 => ("ERESTART_RESTARTBLOCK", "Interrupted by signal"),
        _ => return None,
    })
}

/// Appends the result of a call: `3`, `-1 ENOENT (No such file or directory)`, `0x7f…`, or `?` if
/// it did not return.
pub fn result(ret: Ret, raw: Option<i64>, out: &mut String) {
    match raw {
        None => out.push('?'),
        Some(raw) => match errno_of(raw) {
            Some(errno) => failure(errno, out),
            None if ret == Ret::Addr => put!(out, "{raw:#x}"),
            None => put!(out, "{raw}"),
        },
    }
}

/// Appends a result that is an error.
fn failure(errno: i32, out: &mut String) {
    if let Some((name, why)) = restart(errno) {
        put!(out, "? {name} ({why})");
    } else if let Some(name) = errno_name(errno) {
        put!(out, "-1 {name} ({})", errno_message(errno));
    } else {
        put!(out, "-1 (errno {errno})");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(errno_name(2), Some("ENOENT"));
        assert_eq!(errno_name(512), Some("ERESTARTSYS"));
        assert_eq!(errno_name(4000), None);
        let results = [-1, -4095, -4096, 0, i64::MIN, i64::MAX];
        assert_eq!(results.map(errno_of), [Some(1), Some(4095), None, None, None, None]);
    }

    #[test]
    fn as_strace_prints_them() {
        let printed = |ret, raw| {
            let mut out = String::new();
            result(ret, raw, &mut out);
            out
        };
        assert_eq!(printed(Ret::Fd, Some(3)), "3");
        assert_eq!(printed(Ret::Zero, Some(-2)), "-1 ENOENT (No such file or directory)");
        assert_eq!(printed(Ret::Addr, Some(0x7f00_0000_0000)), "0x7f0000000000");
        assert_eq!(
            printed(Ret::Zero, Some(-512)),
            "? ERESTARTSYS (To be restarted if SA_RESTART is set)"
        );
        assert_eq!(printed(Ret::Zero, Some(-4000)), "-1 (errno 4000)");
        assert_eq!(printed(Ret::Never, None), "?");
    }
}
