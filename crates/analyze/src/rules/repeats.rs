//! Calls that say the same of a path again and again.

use super::tally::Tally;
use crate::findings::files::PathId;
use crate::findings::view::View;
use ahash::HashMap;

/// Runs of calls on each path, which end when something changes there.
pub struct Repeats {
    /// A run counts from so many calls on.
    count: u64,
    /// The runs that go on.
    running: HashMap<PathId, Tally>,
    /// Those that counted and have ended.
    found: HashMap<PathId, Tally>,
}

impl Repeats {
    /// Creates an empty set, in which runs count from `count` calls on, and from two at least.
    pub fn new(count: u64) -> Self {
        Self { count: count.max(2), running: HashMap::default(), found: HashMap::default() }
    }

    /// Adds a call to the run of `path`.
    pub fn add(&mut self, path: PathId, call: &View<'_>) {
        self.running.entry(path).or_default().add(call);
    }

    /// Ends the run of `path`.
    pub fn end(&mut self, path: PathId) {
        if let Some(tally) = self.running.remove(&path).filter(|tally| tally.n >= self.count) {
            self.found.entry(path).or_default().merge(&tally);
        }
    }

    /// Ends all runs. Returns for each path the calls of those that counted, and how many there
    /// are in all.
    pub fn finish(&mut self) -> (&HashMap<PathId, Tally>, u64) {
        let paths: Vec<PathId> = self.running.keys().copied().collect();
        paths.into_iter().for_each(|path| self.end(path));
        (&self.found, self.found.values().map(|tally| tally.n).sum())
    }
}
