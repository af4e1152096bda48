//! CRC-32C of stretches of one buffer. A stretch costs at most two blocks, however long it is:
//! what is between is worked out from running sums, which each byte enters once.
//!
//! So a journal full of heads that promise long frames is searched in time proportional to its
//! length.

use crc_fast::CrcAlgorithm::Crc32Iscsi;
use crc_fast::{Digest, checksum_combine, crc32_iscsi};

/// Bytes between two running sums.
const BLOCK: usize = 512;

/// Running sums of a buffer, from its beginning on.
pub(super) struct RunningCrc {
    running: Digest,
    /// The CRC of all bytes before the block of this number.
    before: Vec<u32>,
}

impl RunningCrc {
    /// Of a buffer that nothing is known of.
    pub fn new() -> Self {
        Self { running: Digest::new(Crc32Iscsi), before: vec![0] }
    }

    /// Forgets all: the bytes have moved.
    pub fn clear(&mut self) {
        self.running.reset();
        self.before.truncate(1);
    }

    /// The CRC of `bytes[from..to]`, and how many bytes had to be looked at.
    pub fn of(&mut self, bytes: &[u8], from: usize, to: usize) -> (u32, usize) {
        let (first, last) = (from.div_ceil(BLOCK), to / BLOCK);
        if last <= first {
            return (crc32_iscsi(&bytes[from..to]), to - from);
        }
        let (start, end) = (first * BLOCK, last * BLOCK);
        let known = (self.before.len() - 1) * BLOCK;
        for block in bytes[known.min(end)..end].chunks_exact(BLOCK) {
            self.running.update(block);
            self.before.push(self.running.finalize() as u32);
        }
        let shifted = join(self.before[first], 0, end - start);
        let middle = self.before[last] ^ shifted;
        let whole = join(crc32_iscsi(&bytes[from..start]), middle, end - start);
        let whole = join(whole, crc32_iscsi(&bytes[end..to]), to - end);
        (whole, start - from + (to - end) + end.saturating_sub(known))
    }
}

/// The CRC of two stretches that follow each other, the second of which has `len` bytes.
fn join(first: u32, second: u32, len: usize) -> u32 {
    checksum_combine(Crc32Iscsi, u64::from(first), u64::from(second), len as u64) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_stretch(bytes in proptest::collection::vec(any::<u8>(), 0..5000), cuts: [u16; 8]) {
            let mut running_crc = RunningCrc::new();
            for pair in cuts.chunks(2) {
                let of = |n: u16| usize::from(n) % (bytes.len() + 1);
                let (from, to) = (of(pair[0]).min(of(pair[1])), of(pair[0]).max(of(pair[1])));
                prop_assert_eq!(running_crc.of(&bytes, from, to).0, crc32_iscsi(&bytes[from..to]));
            }
        }
    }
}
