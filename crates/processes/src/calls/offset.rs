//! At which offset of a file a call reads or writes.

use crate::Operands;
use abi::CallSpec;
use trace::Call;

/// Returns the position in the file that the call takes as an argument, if it takes one and it is
/// not -1.
pub(super) fn explicit_position(call: &Call, spec: &CallSpec) -> Option<u64> {
    spec.uses.pos.map(|i| call.args[usize::from(i)]).filter(|&position| position as i64 != -1)
}

/// Returns the offset in the file at which the call reads or writes: its position argument, or the
/// offset of the open file. Writes to a descriptor with `O_APPEND` go to the end, whatever the
/// position is (pwrite(2), BUGS). Returns `None` if it is not known.
pub(super) fn offset_of_data<T>(
    call: &Call,
    spec: &CallSpec,
    operands: &Operands<T>,
) -> Option<u64> {
    let position = explicit_position(call, spec);
    let Some(file) = operands.fds[usize::from(spec.uses.fd?)].as_ref().map(|d| &d.file) else {
        return position;
    };
    let uses_offset = spec.uses.pos.is_some() || spec.uses.moves_data;
    match uses_offset && file.file_type() == 0o100_000 {
        true if spec.uses.writes_data && file.appends() => Some(file.inode.size()),
        true => Some(position.unwrap_or_else(|| file.offset())),
        false => position,
    }
}
