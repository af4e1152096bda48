//! Counts of what an importer did not import, by name.
//!
//! What may have been a call makes the trace incomplete; the rest is reported and does no harm. A
//! hostile input can invent any number of names: only the first of them are counted separately.

use std::collections::BTreeMap;

/// How many names are counted separately; the rest is counted together.
const MAX_NAMES: usize = 100;
const OTHERS: &str = "others, of kinds that are not listed";

/// Counts by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// Calls, or what may have been calls.
    left_out: BTreeMap<String, u64>,
    /// Lines or events that are certainly no calls.
    ignored: BTreeMap<String, u64>,
    /// Other reasons why the trace is incomplete, one sentence each.
    missing: Vec<String>,
}

/// Adds to the count of this name. If there are too many names, counts it under a name for all
/// others.
fn add_count(counts: &mut BTreeMap<String, u64>, what: &str, n: u64) {
    if let Some(known) = counts.get_mut(what) {
        *known = known.saturating_add(n);
        return;
    }
    let name = if counts.len() < MAX_NAMES { what } else { OTHERS };
    let known = counts.entry(name.to_owned()).or_default();
    *known = known.saturating_add(n);
}

impl Account {
    /// Counts calls that are not imported.
    pub fn add_left_out(&mut self, what: &str, n: u64) {
        add_count(&mut self.left_out, what, n);
    }

    /// Counts lines or events that are no calls and are not imported.
    pub fn add_ignored(&mut self, what: &str, n: u64) {
        add_count(&mut self.ignored, what, n);
    }

    /// Adds a sentence to the reasons why the trace is incomplete, once.
    pub fn add_reason(&mut self, reason: &str) {
        if self.missing.len() < MAX_NAMES && self.missing.iter().all(|known| known != reason) {
            self.missing.push(reason.to_owned());
        }
    }

    /// Returns all counts by name.
    pub fn all_counts(&self) -> BTreeMap<String, u64> {
        let mut all = self.ignored.clone();
        for (what, n) in &self.left_out {
            add_count(&mut all, what, *n);
        }
        all
    }

    /// Returns why the trace is incomplete, one sentence for each reason.
    pub fn reasons(&self) -> Vec<String> {
        let left_out = self.left_out.iter().map(|(what, n)| format!("not converted: {n} {what}"));
        self.missing.iter().cloned().chain(left_out).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_nothing_is_uncounted() {
        let mut account = Account::default();
        for n in 0..1000 {
            account.add_left_out(&format!("calls number {n}"), 2);
        }
        account.add_ignored("lines of a banner", 1);
        assert_eq!(account.reasons().len(), MAX_NAMES + 1);
        assert_eq!(account.all_counts().values().sum::<u64>(), 2001);
    }
}
