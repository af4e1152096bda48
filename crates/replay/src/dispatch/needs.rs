//! What a call waits for in the orders `thread` and `resource`: single calls, not all before one.

use super::{Dispatcher, RACES};
use crate::frontier::WINDOW;
use crate::issue::Real;
use crate::order::Order;
use abi::Shape;
use std::sync::Arc;
use trace::world::{Bound, Descriptor};
use trace::{Call, Event};

impl Dispatcher<'_> {
    /// A thread began: what its parent did before comes first.
    pub(super) fn born(&mut self, event: &Event) {
        self.pacer.born(event.tid, event.time);
        let parent = event.args[1] as u32;
        match self.last.get(&parent).copied() {
            Some(number) => self.last.insert(event.tid, number),
            None => self.last.remove(&event.tid),
        };
    }

    /// The calls that must be done before call `number`, beyond those of its own thread: its parent's, those that opened its descriptors and its working directory,
    /// and, in the order `resource`, those that it conflicts with. In the order `thread` those are races.
    pub(super) fn needs(&mut self, number: u64, call: &Call, shape: &Shape, bound: &Bound<Real>, others: &[(usize, Arc<Descriptor<Real>>)]) -> Vec<u64> {
        let reached = self.shared.frontier.reached();
        let conflicts = self.conflicts.needs(number, reached, call, shape, bound);
        let meant = bound.fds.iter().flatten().chain(others.iter().map(|(_, d)| d)).chain(bound.inner.iter().map(|(_, _, d)| d));
        let opened = meant.map(|d| d.real.after()).chain(bound.cwd.as_ref().map(|d| d.real.after())).filter_map(|after| after.checked_sub(1));
        let mut needs: Vec<u64> = opened.chain(self.last.get(&call.tid).copied()).collect();
        match self.options.order {
            Order::Thread => self.race(number, &conflicts, call, shape, bound),
            _ => needs.extend(conflicts),
        }
        self.conflicts.forget(reached);
        needs.retain(|n| *n >= reached && *n < number);
        needs.sort_unstable();
        needs.dedup();
        needs
    }

    /// Nobody waits for these: what came of those of other threads, and of the files that they changed, is left open.
    fn race(&mut self, number: u64, conflicts: &[u64], call: &Call, shape: &Shape, bound: &Bound<Real>) {
        let flying = |n: u64| self.flying[(n % WINDOW) as usize].tid;
        let strangers: Vec<u64> = conflicts.iter().copied().filter(|n| flying(*n) != call.tid).collect();
        if strangers.is_empty() || self.tally.raced.len() >= RACES {
            return;
        }
        self.tally.raced.insert(number);
        self.tally.raced.extend(strangers);
        for file in bound.fds.iter().flatten().map(|d| &d.file).filter(|_| shape.changes) {
            self.undecided.add(file.inode.key, &file.path, 0, u64::MAX);
        }
    }
}
