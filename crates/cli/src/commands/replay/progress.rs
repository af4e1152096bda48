//! How far a replay is: as a bar for people, as lines for `bench`.

use crate::messages::{self, Messages};
use crate::output::units::format_count;
use ::replay::initial::CreatedFiles;
use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io::{Write, stderr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The first word of a progress line for `bench`.
pub const LINE: &str = "progress ";
/// The time between two such lines.
const PAUSE: Duration = Duration::from_millis(100);

/// Replay's progress. The bar is gone when this is dropped, and when the replay is interrupted.
pub struct Bar<'a> {
    messages: &'a Messages,
    /// Calls of the trace.
    calls: u64,
    shown: Mutex<Shown>,
    /// When the initial state was made.
    begun: OnceLock<Instant>,
    /// The first Ctrl-C ends the replay after the calls under way, with what is known by then; the
    /// second ends the process.
    interrupted: Arc<AtomicBool>,
    /// `bench`, which reads the lines, is gone.
    alone: AtomicBool,
}

enum Shown {
    Nothing,
    Bar(&'static str, messages::Progress),
    Lines(Option<Instant>),
}

impl<'a> Bar<'a> {
    /// Catches SIGINT and SIGTERM, and prepares the display. With `lines`, progress is printed as
    /// lines that `reanimator bench` parses.
    pub fn new(messages: &'a Messages, calls: u64, lines: bool) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, interrupted.clone())
                .context("cannot catch signals")?;
            flag::register(signal, interrupted.clone()).context("cannot catch signals")?;
        }
        let shown = Mutex::new(if lines { Shown::Lines(None) } else { Shown::Nothing });
        Ok(Self {
            messages,
            calls,
            shown,
            begun: OnceLock::new(),
            interrupted,
            alone: AtomicBool::new(false),
        })
    }

    /// Shows that `done` of `of` is done in this phase, as a bar or a line. After a signal it says
    /// once that the replay is interrupted.
    fn show_progress(&self, phase: &'static str, done: u64, of: u64, detail: Option<&str>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if self.interrupted.load(Relaxed) {
            if let Shown::Bar(..) = *shown {
                *shown = Shown::Nothing;
                self.messages
                    .say("interrupted: calls under way are finished; Ctrl-C again ends at once");
            }
            return;
        }
        match &mut *shown {
            Shown::Lines(last) => {
                if last.is_none_or(|last| last.elapsed() >= PAUSE) {
                    *last = Some(Instant::now());
                    let line = format!("{LINE}{phase} {done} {of}\n");
                    if stderr().write_all(line.as_bytes()).is_err() {
                        self.alone.store(true, Relaxed);
                    }
                }
            }
            Shown::Bar(before, bar) if *before == phase => {
                if let Some(detail) = detail {
                    bar.set_detail(detail);
                }
                bar.set_position(done, of);
            }
            other => {
                *other = Shown::Nothing;
                let bar = self.messages.progress(phase);
                bar.set_position(done, of);
                *other = Shown::Bar(phase, bar);
            }
        }
    }
}

impl ::replay::Progress for Bar<'_> {
    fn preparing(&self, done: u64, of: u64) {
        self.show_progress("preparing", done, of, None);
    }
    fn prepared(&self, _prepared: &CreatedFiles) {
        self.begun.get_or_init(Instant::now);
        self.show_progress("replaying", 0, self.calls, None);
    }
    fn calls(&self, done: u64, moved_bytes: u64) {
        let seconds = self.begun.get_or_init(Instant::now).elapsed().as_secs_f64().max(1e-3);
        let speed = format!(
            "{} calls/s, {:.0} MB/s",
            format_count((done as f64 / seconds) as u64),
            moved_bytes as f64 / 1e6 / seconds
        );
        self.show_progress("replaying", done, self.calls, Some(&speed));
    }
    fn comparing(&self, done: u64, of: u64) {
        self.show_progress("comparing", done, of, None);
    }
    fn is_unwanted(&self) -> bool {
        self.interrupted.load(Relaxed) || self.alone.load(Relaxed)
    }
}
