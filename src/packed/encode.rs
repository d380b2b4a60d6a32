//! Weights into bits and kept values.

use crate::Dtype;

/// Which weights are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// All that are not +0.0.
    Bits,
    /// All that are not ±0.
    Numbers,
}

impl Keep {
    fn mask(self, dtype: Dtype) -> u32 {
        if self == Keep::Bits { 2 * dtype.max_key() + 1 } else { dtype.max_key() }
    }
}

/// What is in some weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// What is kept.
    pub kept: u64,
    /// -0.0 among all weights.
    pub negative_zeros: u64,
    /// Groups of 4 weights that keep more than 2.
    pub full_groups: u64,
}

/// Looks at weights, whole groups of 4 where groups matter.
pub(super) fn tally(dtype: Dtype, keep: Keep, weights: &[u8]) -> Tally {
    let (mask, sign) = (keep.mask(dtype), dtype.max_key() + 1);
    match dtype.size() {
        1 => tally_of(weights.as_chunks::<1>().0, |[a]| u32::from(*a), mask, sign),
        2 => tally_of(weights.as_chunks::<2>().0, |w| u32::from(u16::from_le_bytes(*w)), mask, sign),
        _ => tally_of(weights.as_chunks::<4>().0, |w| u32::from_le_bytes(*w), mask, sign),
    }
}

fn tally_of<const N: usize>(weights: &[[u8; N]], bits: impl Fn(&[u8; N]) -> u32, mask: u32, sign: u32) -> Tally {
    let (groups, rest) = weights.as_chunks::<4>();
    let mut all = Tally::default();
    // Counters of 32 bits, which fit more lanes.
    for groups in groups.chunks(1 << 20) {
        let [mut kept, mut negative, mut full] = [0u32; 3];
        for group in groups {
            let words = group.each_ref().map(&bits);
            let some: u32 = words.iter().map(|w| u32::from(w & mask != 0)).sum();
            kept += some;
            full += u32::from(some > 2);
            negative += words.iter().map(|w| u32::from(*w == sign)).sum::<u32>();
        }
        all.kept += u64::from(kept);
        all.negative_zeros += u64::from(negative);
        all.full_groups += u64::from(full);
    }
    all.kept += rest.iter().filter(|w| bits(w) & mask != 0).count() as u64;
    all.negative_zeros += rest.iter().filter(|w| bits(w) == sign).count() as u64;
    all
}

/// Packs a run of one row: sets `bits`, which has room for them and is not zeroed, and writes what is kept to the start of
/// `values`, which has room for all and 8 more; returns how many. With `two` exactly 2 of 4 are kept: of zeros the first ones.
pub(super) fn row(dtype: Dtype, keep: Keep, two: bool, weights: &[u8], bits: &mut [u8], values: &mut [u8]) -> usize {
    let mask = keep.mask(dtype);
    match dtype.size() {
        1 => row_of::<1>(weights, |[a]| u32::from(*a) & mask != 0, two, bits, values),
        2 => row_of::<2>(weights, |w| u32::from(u16::from_le_bytes(*w)) & mask != 0, two, bits, values),
        _ => row_of::<4>(weights, |w| u32::from_le_bytes(*w) & mask != 0, two, bits, values),
    }
}

fn row_of<const N: usize>(
    weights: &[u8],
    kept: impl Fn(&[u8; N]) -> bool,
    two: bool,
    bits: &mut [u8],
    values: &mut [u8],
) -> usize {
    let (eights, rest) = weights.as_chunks::<N>().0.as_chunks::<8>();
    let values = values.as_chunks_mut::<N>().0;
    let mut at = 0;
    bits[(weights.len() / N).div_ceil(8)..].fill(0);
    for (byte, eight) in bits.iter_mut().zip(eights) {
        *byte = (0..8).fold(0, |byte, i| byte | u8::from(kept(&eight[i])) << i);
        if two {
            *byte = TWO[usize::from(*byte & 15)] | TWO[usize::from(*byte >> 4)] << 4;
        }
        // Without a branch: what is not kept is written too, and written over by the next.
        let room = &mut values[at..at + 8];
        let mut next = 0;
        for (i, weight) in eight.iter().enumerate() {
            room[next & 7] = *weight;
            next += usize::from(*byte >> i & 1);
        }
        at += next;
    }
    if !rest.is_empty() {
        let byte = &mut bits[eights.len()];
        *byte = rest.iter().enumerate().fold(0, |byte, (i, weight)| byte | u8::from(kept(weight)) << i);
        if two {
            *byte = TWO[usize::from(*byte & 15)];
        }
        for (_, weight) in rest.iter().enumerate().filter(|(i, _)| *byte >> i & 1 == 1) {
            values[at] = *weight;
            at += 1;
        }
    }
    at
}

/// Four bits of which at most 2 are set, and the lowest others until 2 are.
const TWO: [u8; 16] = {
    let mut all = [0; 16];
    let mut bits = 0u8;
    while bits < 16 {
        let (mut filled, mut i) = (bits, 0);
        while filled.count_ones() < 2 {
            filled |= 1 << i;
            i += 1;
        }
        all[bits as usize] = filled;
        bits += 1;
    }
    all
};
