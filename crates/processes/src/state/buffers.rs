//! The memory into which operations of io_uring that are under way read. If several read into the
//! same memory, it is not known which of them the captured bytes came from.

use abi::{CallSpec, Kind, OPERATIONS};
use std::ops::Range;
use trace::call::Call;
use trace::record::PayloadKind;

/// In the flags of a submission queue entry (`IOSQE_BUFFER_SELECT`): the kernel selects the buffer,
/// which no other operation gets.
const BUFFER_SELECT: u8 = 1 << 5;

/// Buffers of operations that are under way.
#[derive(Default)]
pub(crate) struct Buffers(Vec<Buffer>);

/// A buffer into which an operation reads.
struct Buffer {
    /// `Processes::items_applied` when the operation was submitted, which identifies it.
    submitted_at: u64,
    pid: u32,
    /// The addresses.
    range: Range<u64>,
    /// Whether another operation has read into a part of it at the same time.
    is_shared: bool,
}

impl Buffers {
    /// Adds the buffers into which a call reads, if it is an operation of io_uring. `submitted_at`
    /// identifies it.
    pub fn add(&mut self, call: &Call, spec: &CallSpec, submitted_at: u64) {
        if call.nr < OPERATIONS || !spec.uses.moves_data || spec.uses.writes_data {
            return;
        }
        if call.sqe_word().is_some_and(|word| word.flags() & BUFFER_SELECT != 0) {
            return;
        }
        for range in output_ranges(call, spec) {
            let mut added = Buffer { submitted_at, pid: call.pid, range, is_shared: false };
            for other in &mut self.0 {
                if other.overlaps(&added) {
                    (other.is_shared, added.is_shared) = (true, true);
                }
            }
            self.0.push(added);
        }
    }

    /// Removes the buffers of the operation that `submitted_at` identifies. Returns whether another
    /// operation read into one of them at the same time.
    pub fn remove(&mut self, call: &Call, submitted_at: u64) -> bool {
        if call.nr < OPERATIONS {
            return false;
        }
        let is_of_operation = |buffer: &Buffer| buffer.submitted_at == submitted_at;
        let is_shared = self.0.iter().any(|buffer| is_of_operation(buffer) && buffer.is_shared);
        self.0.retain(|buffer| !is_of_operation(buffer));
        is_shared
    }
}

impl Buffer {
    /// Returns whether two buffers of different operations have an address in common.
    fn overlaps(&self, other: &Self) -> bool {
        self.pid == other.pid
            && self.submitted_at != other.submitted_at
            && self.range.start < other.range.end
            && other.range.start < self.range.end
    }
}

/// Returns the address ranges into which a call reads.
fn output_ranges(call: &Call, spec: &CallSpec) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    for (i, arg) in spec.args.iter().enumerate() {
        match arg.kind {
            Kind::Out(abi::Len::Ret { max: Some(n), unit }, _) => {
                let length = call.args[usize::from(n)].saturating_mul(u64::from(unit));
                ranges.push(call.args[i]..call.args[i].saturating_add(length));
            }
            Kind::OutIov { .. } => {
                let vectors = call.payload(i as u8, PayloadKind::Iovecs);
                let bytes = vectors.map_or(&[][..], |p| p.bytes.as_slice());
                let (words, _) = bytes.as_chunks::<8>();
                for vector in words.chunks_exact(2) {
                    let [start, length] = [vector[0], vector[1]].map(u64::from_le_bytes);
                    ranges.push(start..start.saturating_add(length));
                }
            }
            _ => {}
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::URING;

    fn read(address: u64) -> Call {
        let number = abi::by_name("uring_read").expect("a row").number;
        assert!(number > URING);
        Call {
            seq: 0,
            entered: 0,
            exited: Some(1),
            pid: 1,
            tid: 1,
            nr: number,
            flags: 0,
            args: [3, address, 100, 0, 0, 0],
            ret: 100,
            fd_snapshot: Default::default(),
            payloads: Vec::new(),
        }
    }

    #[test]
    fn reads_into_the_same_memory_at_the_same_time() {
        let mut buffers = Buffers::default();
        let calls = [1000, 1099, 1100].map(read);
        for (step, call) in calls.iter().enumerate() {
            buffers.add(call, call.spec().expect("a row"), step as u64);
        }
        let shared = [0, 1, 2].map(|step| buffers.remove(&calls[step as usize], step));
        assert_eq!(shared, [true, true, true]);
        let later = read(1000);
        buffers.add(&later, later.spec().expect("a row"), 3);
        assert!(!buffers.remove(&later, 3), "the others have completed");
    }
}
