//! What the program says to people: on stderr, as much as they asked for, in colour only on a terminal that wants it.

use crate::colour::{Colours, Tone};
use crate::options::TalkArgs;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};

/// How much is said, and how.
#[derive(Debug)]
pub struct Talk {
    quiet: bool,
    verbose: bool,
    colours: Colours,
}

impl Talk {
    /// From what the user typed and what the terminal is.
    pub fn new(args: &TalkArgs) -> Self {
        Self { quiet: args.quiet, verbose: args.verbose > 0, colours: Colours::of(&stderr()) }
    }
    /// A line that everybody sees unless they asked for silence.
    pub fn say(&self, line: impl Display) {
        if !self.quiet {
            put(&format!("{line}\n"));
        }
    }
    /// A line for those who asked for more.
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
    /// A progress bar over `what`, drawn only where somebody can see it. It draws when it is told to move and starts no thread, since replay must
    /// begin single-threaded.
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

/// A line from a thread that holds no [`Talk`]: for those who did not ask for silence.
pub fn say(line: &str) {
    put(&format!("{line}\n"));
}

/// A progress bar, or nothing.
#[derive(Debug)]
pub struct Progress {
    bar: indicatif::ProgressBar,
    /// A signal that ends us takes the bar away.
    _wiped: Option<capture::Wiped>,
}

impl Progress {
    fn new(what: &'static str, visible: bool) -> Self {
        use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
        let target =
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target).with_prefix(what);
        let style =
            ProgressStyle::with_template("{prefix} [{bar:30}] {percent}%  {eta} left  {msg}")
                .expect("the template is a constant");
        bar.set_style(style.progress_chars("=> "));
        Self { bar, _wiped: visible.then(capture::Wiped::begin) }
    }
    /// A word beside the bar. Formatted only where somebody can see it.
    pub fn detail(&self, words: impl Display) {
        if !self.bar.is_hidden() {
            self.bar.set_message(words.to_string());
        }
    }
    /// `done` of `of`, in whatever unit.
    pub fn at(&self, done: u64, of: u64) {
        if self.bar.length() != Some(of) {
            self.bar.set_length(of);
        }
        self.bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A closed stderr is no reason to end otherwise than we would.
fn put(text: &str) {
    let _gone = stderr().lock().write_all(text.as_bytes());
}
