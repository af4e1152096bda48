//! What a dispatcher hands to an executor.

use crate::issue::Real;
use crate::order::Due;
use abi::Shape;
use std::sync::Arc;
use trace::Call;
use trace::world::{Bound, Credentials, Descriptor};

/// One thing to do, in the order of its number.
pub(crate) struct Job {
    /// Its place in the order of exits.
    pub number: u64,
    /// How many of the calls before it must be done first.
    pub after: u64,
    /// Single calls before it that must be done first.
    pub needs: Vec<u64>,
    /// When it is due.
    pub due: Due,
    /// Recorded bytes that it holds.
    pub bytes: u64,
    /// A call to issue.
    pub issue: Option<Issue>,
    /// Descriptors to let go then that a call or an event which is performed by no one has closed.
    pub release: Vec<Arc<Descriptor<Real>>>,
}

/// A call to be issued.
pub(crate) struct Issue {
    pub call: Arc<Call>,
    pub shape: &'static Shape,
    pub bound: Bound<Real>,
    /// For descriptor arguments whose number changed its meaning while the call was under way: the others that it may have meant.
    pub others: Vec<(usize, Arc<Descriptor<Real>>)>,
    pub credentials: Option<Arc<Credentials>>,
    /// The directory changed while it was being listed (of the last call of a listing).
    pub disturbed: bool,
    /// Its data are not comparable: the file is written through a mapping.
    pub mapped: bool,
    /// It makes the state that later calls find: it is not compared.
    pub early: bool,
}

impl Issue {
    /// Lets all descriptors and directories go: the call is done.
    pub fn let_go(&mut self) {
        self.bound.let_go();
        self.others.clear();
    }
}
