//! Bob Jenkins's hash of 1996 ("lookup2"), by which DataSeries checks extents and files.

/// The initial value of an extent's content hash.
pub const CONTENT: u32 = 1972;
/// That of the tail's.
pub const TAIL: u32 = 1776;
const GOLDEN: u32 = 0x9e37_79b9;

/// Mixes three numbers, as Bob Jenkins's hash function does.
const fn mix(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32, u32) {
    a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> 13);
    b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << 8);
    c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> 13);
    a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> 12);
    b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << 16);
    c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> 5);
    a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> 3);
    b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << 10);
    c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> 15);
    (a, b, c)
}

/// Mixes three numbers and returns the third.
pub const fn mix_to_one(a: u32, b: u32, c: u32) -> u32 {
    mix(a, b, c).2
}

/// Returns the hash of `bytes`, continued from the hash `before`.
pub fn continue_hash(before: u32, bytes: &[u8]) -> u32 {
    let (mut a, mut b, mut c) = (GOLDEN, GOLDEN, before);
    let word = |bytes: &[u8], at: usize| {
        (0..4).fold(0u32, |w, i| w | u32::from(bytes.get(at + i).copied().unwrap_or(0)) << (8 * i))
    };
    let mut blocks = bytes.chunks_exact(12);
    for block in &mut blocks {
        (a, b, c) = mix(
            a.wrapping_add(word(block, 0)),
            b.wrapping_add(word(block, 4)),
            c.wrapping_add(word(block, 8)),
        );
    }
    let rest = blocks.remainder();
    c = c.wrapping_add(bytes.len() as u32);
    // The lowest byte of c stands for the length.
    let third = (8..rest.len()).fold(0u32, |w, i| w | u32::from(rest[i]) << (8 * (i - 7)));
    mix(a.wrapping_add(word(rest, 0)), b.wrapping_add(word(rest, 4)), c.wrapping_add(third)).2
}
