//! What happened to processes, as strace tells it.

use trace::text::escape;
use trace::{Event, RecordKind};

/// Returns the line for an event. Returns `None` for events that print no line, or only with `-v`
/// (`verbose`).
pub fn event_line(event: &Event, verbose: bool) -> Option<String> {
    let [a, b, c, ..] = event.args;
    Some(match event.kind {
        RecordKind::Exit => format!("+++ {} +++", describe_wait_status(a)),
        RecordKind::Signal => signal_line(a, b as i32, c),
        RecordKind::Exec if a != u64::from(event.tid) => {
            format!("+++ superseded by execve in pid {a} +++")
        }
        RecordKind::Start if a != 0 => format!(
            "+++ {} started by {b} +++",
            if is_process(event) { "process" } else { "thread" }
        ),
        RecordKind::Gap => format!("+++ {b} records were lost here (from number {a}, CPU {c}) +++"),
        RecordKind::Note => format!("+++ {} +++", event_text(event)),
        RecordKind::Start if verbose => "+++ was running when recording began +++".to_owned(),
        RecordKind::Descriptor if verbose => {
            let path = event.identity(0).map(|(_, path)| escape(path)).unwrap_or_default();
            if event.is_mapping() {
                format!("+++ was mapped shared and writable: {path} +++")
            } else {
                format!("+++ descriptor {a} was open: {path} +++")
            }
        }
        RecordKind::State if verbose => {
            let dir = event.identity(abi::plan::WORKING_DIRECTORY).map(|(_, path)| escape(path));
            format!(
                "+++ umask {a:03o}, uid {b}, gid {c}, working directory {} +++",
                dir.unwrap_or_default()
            )
        }
        RecordKind::Call
        | RecordKind::Part
        | RecordKind::Start
        | RecordKind::Exec
        | RecordKind::Descriptor
        | RecordKind::State => return None,
    })
}

/// Returns whether the event says that a process started, as opposed to a thread.
const fn is_process(event: &Event) -> bool {
    event.args[3] == 1
}

/// Returns the text of a note, or the path of a started program, with bytes that are not UTF-8
/// replaced.
pub fn event_text(event: &Event) -> String {
    escape(event_bytes(event))
}

/// Returns the text of a note, or the path of a started program, as bytes. Empty if the event has
/// none.
pub fn event_bytes(event: &Event) -> &[u8] {
    let payload = event.payloads.iter().find(|p| p.kind == trace::record::PayloadKind::String);
    payload.map(|p| p.bytes.as_slice()).unwrap_or_default()
}

/// Describes a wait status: `exited with 1`, or `killed by SIGKILL`.
pub fn describe_wait_status(status: u64) -> String {
    let signal = status & 0x7f;
    match signal {
        0 => format!("exited with {}", status >> 8 & 0xff),
        _ => format!(
            "killed by {}{}",
            signal_name(signal),
            if status & 0x80 != 0 { " (core dumped)" } else { "" }
        ),
    }
}

/// Returns the line for a signal that was delivered, in the style of strace. A `sender` of 0 is not
/// shown.
fn signal_line(number: u64, code: i32, sender: u64) -> String {
    let name = signal_name(number);
    let code = signal_code_name(number, code);
    let sender = if sender == 0 { String::new() } else { format!(", si_pid={sender}") };
    format!("--- {name} {{si_signo={name}, si_code={code}{sender}}} ---")
}

/// Returns the name of a signal, such as `SIGCHLD` for 17.
pub fn signal_name(number: u64) -> String {
    let mut name = String::new();
    abi::print::signal_name(number, &mut name);
    name
}

/// Returns the name of a signal's `si_code`, such as `CLD_EXITED` for 1 of SIGCHLD
/// (`include/uapi/asm-generic/siginfo.h`), or the number if it has no name.
fn signal_code_name(signal: u64, code: i32) -> String {
    let of_any =
        ["SI_USER", "SI_QUEUE", "SI_TIMER", "SI_MESGQ", "SI_ASYNCIO", "SI_SIGIO", "SI_TKILL"];
    if code == 0x80 {
        return "SI_KERNEL".to_owned();
    }
    if (-6..=0).contains(&code) {
        return of_any[code.unsigned_abs() as usize].to_owned();
    }
    let of_this: &[&str] = match signal {
        4 => &[
            "ILL_ILLOPC",
            "ILL_ILLOPN",
            "ILL_ILLADR",
            "ILL_ILLTRP",
            "ILL_PRVOPC",
            "ILL_PRVREG",
            "ILL_COPROC",
            "ILL_BADSTK",
        ],
        5 => &["TRAP_BRKPT", "TRAP_TRACE", "TRAP_BRANCH", "TRAP_HWBKPT"],
        7 => &["BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR", "BUS_MCEERR_AR", "BUS_MCEERR_AO"],
        8 => &[
            "FPE_INTDIV",
            "FPE_INTOVF",
            "FPE_FLTDIV",
            "FPE_FLTOVF",
            "FPE_FLTUND",
            "FPE_FLTRES",
            "FPE_FLTINV",
            "FPE_FLTSUB",
        ],
        11 => &["SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR"],
        17 => &[
            "CLD_EXITED",
            "CLD_KILLED",
            "CLD_DUMPED",
            "CLD_TRAPPED",
            "CLD_STOPPED",
            "CLD_CONTINUED",
        ],
        29 => &["POLL_IN", "POLL_OUT", "POLL_MSG", "POLL_ERR", "POLL_PRI", "POLL_HUP"],
        31 => &["SYS_SECCOMP"],
        _ => &[],
    };
    let index = usize::try_from(code).ok().and_then(|c| c.checked_sub(1));
    index.and_then(|i| of_this.get(i)).map_or_else(|| code.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: RecordKind, args: [u64; 6]) -> Event {
        Event { time: 0, kind, pid: 7, tid: 7, args, payloads: Vec::new() }
    }

    #[test]
    fn as_strace_tells_it() {
        let events = [
            event(RecordKind::Exit, [0, 1, 0, 0, 0, 0]),
            event(RecordKind::Exit, [3 << 8, 1, 0, 0, 0, 0]),
            event(RecordKind::Exit, [9, 1, 0, 0, 0, 0]),
            event(RecordKind::Exit, [11 | 0x80, 1, 0, 0, 0, 0]),
            event(RecordKind::Signal, [17, 1, 4711, 0, 0, 0]),
            event(RecordKind::Signal, [34, -6i64 as u64, 4711, 0, 0, 0]),
            event(RecordKind::Signal, [11, 1, 0, 0, 0, 0]),
            event(RecordKind::Start, [6, 8, 0, 1, 0, 0]),
            event(RecordKind::Exec, [8, 0, 0, 0, 0, 0]),
            event(RecordKind::Gap, [100, 12, 1, 0, 0, 0]),
        ];
        let lines: Vec<String> = events.iter().filter_map(|e| event_line(e, false)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        +++ exited with 0 +++
        +++ exited with 3 +++
        +++ killed by SIGKILL +++
        +++ killed by SIGSEGV (core dumped) +++
        --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=4711} ---
        --- SIGRT_2 {si_signo=SIGRT_2, si_code=SI_TKILL, si_pid=4711} ---
        --- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR} ---
        +++ process started by 8 +++
        +++ superseded by execve in pid 8 +++
        +++ 12 records were lost here (from number 100, CPU 1) +++
        "#);
    }
}
