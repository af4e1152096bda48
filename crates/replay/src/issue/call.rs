//! A call to be issued that a handler performs, and what comes of it.

use super::Real;
use super::arguments::Refused;
use crate::verify::{Difference, Expected};
use abi::{Form, Kind, Shape};
use model::world::{Bound, Descriptor};
use std::sync::Arc;
use trace::Call;

/// Why names below the program's own mounts are left alone: what is there has no place in the root.
pub(crate) const MOUNTED: &str = "mounted by the program";

/// What came of a call.
pub(crate) enum Outcome {
    /// It was performed; what differs.
    Issued(Option<Difference>),
    /// It could not be.
    Skipped(&'static str),
}

impl From<Refused> for Outcome {
    /// The report's words for what cannot be translated.
    fn from(why: Refused) -> Self {
        Self::Skipped(match why {
            Refused::Kind => "means more than files",
            Refused::Size => "larger than any call",
            Refused::Missing => "not a call of this machine",
            Refused::Elsewhere => MOUNTED,
            Refused::Procfs => "no procfs on this machine",
        })
    }
}

/// Whether it tells where the process is (getcwd), which is a path of its own mounts and root.
pub(crate) fn tells_a_path(shape: &Shape) -> bool {
    let text = |kind| matches!(kind, Kind::Out(_, layout) if layout.form == Form::Text);
    shape.uses.paths == 0 && shape.uses.fds == 0 && shape.args.iter().any(|a| text(a.kind))
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
    /// What a directory gets whose mode the call changes; a file gets less ([`super::withhold`]).
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
