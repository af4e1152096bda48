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
    /// A call is entered. The id identifies the call until it returns, and is then used again.
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
    /// The next item of `items`, if it was read already.
    next_item: Option<Item>,
    /// Whether `items` has ended, or failed.
    ended: bool,
    /// The returns to come, as (time, id of the call), the earliest first.
    pending_returns: BinaryHeap<Reverse<(u64, usize)>>,
    /// The calls that have not returned yet, by their ids.
    calls: Vec<Option<Arc<Call>>>,
    /// The ids that no call has.
    free_ids: Vec<usize>,
    /// The ids of the calls that never return.
    unreturned: Vec<usize>,
}

impl<I, E> Timeline<I>
where
    I: Iterator<Item = Result<Item, E>>,
{
    /// Reads `items`, in the order of entry.
    pub fn new(items: I) -> Self {
        Self {
            items,
            next_item: None,
            ended: false,
            pending_returns: BinaryHeap::new(),
            calls: Vec::new(),
            free_ids: Vec::new(),
            unreturned: Vec::new(),
        }
    }

    /// Stores a call that is entered, and its return. Returns its id, and the call.
    fn begin_call(&mut self, call: Call) -> (usize, Arc<Call>) {
        let call = Arc::new(call);
        let id = self.free_ids.pop().unwrap_or_else(|| {
            self.calls.push(None);
            self.calls.len() - 1
        });
        self.calls[id] = Some(call.clone());
        match call.exited {
            // If a trace says that a call returned before it was entered, it returns at its entry.
            Some(exited) if call.returned() => {
                self.pending_returns.push(Reverse((exited.max(call.entered), id)));
            }
            // A call that was not executed ends when it is refused, with a result or without.
            exited if !call.was_executed() => {
                let exited = exited.unwrap_or(call.entered).max(call.entered);
                self.pending_returns.push(Reverse((exited, id)));
            }
            _ => self.unreturned.push(id),
        }
        (id, call)
    }

    /// Removes and returns the call with this id.
    fn end_call(&mut self, id: usize) -> Option<Arc<Call>> {
        self.free_ids.push(id);
        self.calls[id].take()
    }
}

impl<I, E> Iterator for Timeline<I>
where
    I: Iterator<Item = Result<Item, E>>,
{
    type Item = Result<TimelineItem, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next_item.is_none() && !self.ended {
            match self.items.next() {
                Some(Ok(item)) => self.next_item = Some(item),
                Some(Err(e)) => {
                    self.ended = true;
                    return Some(Err(e));
                }
                None => self.ended = true,
            }
        }
        let time = match &self.next_item {
            Some(Item::Call(c)) => c.entered,
            Some(Item::Event(e)) => e.time,
            None => u64::MAX,
        };
        if let Some(Reverse((exited, id))) = self.pending_returns.peek().copied()
            && (exited <= time || self.next_item.is_none())
        {
            self.pending_returns.pop();
            return self.end_call(id).map(|call| Ok(TimelineItem::Leave(id, call)));
        }
        match self.next_item.take() {
            Some(Item::Event(e)) => Some(Ok(TimelineItem::Event(e))),
            Some(Item::Call(c)) => {
                let (id, call) = self.begin_call(c);
                Some(Ok(TimelineItem::Enter(id, call)))
            }
            None => {
                let id = self.unreturned.pop()?;
                self.end_call(id).map(|call| Ok(TimelineItem::Unreturned(id, call)))
            }
        }
    }
}
