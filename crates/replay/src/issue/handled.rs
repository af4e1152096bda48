//! A call that a handler performs, and its outcome.

use super::arguments::{Arguments, TranslateError};
use super::{RealFd, Scratch};
use crate::verify::{Expected, Mismatch};
use abi::CallSpec;
use model::processes::{Descriptor, Operands};
use std::sync::Arc;
use trace::Call;

/// Why a call is not performed whose working directory cannot be reached: elsewhere its names mean
/// other files.
pub(crate) const NO_WORKING_DIRECTORY: &str = "no working directory";

/// The outcome of a call: the difference from the recording, if there is one; `Err` has the reason
/// why it was not performed.
pub(crate) type Outcome = Result<Option<Mismatch>, &'static str>;

/// A call with all that its handler may need.
pub(crate) struct HandledCall {
    pub call: Arc<Call>,
    pub spec: &'static CallSpec,
    pub operands: Operands<RealFd>,
    /// For descriptor arguments whose number changed its meaning while the call was under way: the
    /// others that it may have meant.
    pub alternatives: Vec<(usize, Arc<Descriptor<RealFd>>)>,
    /// The directory changed while it was being listed (of the last call of a listing).
    pub listing_changed: bool,
    /// Its data are not comparable: the file is written through a mapping.
    pub unseen_writes: bool,
    /// It makes the state that later calls find: it is not compared.
    pub early: bool,
    /// What a directory gets whose mode the call changes; a file gets less ([`super::withhold`]).
    pub full_mode: Option<u32>,
    /// Recorded bytes that it holds.
    pub bytes_held: u64,
}

impl HandledCall {
    /// Returns the recorded result, to compare with.
    pub fn expected(&self) -> Expected {
        Expected { ret: self.call.ret, spec: self.spec, unseen_writes: self.unseen_writes }
    }

    /// Translates the arguments for this process. The error is the reason why the call cannot be
    /// performed.
    pub fn translate(&self, scratch: &mut Scratch) -> Result<Arguments, &'static str> {
        Arguments::build(&self.call, self.spec, &self.operands, scratch)
            .map_err(TranslateError::why)
    }

    /// Returns the path of the call's file, for the report. Empty if it has none.
    pub fn path(&self) -> &[u8] {
        let operands = &self.operands;
        let named = operands.paths.values().map(|path| &**path).next();
        let meant = || operands.fds.iter().flatten().chain(operands.closed.first()).next();
        named.or_else(|| Some(&*meant()?.file.path)).unwrap_or_default()
    }

    /// Releases all descriptors and directories, as the call is done. A closed descriptor without
    /// another owner may stay open.
    pub fn let_go(&mut self) {
        let mut closed = std::mem::take(&mut self.operands.closed);
        closed.retain(|d| Arc::strong_count(d) == 1 && d.real.get() < 0);
        self.operands.release();
        self.operands.closed = closed;
        self.alternatives.clear();
    }
}
