//! What the program says to people: on stderr, as much as they asked for, in colour only on a
//! terminal that wants it.

pub mod failure;
mod outcome;
mod progress;

pub use outcome::Outcome;
pub use progress::Progress;

use crate::options::MessageArgs;
use crate::output::colour::{Colours, Tone};
use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};

/// Prints messages on stderr, as many as the user asked for.
#[derive(Debug)]
pub struct Messages {
    quiet: bool,
    verbose: bool,
    colours: Colours,
}

impl Messages {
    /// Creates the messages of this process as `-q` and `-v` say, and as stderr is a terminal or
    /// not.
    pub fn from_args(args: &MessageArgs) -> Self {
        Self {
            quiet: args.quiet,
            verbose: args.verbose > 0,
            colours: Colours::for_stream(&stderr()),
        }
    }
    /// Returns messages that are as `-q` has them.
    pub const fn warnings_only(&self) -> Self {
        Self { quiet: true, verbose: false, colours: self.colours }
    }
    /// Prints a line, unless `-q` was given.
    pub fn say(&self, line: impl Display) {
        if !self.quiet {
            write_stderr(&format!("{line}\n"));
        }
    }
    /// Prints a line, if `-v` was given.
    pub fn detail(&self, line: impl Display) {
        if self.verbose {
            self.say(line);
        }
    }
    /// Returns whether `-q` was given.
    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }
    /// Returns whether `-v` was given.
    pub const fn is_verbose(&self) -> bool {
        self.verbose
    }
    /// Prints a warning: something is wrong, and the program goes on. `-q` does not silence it.
    pub fn warn(&self, line: impl Display) {
        write_stderr(&format!("{} {line}\n", self.colours.paint(Tone::Fair, "warning:")));
    }
    /// Prints a warning that the output repeats: `-q` silences it.
    pub fn caution(&self, line: impl Display) {
        if !self.quiet {
            self.warn(line);
        }
    }
    /// Prints an error and what to do next.
    pub fn error(&self, line: &str, advice: Option<&str>) {
        write_stderr(&format!("{} {line}\n", self.colours.paint(Tone::Bad, "error:")));
        if let Some(advice) = advice {
            write_stderr(&format!("  next: {advice}\n"));
        }
    }
    /// Returns a progress bar titled `what`, which is drawn only on a terminal. It draws only when
    /// it is updated and starts no thread, as replay must begin single-threaded.
    pub fn progress(&self, what: &'static str) -> Progress {
        Progress::new(what, !self.quiet && stderr().is_terminal())
    }
}

/// Removes what a progress bar has drawn.
pub fn wipe() {
    if stderr().is_terminal() {
        write_stderr("\r\x1b[2K");
    }
}

/// Prints a line from a thread without a [`Messages`], unless `-q` was given.
pub fn say(line: &str) {
    write_stderr(&format!("{line}\n"));
}

/// Prints a text on stderr, where a recorded program has stdout.
pub fn print_on_stderr(text: &str) {
    write_stderr(text);
}

/// Writes a text to stderr. Ignores errors: a closed stderr does not change the exit status.
fn write_stderr(text: &str) {
    let _gone = stderr().lock().write_all(text.as_bytes());
}
