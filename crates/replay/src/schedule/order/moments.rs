//! The trace's moments in an order that its results prove: a call that must have acted after
//! another, still under way when it returned, returns after that one here.
//!
//! Whoever reads says so with [`Moments::postpone`]. While a call is held, what began after its
//! return is held too, and calls that were under way go on returning; so what comes out is a
//! history that the recorded machine could have seen. Nothing waits for a call that is held itself,
//! and a call waits for no more than [`LOOKAHEAD`] moments or [`BYTES`]: then it returns where it
//! did.

use ahash::HashSet;
use model::world::Moment;
use std::collections::VecDeque;
use std::sync::Arc;
use trace::Call;

const LOOKAHEAD: usize = 4096;
const BYTES: usize = 32 << 20;

struct Held {
    place: usize,
    call: Arc<Call>,
    until: usize,
}

pub(crate) struct Moments<I: Iterator> {
    source: I,
    /// Read ahead; what stands before `scan` is held back.
    ahead: VecDeque<I::Item>,
    scan: usize,
    bytes: usize,
    /// Places of the calls that begin among what is held back.
    begun: HashSet<usize>,
    held: Vec<Held>,
    /// Returns whose time has come.
    ready: VecDeque<(usize, Arc<Call>)>,
    /// The place whose return was given last.
    given: Option<usize>,
}

impl<I: Iterator<Item = Result<Moment, E>>, E> Moments<I> {
    pub fn new(source: I) -> Self {
        Self {
            source,
            ahead: VecDeque::new(),
            scan: 0,
            bytes: 0,
            begun: HashSet::default(),
            held: Vec::new(),
            ready: VecDeque::new(),
            given: None,
        }
    }

    /// Holds the return of `call`, given just now, until the call at place `until` has returned.
    /// Refused if that one is held.
    pub fn postpone(&mut self, place: usize, call: &Arc<Call>, until: usize) -> bool {
        if until == place
            || self.held.iter().any(|h| h.place == until)
            || self.ready.iter().any(|r| r.0 == until)
        {
            return false;
        }
        self.given = None;
        self.held.push(Held { place, call: call.clone(), until });
        true
    }

    /// Whether a call like this begins before `until`, as far as anybody may look ahead.
    pub fn begins_before(&mut self, until: u64, like: impl Fn(&Call) -> bool) -> bool {
        let mut bytes = 0;
        for at in 0..LOOKAHEAD {
            if at == self.ahead.len() {
                let Some(moment) = self.source.next() else { return false };
                self.ahead.push_back(moment);
            }
            if let Ok(Moment::Enter(_, call)) = &self.ahead[at] {
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

    /// Lets those go that waited for `place`, or all.
    fn let_go(&mut self, place: Option<usize>) {
        let ready = &mut self.ready;
        self.held.retain(|h| {
            let stays = place.is_some_and(|p| p != h.until);
            if !stays {
                ready.push_back((h.place, h.call.clone()));
            }
            stays
        });
        if self.held.is_empty() {
            (self.scan, self.bytes) = (0, 0);
            self.begun.clear();
        }
    }

    fn give(&mut self, moment: Result<Moment, E>) -> Option<Result<Moment, E>> {
        if let Ok(Moment::Leave(place, _)) = &moment {
            self.given = Some(*place);
        }
        Some(moment)
    }
}

impl<I: Iterator<Item = Result<Moment, E>>, E> Iterator for Moments<I> {
    type Item = Result<Moment, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(place) = self.given.take() {
            self.let_go(Some(place));
        }
        loop {
            if let Some((place, call)) = self.ready.pop_front() {
                return self.give(Ok(Moment::Leave(place, call)));
            }
            if self.held.is_empty() {
                let next = self.ahead.pop_front().or_else(|| self.source.next())?;
                return self.give(next);
            }
            if self.scan == self.ahead.len() {
                match self.source.next() {
                    Some(moment) if self.scan < LOOKAHEAD && self.bytes < BYTES => {
                        self.ahead.push_back(moment);
                    }
                    other => {
                        self.ahead.extend(other);
                        self.let_go(None);
                        continue;
                    }
                }
            }
            match &self.ahead[self.scan] {
                Ok(Moment::Leave(place, _)) if !self.begun.contains(place) => {
                    let moment = self.ahead.remove(self.scan)?;
                    return self.give(moment);
                }
                Ok(Moment::Enter(place, call)) => {
                    self.begun.insert(*place);
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
    use model::world::Timeline;

    fn call(seq: u64, entered: u64, left: u64) -> Result<trace::Item, ()> {
        let tid = seq as u32;
        Ok(trace::Item::Call(Call {
            seq,
            entered,
            left: Some(left),
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
        let mut places = std::collections::HashMap::new();
        let mut moments = Moments::new(Timeline::new(items.into_iter()));
        let mut order = Vec::new();
        while let Some(moment) = moments.next() {
            match moment.expect("no error") {
                Moment::Enter(place, call) => {
                    places.insert(call.seq, place);
                }
                Moment::Leave(place, call) => {
                    let until = waits
                        .iter()
                        .find(|w| w.0 == call.seq && !order.contains(&w.1))
                        .and_then(|w| places.get(&w.1));
                    if !until.is_some_and(|until| moments.postpone(place, &call, *until)) {
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
        // Nobody waits in a circle.
        assert_eq!(order(items(), &[(1, 0), (0, 1)]), [0, 1, 2, 4, 3]);
        assert_eq!(order(items(), &[(0, 3)]), [1, 2, 3, 0, 4]);
    }
}
