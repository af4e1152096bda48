//! Requests in flight on a device, by their last sector.
//!
//! A completion names sectors: it ends all requests whose last sector is among them, as requests
//! may have been merged or split. Each step costs the logarithm of the number in flight.

use ::import::ImportedCall;
use std::collections::BTreeMap;

/// The most requests in flight on a device; of more, the oldest count as never completed.
const MAX_IN_FLIGHT: usize = 1 << 16;

/// A request in flight.
pub(crate) struct Request {
    pub imported: ImportedCall,
    /// The sector after its last one; 0 for a flush.
    pub end: u64,
    /// Whether it is on the disk when it completes (FUA).
    pub durable: bool,
}

/// The requests in flight on a device.
#[derive(Default)]
pub(crate) struct Requests {
    /// By [`Request::end`] and the request's number.
    by_end: BTreeMap<(u64, u64), Request>,
    /// The end of each request, by the request's number: the oldest first.
    ends: BTreeMap<u64, u64>,
    /// The number of the next request.
    next_number: u64,
}

impl Requests {
    /// Adds a request. If there are too many, removes and returns the oldest one.
    pub fn add(&mut self, request: Request) -> Option<ImportedCall> {
        let number = self.next_number;
        self.next_number += 1;
        self.ends.insert(number, request.end);
        self.by_end.insert((request.end, number), request);
        if self.by_end.len() <= MAX_IN_FLIGHT {
            return None;
        }
        let (number, end) = self.ends.pop_first()?;
        self.by_end.remove(&(end, number)).map(|r| r.imported)
    }

    /// Removes and returns the requests that a completion of `count` sectors from `from` on ends. A
    /// completion of no sectors ends flushes.
    pub fn take_completed(&mut self, from: u64, count: u64) -> Vec<Request> {
        let (first, last) =
            if count == 0 { (0, 0) } else { (from.saturating_add(1), from.saturating_add(count)) };
        let mut numbers: Vec<u64> = self
            .by_end
            .range((first, 0)..=(last, u64::MAX))
            .map(|((_, number), _)| *number)
            .collect();
        numbers.sort_unstable();
        let mut taken = Vec::new();
        for number in numbers {
            let end = self.ends.remove(&number);
            taken.extend(end.and_then(|end| self.by_end.remove(&(end, number))));
        }
        taken
    }

    /// Returns the requests that were never completed, the oldest first.
    pub fn into_unfinished(mut self) -> Vec<ImportedCall> {
        let mut unfinished = Vec::new();
        for (number, end) in std::mem::take(&mut self.ends) {
            unfinished.extend(self.by_end.remove(&(end, number)).map(|r| r.imported));
        }
        unfinished
    }
}
