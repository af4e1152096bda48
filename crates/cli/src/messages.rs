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

/// How much is said, and how.
#[derive(Debug)]
pub struct Messages {
    quiet: bool,
    verbose: bool,
    colours: Colours,
}

impl Messages {
    /// From what the user typed and what the terminal is.
    pub fn new(args: &MessageArgs) -> Self {
        Self { quiet: args.quiet, verbose: args.verbose > 0, colours: Colours::of(&stderr()) }
    }
    /// A line, unless the user asked for silence.
    pub fn say(&self, line: impl Display) {
        if !self.quiet {
            put(&format!("{line}\n"));
        }
    }
    /// A line, if the user asked for more.
    pub fn detail(&self, line: impl Display) {
        if self.verbose {
            self.say(line);
        }
    }
    /// Whether they asked for silence.
    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }
    /// Whether they asked for more.
    pub const fn is_verbose(&self) -> bool {
        self.verbose
    }
    /// Something that is not as it should be, though work goes on; `-q` does not silence it.
    pub fn warn(&self, line: impl Display) {
        put(&format!("{} {line}\n", self.colours.paint(Tone::Fair, "warning:")));
    }
    /// The same, where what was made says it as well: `-q` silences it.
    pub fn caution(&self, line: impl Display) {
        if !self.quiet {
            self.warn(line);
        }
    }
    /// An error and what to do next.
    pub fn error(&self, line: &str, advice: Option<&str>) {
        put(&format!("{} {line}\n", self.colours.paint(Tone::Bad, "error:")));
        if let Some(advice) = advice {
            put(&format!("  next: {advice}\n"));
        }
    }
    /// A progress bar over `what`, drawn only on a terminal. It draws when it is told
    /// to move and starts no thread, since replay must begin single-threaded.
    pub fn progress(&self, what: &'static str) -> Progress {
        Progress::new(what, !self.quiet && stderr().is_terminal())
    }
}

/// Takes away what a progress bar has drawn.
pub fn wipe() {
    if stderr().is_terminal() {
        put("\r\x1b[2K");
    }
}

/// A line from a thread that holds no [`Messages`], unless the user asked for silence.
pub fn say(line: &str) {
    put(&format!("{line}\n"));
}

/// A closed stderr is no reason to end otherwise than we would.
fn put(text: &str) {
    let _gone = stderr().lock().write_all(text.as_bytes());
}
