//! Computes the CRC-32C of ranges of one buffer. A range costs at most two blocks, whatever its
//! length: the blocks between are derived from running checksums, which read each byte once. So a
//! journal with many forged heads that claim long frames is searched in linear time.

use crc_fast::CrcAlgorithm::Crc32Iscsi;
use crc_fast::{Digest, checksum_combine, crc32_iscsi};

/// The number of bytes between two running checksums.
const BLOCK: usize = 512;

/// Running checksums of a buffer, from its beginning.
pub(super) struct RunningCrc {
    /// The CRC of all blocks so far.
    running: Digest,
    /// Entry `n` is the CRC of all bytes before block `n`.
    crc_before_block: Vec<u32>,
}

impl RunningCrc {
    /// Starts without any checksum.
    pub fn new() -> Self {
        Self { running: Digest::new(Crc32Iscsi), crc_before_block: vec![0] }
    }

    /// Drops all checksums, because the buffer's content has changed.
    pub fn clear(&mut self) {
        self.running.reset();
        self.crc_before_block.truncate(1);
    }

    /// Returns the CRC of `bytes[from..to]`, and how many bytes were read to compute it.
    pub fn crc_of(&mut self, bytes: &[u8], from: usize, to: usize) -> (u32, usize) {
        let (first_block, end_block) = (from.div_ceil(BLOCK), to / BLOCK);
        if end_block <= first_block {
            return (crc32_iscsi(&bytes[from..to]), to - from);
        }
        let (start, end) = (first_block * BLOCK, end_block * BLOCK);
        let known_end = (self.crc_before_block.len() - 1) * BLOCK;
        for block in bytes[known_end.min(end)..end].chunks_exact(BLOCK) {
            self.running.update(block);
            self.crc_before_block.push(self.running.finalize() as u32);
        }
        let crc_before = combine(self.crc_before_block[first_block], 0, end - start);
        let middle_crc = self.crc_before_block[end_block] ^ crc_before;
        let crc = combine(crc32_iscsi(&bytes[from..start]), middle_crc, end - start);
        let crc = combine(crc, crc32_iscsi(&bytes[end..to]), to - end);
        (crc, start - from + (to - end) + end.saturating_sub(known_end))
    }
}

/// Returns the CRC of two adjacent ranges from their CRCs; the second range has `len` bytes.
fn combine(first: u32, second: u32, len: usize) -> u32 {
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
                prop_assert_eq!(running_crc.crc_of(&bytes, from, to).0, crc32_iscsi(&bytes[from..to]));
            }
        }
    }
}
