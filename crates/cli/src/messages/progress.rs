//! A progress bar: a line that is drawn again and again, and gone when it is done or when a signal
//! ends this process.

use console::Term;
use indicatif::{
    HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike,
};
use std::fmt::{Display, Write};
use std::io::Result;

/// Before this share is done, nothing is said of the time that is left: it would be a guess.
const KNOWN: f32 = 0.05;
/// How often it is drawn, at most, in a second.
const RATE: u8 = 20;

/// A progress bar, or nothing.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// A signal that ends this process removes the bar.
    _wiped: Option<capture::LineWiper>,
}

impl Progress {
    /// Creates a progress bar with a title. An invisible one ignores all updates.
    pub(super) fn new(what: &'static str, visible: bool) -> Self {
        let target = if visible {
            ProgressDrawTarget::term_like_with_hz(Box::new(Narrow(Term::buffered_stderr())), RATE)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(0), target).with_prefix(what);
        let left = |state: &ProgressState, out: &mut dyn Write| {
            if state.fraction() >= KNOWN {
                let _cannot_fail = write!(out, "{:#} left", HumanDuration(state.eta()));
            }
        };
        let style =
            ProgressStyle::with_template("{prefix} [{bar:20}] {percent}%  {left}  {wide_msg}")
                .expect("the template is a constant");
        bar.set_style(style.with_key("left", left).progress_chars("=> "));
        Self { bar, _wiped: visible.then(capture::LineWiper::install) }
    }

    /// Sets the text beside the bar. It is formatted only if the bar is drawn.
    pub fn set_detail(&self, words: impl Display) {
        if !self.bar.is_hidden() {
            self.bar.set_message(words.to_string());
        }
    }

    /// Shows that `done` of `of` is done, in any unit.
    pub fn set_position(&self, done: u64, of: u64) {
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

/// A terminal that leaves room for the `^C` which the kernel writes behind the bar: it would begin
/// a new line otherwise, and the bar would stay on the one before.
#[derive(Debug)]
struct Narrow(Term);

impl TermLike for Narrow {
    fn width(&self) -> u16 {
        self.0.width().saturating_sub("^C".len() as u16)
    }
    fn height(&self) -> u16 {
        self.0.height()
    }
    fn move_cursor_up(&self, n: usize) -> Result<()> {
        self.0.move_cursor_up(n)
    }
    fn move_cursor_down(&self, n: usize) -> Result<()> {
        self.0.move_cursor_down(n)
    }
    fn move_cursor_right(&self, n: usize) -> Result<()> {
        self.0.move_cursor_right(n)
    }
    fn move_cursor_left(&self, n: usize) -> Result<()> {
        self.0.move_cursor_left(n)
    }
    fn write_line(&self, line: &str) -> Result<()> {
        self.0.write_line(line)
    }
    fn write_str(&self, text: &str) -> Result<()> {
        self.0.write_str(text)
    }
    fn clear_line(&self) -> Result<()> {
        self.0.clear_line()
    }
    fn flush(&self) -> Result<()> {
        self.0.flush()
    }
}
