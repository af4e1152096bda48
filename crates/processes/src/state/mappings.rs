//! Shared mappings of files to which stores are recorded. A mapping keeps its file open
//! although its descriptor may be closed.

use crate::Processes;
use crate::arguments::Operands;
use crate::state::file::Descriptor;
use abi::{MAPPINGS, mapping_number};
use std::sync::Arc;
use trace::call::Call;

impl<T: Default> Processes<T> {
    /// Remembers the mapping that a call has created, if stores to it are recorded.
    pub(crate) fn note_mapping(&mut self, call: &Call, operands: &Operands<T>) {
        if let (Some(number), Some(descriptor)) = (call.created_mapping(), &operands.fds[4]) {
            self.mappings.insert(number, descriptor.clone());
        }
    }

    /// Removes a mapping that has ended, after which no store to it follows. Its descriptor is
    /// closed.
    pub(crate) fn end_mapping(&mut self, call: &Call, operands: &mut Operands<T>) {
        let number = mapping_number(call.args[0] as i32);
        operands.closed.extend(number.and_then(|number| self.mappings.remove(&number)));
    }

    /// Returns the descriptor behind the mapping to which this call is a recorded store. Returns
    /// `None` if it is another call. A store may be recorded later than the end of its thread.
    pub(crate) fn descriptor_of_mapping(&self, call: &Call) -> Option<Arc<Descriptor<T>>> {
        let number = mapping_number(call.args[0] as i32).filter(|_| call.nr >= MAPPINGS)?;
        self.mappings.get(&number).cloned()
    }
}
