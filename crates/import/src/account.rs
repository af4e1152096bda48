//! What an importer does not take over, by name.
//!
//! What may have been a call makes the trace incomplete; the rest is said and does no harm. A
//! hostile input can invent names without end: only the first of them are kept apart.

use std::collections::BTreeMap;

/// So many names are kept apart; further ones are counted together.
const NAMES: usize = 100;
const OTHERS: &str = "others, of kinds that are not listed";

/// Counts by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// Calls, or what may have been calls.
    left_out: BTreeMap<String, u64>,
    /// What is certainly no call.
    ignored: BTreeMap<String, u64>,
    /// What else is missing, a sentence each.
    missing: Vec<String>,
}

fn count(counts: &mut BTreeMap<String, u64>, what: &str, n: u64) {
    if let Some(known) = counts.get_mut(what) {
        *known = known.saturating_add(n);
        return;
    }
    let name = if counts.len() < NAMES { what } else { OTHERS };
    let known = counts.entry(name.to_owned()).or_default();
    *known = known.saturating_add(n);
}

impl Account {
    pub fn left_out(&mut self, what: &str, n: u64) {
        count(&mut self.left_out, what, n);
    }

    pub fn ignored(&mut self, what: &str, n: u64) {
        count(&mut self.ignored, what, n);
    }

    pub fn missing(&mut self, reason: &str) {
        if self.missing.len() < NAMES && self.missing.iter().all(|known| known != reason) {
            self.missing.push(reason.to_owned());
        }
    }

    /// Everything that was not taken over.
    pub fn all(&self) -> BTreeMap<String, u64> {
        let mut all = self.ignored.clone();
        for (what, n) in &self.left_out {
            count(&mut all, what, *n);
        }
        all
    }

    /// Why the trace is incomplete, a sentence each.
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
            account.left_out(&format!("calls number {n}"), 2);
        }
        account.ignored("lines of a banner", 1);
        assert_eq!(account.reasons().len(), NAMES + 1);
        assert_eq!(account.all().values().sum::<u64>(), 2001);
    }
}
