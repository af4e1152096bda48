//! Bob Jenkins's hash of 1996 ("lookup2"), by which DataSeries checks extents and files.

/// The initial value of the hash of an extent's content. The chained checksum uses it, too.
pub const CONTENT_SEED: u32 = 1972;
/// The initial value of the hash of a file's tail.
pub const TAIL_SEED: u32 = 1776;
/// The golden ratio in 32 bits: an arbitrary initial value of the hash function.
const GOLDEN_RATIO: u32 = 0x9e37_79b9;

/// Mixes three numbers reversibly: the step `mix` of lookup2.
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

/// Returns the chained checksum of a file's extents after one more extent: `chained` is that of the
/// extents before it, `extent` is the extent's content hash XOR its Adler-32 checksum.
pub const fn chain_checksum(chained: u32, extent: u32) -> u32 {
    mix(extent, chained, CONTENT_SEED).2
}

/// Returns the hash of what was hashed so far and of `bytes`. `before` is the hash so far, at first
/// one of the seeds.
pub fn continue_hash(before: u32, bytes: &[u8]) -> u32 {
    let (mut a, mut b, mut c) = (GOLDEN_RATIO, GOLDEN_RATIO, before);
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
