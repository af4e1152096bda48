//! Counts of what an importer did not import, by name.
//!
//! A line or event that may have been a call makes the trace incomplete; others are only reported.
//! A hostile input can have any number of names: only the first ones are counted separately.

use std::collections::BTreeMap;

/// The largest number of names that are counted separately. All others are counted together.
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
    other_reasons: Vec<String>,
}

/// Adds to the count of the name `what`. If there are too many names, adds to the count of all
/// others.
fn add_count(counts: &mut BTreeMap<String, u64>, what: &str, added: u64) {
    if let Some(total) = counts.get_mut(what) {
        *total = total.saturating_add(added);
        return;
    }
    let name = if counts.len() < MAX_NAMES { what } else { OTHERS };
    let total = counts.entry(name.to_owned()).or_default();
    *total = total.saturating_add(added);
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
        if self.other_reasons.len() < MAX_NAMES
            && self.other_reasons.iter().all(|known| known != reason)
        {
            self.other_reasons.push(reason.to_owned());
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
        self.other_reasons.iter().cloned().chain(left_out).collect()
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
