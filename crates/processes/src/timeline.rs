//! A trace's calls and events in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use trace::call::{Call, Event, Item};

/// An item of a [`Timeline`]: an event, or the entry or return of a call.
#[derive(Clone, Debug)]
pub enum TimelineItem {
    /// An event.
    Event(Event),
    /// A call is entered. The number identifies the call until it returns, and is then used again.
    Enter(usize, Arc<Call>),
    /// A call returns.
    Leave(usize, Arc<Call>),
    /// A call never returned. These items come last, when the trace ends.
    Unreturned(usize, Arc<Call>),
}

/// Sorts the calls and events of a trace, which come in the order of entry, by the time of each
/// entry, return and event. At the same nanosecond, returns come first, then events, then entries.
/// Keeps only the calls in memory that have not returned yet.
pub struct Timeline<I> {
    items: I,
    next: Option<Item>,
    ended: bool,
    /// (left, number).
    open: BinaryHeap<Reverse<(u64, usize)>>,
    calls: Vec<Option<Arc<Call>>>,
    free: Vec<usize>,
    lost: Vec<usize>,
}

impl<I, E> Timeline<I>
where
    I: Iterator<Item = Result<Item, E>>,
{
    /// Reads `items`, in the order of entry.
    pub fn new(items: I) -> Self {
        Self {
            items,
            next: None,
            ended: false,
            open: BinaryHeap::new(),
            calls: Vec::new(),
            free: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Stores a call that is entered, and schedules its return. Returns the number that identifies
    /// it.
    fn begin_call(&mut self, call: Call) -> (usize, Arc<Call>) {
        let call = Arc::new(call);
        let number = self.free.pop().unwrap_or_else(|| {
            self.calls.push(None);
            self.calls.len() - 1
        });
        self.calls[number] = Some(call.clone());
        match call.exited {
            // Where a trace says that a call returned before it began, the entry counts.
            Some(left) if call.returned() => {
                self.open.push(Reverse((left.max(call.entered), number)));
            }
            // It is over when it is refused, with a result or without.
            left if !call.was_executed() => {
                let left = left.unwrap_or(call.entered).max(call.entered);
                self.open.push(Reverse((left, number)));
            }
            _ => self.lost.push(number),
        }
        (number, call)
    }

    /// Removes and returns the call with this number.
    fn end_call(&mut self, number: usize) -> Option<Arc<Call>> {
        self.free.push(number);
        self.calls[number].take()
    }
}

impl<I, E> Iterator for Timeline<I>
where
    I: Iterator<Item = Result<Item, E>>,
{
    type Item = Result<TimelineItem, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next.is_none() && !self.ended {
            match self.items.next() {
                Some(Ok(item)) => self.next = Some(item),
                Some(Err(e)) => {
                    self.ended = true;
                    return Some(Err(e));
                }
                None => self.ended = true,
            }
        }
        let time = match &self.next {
            Some(Item::Call(c)) => c.entered,
            Some(Item::Event(e)) => e.time,
            None => u64::MAX,
        };
        if let Some(Reverse((left, number))) = self.open.peek().copied()
            && (left <= time || self.next.is_none())
        {
            self.open.pop();
            return self.end_call(number).map(|call| Ok(TimelineItem::Leave(number, call)));
        }
        match self.next.take() {
            Some(Item::Event(e)) => Some(Ok(TimelineItem::Event(e))),
            Some(Item::Call(c)) => {
                let (number, call) = self.begin_call(c);
                Some(Ok(TimelineItem::Enter(number, call)))
            }
            None => {
                let number = self.lost.pop()?;
                self.end_call(number).map(|call| Ok(TimelineItem::Unreturned(number, call)))
            }
        }
    }
}
