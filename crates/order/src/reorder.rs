//! Reorders the items of a trace as the results of calls prove: a call that must have acted after
//! another, still under way when it returned, returns after that one here.
//!
//! The reader requests this with [`ReorderBuffer::postpone`]. While a call is held, what began
//! after its return is held too, and calls that were under way go on returning; so what comes out
//! is a history that the recorded machine could have seen. Nothing waits for a call that is held
//! itself, and a call waits for no more than [`LOOKAHEAD`] items or [`BYTES`]: then it returns
//! where it did.

use ahash::HashSet;
use model::processes::TimelineItem;
use std::collections::VecDeque;
use std::sync::Arc;
use trace::Call;

const LOOKAHEAD: usize = 4096;
const BYTES: usize = 32 << 20;

struct Postponed {
    slot: usize,
    call: Arc<Call>,
    until: usize,
}

/// The items of a trace, with the returns of calls where their results prove that they belong.
pub struct ReorderBuffer<I: Iterator> {
    source: I,
    /// Read ahead; what stands before `scan` is held back.
    read_ahead: VecDeque<I::Item>,
    scan: usize,
    bytes: usize,
    /// Places of the calls that begin among what is held back.
    entered_behind: HashSet<usize>,
    postponed: Vec<Postponed>,
    /// Returns that are due.
    ready: VecDeque<(usize, Arc<Call>)>,
    /// The slot whose return was emitted last.
    emitted: Option<usize>,
}

impl<I: Iterator<Item = Result<TimelineItem, E>>, E> ReorderBuffer<I> {
    /// Creates the buffer in front of `source`.
    pub fn new(source: I) -> Self {
        Self {
            source,
            read_ahead: VecDeque::new(),
            scan: 0,
            bytes: 0,
            entered_behind: HashSet::default(),
            postponed: Vec::new(),
            ready: VecDeque::new(),
            emitted: None,
        }
    }

    /// Postpones the return of `call`, which was just emitted, until the call in slot `until` has
    /// returned. Returns false if that one is postponed itself.
    pub fn postpone(&mut self, slot: usize, call: &Arc<Call>, until: usize) -> bool {
        if until == slot
            || self.postponed.iter().any(|h| h.slot == until)
            || self.ready.iter().any(|r| r.0 == until)
        {
            return false;
        }
        self.emitted = None;
        self.postponed.push(Postponed { slot, call: call.clone(), until });
        true
    }

    /// Returns whether a call that satisfies `like` begins before the call in slot `until` returns,
    /// as far as the buffer may look ahead.
    pub fn begins_before(&mut self, until: u64, like: impl Fn(&Call) -> bool) -> bool {
        let mut bytes = 0;
        for at in 0..LOOKAHEAD {
            if at == self.read_ahead.len() {
                let Some(item) = self.source.next() else { return false };
                self.read_ahead.push_back(item);
            }
            if let Ok(TimelineItem::Enter(_, call)) = &self.read_ahead[at] {
                bytes += call.payloads.iter().map(|p| p.bytes.len()).sum::<usize>();
                if call.entered > until || bytes > BYTES {
                    return false;
                }
                if like(call) {
                    return true;
                }
            }
        }
        false
    }

    /// Emits the returns that were postponed until the one of `slot`, or all.
    fn release(&mut self, slot: Option<usize>) {
        let ready = &mut self.ready;
        self.postponed.retain(|h| {
            let stays = slot.is_some_and(|p| p != h.until);
            if !stays {
                ready.push_back((h.slot, h.call.clone()));
            }
            stays
        });
        if self.postponed.is_empty() {
            (self.scan, self.bytes) = (0, 0);
            self.entered_behind.clear();
        }
    }

    /// Returns an item, and remembers it if it is a return.
    fn emit(&mut self, item: Result<TimelineItem, E>) -> Option<Result<TimelineItem, E>> {
        if let Ok(TimelineItem::Leave(slot, _)) = &item {
            self.emitted = Some(*slot);
        }
        Some(item)
    }
}

impl<I: Iterator<Item = Result<TimelineItem, E>>, E> Iterator for ReorderBuffer<I> {
    type Item = Result<TimelineItem, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(slot) = self.emitted.take() {
            self.release(Some(slot));
        }
        loop {
            if let Some((slot, call)) = self.ready.pop_front() {
                return self.emit(Ok(TimelineItem::Leave(slot, call)));
            }
            if self.postponed.is_empty() {
                let next = self.read_ahead.pop_front().or_else(|| self.source.next())?;
                return self.emit(next);
            }
            if self.scan == self.read_ahead.len() {
                match self.source.next() {
                    Some(item) if self.scan < LOOKAHEAD && self.bytes < BYTES => {
                        self.read_ahead.push_back(item);
                    }
                    other => {
                        self.read_ahead.extend(other);
                        self.release(None);
                        continue;
                    }
                }
            }
            match &self.read_ahead[self.scan] {
                Ok(TimelineItem::Leave(slot, _)) if !self.entered_behind.contains(slot) => {
                    let item = self.read_ahead.remove(self.scan)?;
                    return self.emit(item);
                }
                Ok(TimelineItem::Enter(slot, call)) => {
                    self.entered_behind.insert(*slot);
                    self.bytes += call.payloads.iter().map(|p| p.bytes.len()).sum::<usize>();
                }
                _ => {}
            }
            self.scan += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::processes::Timeline;

    fn call(seq: u64, entered: u64, left: u64) -> Result<trace::Item, ()> {
        let tid = seq as u32;
        Ok(trace::Item::Call(Call {
            seq,
            entered,
            exited: Some(left),
            pid: 1,
            tid,
            nr: 0,
            flags: 0,
            args: [0; 6],
            ret: 0,
            fd_snapshot: Default::default(),
            payloads: Vec::new(),
        }))
    }

    /// Each call `seq` with a partner waits for that one, if it can.
    fn order(items: Vec<Result<trace::Item, ()>>, waits: &[(u64, u64)]) -> Vec<u64> {
        let mut slots = std::collections::HashMap::new();
        let mut reorder = ReorderBuffer::new(Timeline::new(items.into_iter()));
        let mut order = Vec::new();
        while let Some(item) = reorder.next() {
            match item.expect("no error") {
                TimelineItem::Enter(slot, call) => {
                    slots.insert(call.seq, slot);
                }
                TimelineItem::Leave(slot, call) => {
                    let until = waits
                        .iter()
                        .find(|w| w.0 == call.seq && !order.contains(&w.1))
                        .and_then(|w| slots.get(&w.1));
                    if !until.is_some_and(|until| reorder.postpone(slot, &call, *until)) {
                        order.push(call.seq);
                    }
                }
                _ => {}
            }
        }
        order
    }

    #[test]
    fn a_call_returns_after_the_one_that_it_saw() {
        let items =
            || vec![call(0, 0, 10), call(1, 1, 5), call(2, 6, 7), call(3, 8, 20), call(4, 12, 14)];
        assert_eq!(order(items(), &[]), [1, 2, 0, 4, 3]);
        // What began after the return of 1 stays behind it.
        assert_eq!(order(items(), &[(1, 0)]), [0, 1, 2, 4, 3]);
        // There are no circular waits.
        assert_eq!(order(items(), &[(1, 0), (0, 1)]), [0, 1, 2, 4, 3]);
        assert_eq!(order(items(), &[(0, 3)]), [1, 2, 3, 0, 4]);
    }
}
