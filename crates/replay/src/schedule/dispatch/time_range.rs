//! The chosen stretch of time.

use super::Dispatcher;
use crate::Error;
use std::time::Instant;
use trace::Call;

impl Dispatcher<'_> {
    /// Returns whether a call begins after the selected time range.
    pub(super) fn is_after_range(&self, call: &Call) -> bool {
        let since = |until: u64| call.entered.saturating_sub(self.counts.first?).checked_sub(until);
        self.options.selection.until.and_then(since).is_some_and(|beyond| beyond > 0)
    }

    /// Waits, before the first call of the selected time range, until all calls that make its
    /// initial state are done.
    pub(super) fn begin_range(&mut self, call: &Call) -> Result<(), Error> {
        let first = *self.counts.first.get_or_insert(call.entered);
        if !self.in_range && call.entered - first.min(call.entered) >= self.options.selection.from {
            self.in_range = true;
            self.start_executors();
            self.wait(self.number)?;
            self.counts.recorded = None;
            self.counts.started = Some(Instant::now());
        }
        Ok(())
    }
}
