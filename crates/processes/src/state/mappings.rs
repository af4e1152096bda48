//! Shared mappings of files through which stores are recorded. A mapping keeps its file open
//! although its descriptor may be closed.

use crate::Processes;
use crate::arguments::Operands;
use crate::state::file::Descriptor;
use abi::{MAPPINGS, mapping_number};
use std::sync::Arc;
use trace::call::Call;

impl<T: Default> Processes<T> {
    /// Notes the number of the mapping that a call has created, if its stores are recorded.
    pub(crate) fn note_mapping(&mut self, call: &Call, operands: &Operands<T>) {
        if let (Some(number), Some(descriptor)) = (call.created_mapping(), &operands.fds[4]) {
            self.mappings.insert(number, descriptor.clone());
        }
    }

    /// Forgets a mapping whose stores all have rows. Its descriptor is closed.
    pub(crate) fn end_mapping(&mut self, call: &Call, operands: &mut Operands<T>) {
        let number = mapping_number(call.args[0] as i32);
        operands.closed.extend(number.and_then(|number| self.mappings.remove(&number)));
    }

    /// Returns the file behind the mapping that a row is about, or `None` if it is no such row. The
    /// row may be later than the end of the thread whose mapping it was.
    pub(crate) fn find_mapped(&self, call: &Call) -> Option<Arc<Descriptor<T>>> {
        let number = mapping_number(call.args[0] as i32).filter(|_| call.nr >= MAPPINGS)?;
        self.mappings.get(&number).cloned()
    }
}
