//! What the user can do about an error of capture.

use crate::messages::failure::Advise;
use anyhow::Result;
use rustix::io::Errno;

/// Adds to an engine's error what the user can do about it. `in_kernel` is whether only eBPF can do
/// what was asked for.
pub fn with_advice<T>(result: Result<T, capture::Error>, in_kernel: bool) -> Result<T> {
    let root = rustix::process::geteuid().is_root();
    let advice = match &result {
        Err(capture::Error::Journal(error)) if error.is_refused() => {
            "choose a directory that you may write to, with -o"
        }
        Err(capture::Error::NotFound(_)) => "check the spelling, and PATH",
        Err(capture::Error::NotExecutable { .. }) => {
            "chmod +x makes a program of a file; a script needs a #! line"
        }
        Err(capture::Error::Attach { source, .. })
            if source.raw_os_error() == Some(Errno::SRCH.raw_os_error()) =>
        {
            "`pgrep -a NAME` lists the processes of a program with their numbers"
        }
        Err(capture::Error::Attach { source, .. })
            if source.raw_os_error() == Some(Errno::PERM.raw_os_error()) =>
        {
            "attach as the user that it runs as, or as root; a process can have only one tracer \
             or debugger; `reanimator doctor` checks what else is needed"
        }
        Err(capture::Error::EbpfUnavailable { hint: Some(mend), .. }) => mend,
        Err(capture::Error::EbpfUnavailable { .. }) if root && in_kernel => {
            "`reanimator doctor` says what this machine lacks; only eBPF can record this"
        }
        Err(capture::Error::EbpfUnavailable { .. }) if root => {
            "--engine ptrace works everywhere; `reanimator doctor` says what this machine allows"
        }
        Err(capture::Error::EbpfUnavailable { .. }) if in_kernel => {
            "run it as root: sudo reanimator record ...; only eBPF can record this"
        }
        Err(capture::Error::EbpfUnavailable { .. }) => {
            "run it as root: sudo reanimator record ... (the command still runs as you); or add \
             --engine ptrace"
        }
        Err(capture::Error::Refused { doing, .. }) if doing.contains("which only eBPF can") => {
            "leave out --engine ptrace, and run it as root: sudo reanimator record ..."
        }
        _ => "`reanimator doctor` checks what this machine allows, and says how to fix it",
    };
    result.advise(advice)
}
