//! Requests under way on a device, found by where they end.
//!
//! A completion names sectors: it ends all requests whose last sector is among them, as requests
//! may have been merged or split. Each step costs the logarithm of what is under way.

use ::import::ImportedCall;
use std::collections::BTreeMap;

/// Requests under way on a device; of more, the oldest count as never ended.
const MOST: usize = 1 << 16;

/// A request under way.
pub(crate) struct Request {
    pub told: ImportedCall,
    /// The sector behind its last one; 0: a flush.
    pub end: u64,
    /// It is on the disk when it ends (FUA).
    pub durable: bool,
}

/// Those of a device.
#[derive(Default)]
pub(crate) struct Requests {
    /// By end and number.
    open: BTreeMap<(u64, u64), Request>,
    /// Ends, by number: the oldest first.
    ends: BTreeMap<u64, u64>,
    next: u64,
}

impl Requests {
    /// One more. If there are too many, the oldest is given up.
    pub fn add(&mut self, request: Request) -> Option<ImportedCall> {
        let number = self.next;
        self.next += 1;
        self.ends.insert(number, request.end);
        self.open.insert((request.end, number), request);
        if self.open.len() <= MOST {
            return None;
        }
        let (number, end) = self.ends.pop_first()?;
        self.open.remove(&(end, number)).map(|r| r.told)
    }

    /// Those that a completion of `count` sectors from `from` on ends; of none, flushes.
    pub fn take(&mut self, from: u64, count: u64) -> Vec<Request> {
        let (first, last) =
            if count == 0 { (0, 0) } else { (from.saturating_add(1), from.saturating_add(count)) };
        let mut numbers: Vec<u64> = self
            .open
            .range((first, 0)..=(last, u64::MAX))
            .map(|((_, number), _)| *number)
            .collect();
        numbers.sort_unstable();
        let mut taken = Vec::new();
        for number in numbers {
            let end = self.ends.remove(&number);
            taken.extend(end.and_then(|end| self.open.remove(&(end, number))));
        }
        taken
    }

    /// Those that nothing ended, the oldest first.
    pub fn left(mut self) -> Vec<ImportedCall> {
        let mut left = Vec::new();
        for (number, end) in std::mem::take(&mut self.ends) {
            left.extend(self.open.remove(&(end, number)).map(|r| r.told));
        }
        left
    }
}
