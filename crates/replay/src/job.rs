//! What a dispatcher hands to an executor.

use crate::frontier::Need;
use crate::issue::Real;
use crate::order::Due;
use crate::short::Short;
use crate::verify::Expected;
use abi::Shape;
use model::world::{Bound, Credentials, Descriptor};
use std::sync::Arc;
use trace::Call;

/// One thing to do, in the order of its number. Executors go through many of them that they have not made: what most do not need stands elsewhere.
pub(crate) struct Job {
    /// Its place in the order of exits.
    pub number: u64,
    /// How many of the calls before it must be done first.
    pub after: u64,
    pub rare: Option<Box<Rare>>,
    /// The traced thread.
    pub tid: u32,
    pub work: Work,
}

/// What few jobs need.
#[derive(Default)]
pub(crate) struct Rare {
    /// Single calls before it that must be done first.
    pub needs: Vec<Need>,
    /// When it is due.
    pub due: Due,
    /// Who the thread is, if its executor must be told.
    pub who: Option<Arc<Credentials>>,
}

impl Job {
    /// Recorded bytes that it holds.
    pub fn bytes(&self) -> u64 {
        match &self.work {
            Work::Short(short) => short.bytes(),
            Work::Call(issue) => issue.bytes,
            Work::Release(_) => 0,
        }
    }

    /// When it is due.
    pub fn due(&self) -> Due {
        self.rare.as_ref().map_or(Due::Now, |rare| rare.due)
    }
}

pub(crate) enum Work {
    /// To issue a call that nothing need be known of any more.
    Short(Short),
    /// To issue a call.
    Call(Box<Issue>),
    /// To let go descriptors that a call or an event which is performed by no one has closed.
    Release(Vec<Arc<Descriptor<Real>>>),
}

/// A call to be issued.
pub(crate) struct Issue {
    pub call: Arc<Call>,
    pub shape: &'static Shape,
    pub bound: Bound<Real>,
    /// For descriptor arguments whose number changed its meaning while the call was under way: the others that it may have meant.
    pub others: Vec<(usize, Arc<Descriptor<Real>>)>,
    /// The directory changed while it was being listed (of the last call of a listing).
    pub disturbed: bool,
    /// Its data are not comparable: the file is written through a mapping.
    pub mapped: bool,
    /// It makes the state that later calls find: it is not compared.
    pub early: bool,
    /// What a directory gets whose mode the call changes; a file gets less ([`crate::withhold`]).
    pub whole_mode: Option<u32>,
    /// Recorded bytes that it holds.
    pub bytes: u64,
}

impl Issue {
    /// What the call is to bring.
    pub fn expected(&self) -> Expected {
        Expected { ret: self.call.ret, shape: self.shape, mapped: self.mapped }
    }

    /// Lets all descriptors and directories go: the call is done. What is closed and has no other owner may stay.
    pub fn let_go(&mut self) {
        let mut closed = std::mem::take(&mut self.bound.closed);
        closed.retain(|d| Arc::strong_count(d) == 1 && d.real.get() < 0);
        self.bound.let_go();
        self.bound.closed = closed;
        self.others.clear();
    }
}
