//! Numbers that look random, and are the same for the same seed.

/// A source of numbers.
pub struct Random(pub u64);

impl Random {
    /// The numbers of a seed.
    pub fn of(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d);
        random.below(1);
        random
    }
    /// A number below `n`; 0 if that is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n.max(1)
    }
    /// A number that somebody may have forgotten.
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
        super::change::damage(bytes, self);
    }
}
