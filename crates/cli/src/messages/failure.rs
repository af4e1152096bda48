//! How trouble is told: one line `error: what: cause`, then what to do next. Never a panic's own
//! words.

use std::fmt;
use std::path::Path;
use std::process::exit;
use trace::Error;

/// An error with the advice that goes with it, printed on a line of its own.
#[derive(Debug)]
pub struct Advised {
    error: anyhow::Error,
    advice: String,
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Advised {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The error itself stays in the chain.
        Some(self.error.as_ref())
    }
}

/// Adds what to do next to an error.
pub trait Advise<T> {
    /// `advice` reads on after "next: ".
    fn advise(self, advice: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Advise<T> for Result<T, E> {
    fn advise(self, advice: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| Advised { error: error.into(), advice: advice.into() }.into())
    }
}

/// Adds to an error of a trace what the user can do about it, if the error does not say so itself.
pub fn with_advice<T>(result: Result<T, Error>, path: &Path) -> anyhow::Result<T> {
    let advice = match &result {
        Ok(_)
        | Err(
            Error::Busy(_) | Error::Full { .. } | Error::Newer { .. } | Error::OtherJournal { .. },
        ) => None,
        Err(Error::NotATrace { .. }) => {
            Some("a trace is the directory NAME.ra that `reanimator record` made".to_owned())
        }
        Err(Error::Damaged { .. }) => Some(format!(
            "restore {} from a copy; its trace.json has the BLAKE3 hash of each file",
            path.display()
        )),
        Err(e) if e.is_full() => {
            Some("free some space, move the trace to another disk, or raise ulimit -f".to_owned())
        }
        Err(Error::Io { doing: "create", .. }) => {
            Some("choose a directory that exists and that you may write to, with -o".to_owned())
        }
        Err(e) if e.is_refused() => Some(format!(
            "a trace can be read by the user that recorded it: sudo -u \"$(stat -c %U {0})\" \
             reanimator ..., or read it as root",
            path.display()
        )),
        Err(_) => None,
    };
    match advice {
        Some(advice) => result.advise(advice),
        None => Ok(result?),
    }
}

/// Returns the error's message, followed by each cause that it does not repeat.
pub fn error_text(error: &anyhow::Error) -> String {
    join_causes(error.chain())
}

/// Returns the text of an error that is no [`anyhow::Error`].
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    join_causes(std::iter::successors(Some(error), |e| e.source()))
}

/// Joins the messages of an error and its causes with colons, leaving out what a message repeats.
fn join_causes<'a>(chain: impl Iterator<Item = &'a (dyn std::error::Error + 'static)>) -> String {
    let mut text = String::new();
    for cause in chain {
        let next = strip_os_error(&cause.to_string());
        if text.is_empty() {
            text = next;
        } else if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
    }
    text
}

/// Removes the " (os error 2)" that the standard library appends to its messages.
pub fn strip_os_error(text: &str) -> String {
    match text.split_once(" (os error ") {
        Some((before, after)) => {
            format!("{before}{}", after.split_once(')').map_or("", |(_, rest)| rest))
        }
        None => text.to_owned(),
    }
}

/// Escapes control characters in a name that another program chose.
pub fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Returns the advice that the error or one of its causes carries.
pub fn advice_of(error: &anyhow::Error) -> Option<&str> {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Advised>())
        .map(|advised| advised.advice.as_str())
        .or_else(|| {
            let refused = |cause: &(dyn std::error::Error + 'static)| {
                cause.downcast_ref::<trace::Error>().is_some_and(trace::Error::is_refused)
            };
            error.chain().any(refused).then_some(
                "the user that recorded the trace, or root, can read it; `ls -l` shows who that is",
            )
        })
}

/// Returns whether the command line asks for `record`, whose own errors end with status 125; all
/// others end with 2.
pub fn is_record() -> bool {
    std::env::args_os()
        .skip(1)
        .find(|a| !a.as_encoded_bytes().starts_with(b"-"))
        .is_some_and(|a| a == "record")
}

/// Returns the exit status for an error of this program.
pub fn error_status() -> i32 {
    if is_record() { 125 } else { 2 }
}

/// Installs a hook that ends the process at a panic, with a line that says what to do instead of a
/// backtrace. A program that is being recorded runs on, as the end of its tracer detaches from it.
pub fn install_panic_hook() {
    let backtrace = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let what = panic.payload_as_str().unwrap_or("unknown");
        let place =
            panic.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
        eprintln!("error: internal error{place}: {what}");
        if is_record() {
            eprintln!(
                "  next: the recorded program runs on; `reanimator recover` makes a trace of what \
                    was written; please report the line above"
            );
        } else {
            eprintln!(
                "  next: please report the line above, with the trace if you can share it \
                    (RUST_BACKTRACE=1 shows where it came from)"
            );
        }
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            backtrace(panic);
        }
        exit(error_status())
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn one_line_with_every_cause_once() {
        let io: Result<(), _> = Err(std::io::Error::other("disk on fire"));
        let error = io
            .advise("call the fire brigade")
            .context("cannot read x.ra")
            .expect_err("it is an error");
        assert_eq!(error_text(&error), "cannot read x.ra: disk on fire");
        assert_eq!(advice_of(&error), Some("call the fire brigade"));
        let missing =
            anyhow::Error::from(std::io::Error::from_raw_os_error(2)).context("cannot open x");
        assert_eq!(error_text(&missing), "cannot open x: No such file or directory");
    }
}
