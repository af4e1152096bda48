//! Numbers that look random, and are the same for the same seed.

/// A source of numbers.
pub struct Random(pub u64);

impl Random {
    /// A number below `n`; 0 if that is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n.max(1)
    }
    /// A number at the edge of a type, or a small one.
    pub fn odd(&mut self) -> u64 {
        match self.below(8) {
            0 => u64::MAX,
            1 => 1 << self.below(64),
            2 => (1 << self.below(64)) - 1,
            3 => i64::MIN as u64,
            4 => -100i64 as u64,
            5 => self.below(1 << 32) << self.below(33),
            _ => self.below(70),
        }
    }
    /// Damages some bytes.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() as u64) as usize;
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.extend_from_within(at..),
                2 => drop(bytes.drain(at..(at + self.below(64) as usize).min(bytes.len()))),
                _ if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                _ => {}
            }
            if bytes.is_empty() {
                return;
            }
        }
    }
}
