//! Bits and kept values into weights.

/// How many bits of a row are set, and whether any is behind its last column.
pub(super) fn count(bits: &[u8], cols: u64) -> (u64, bool) {
    let whole = (cols / 8) as usize;
    let ones: u64 = bits.iter().map(|byte| u64::from(byte.count_ones())).sum();
    let tail = bits.get(whole).is_some_and(|byte| u32::from(*byte) >> (cols % 8) != 0);
    (ones, tail || bits.iter().skip(whole + 1).any(|byte| *byte != 0))
}

/// Whether every group of 4 of a row keeps exactly 2.
pub(super) fn is_two_of_four(bits: &[u8], cols: u64) -> bool {
    let groups = (cols / 4) as usize;
    (0..groups).all(|group| (bits[group / 2] >> (4 * (group % 2)) & 15).count_ones() == 2)
}

/// Fills a run of one row from its bits and the values that are kept, of `size` bytes each; returns how many those are.
///
/// # Panics
/// If there are fewer values than bits that are set.
pub(super) fn row(size: usize, bits: &[u8], values: &[u8], weights: &mut [u8]) -> usize {
    match size {
        1 => row_of::<1>(bits, values, weights),
        2 => row_of::<2>(bits, values, weights),
        _ => row_of::<4>(bits, values, weights),
    }
}

fn row_of<const N: usize>(bits: &[u8], values: &[u8], weights: &mut [u8]) -> usize {
    let values = values.as_chunks::<N>().0;
    let mut at = 0;
    for (byte, eight) in bits.iter().zip(weights.as_chunks_mut::<N>().0.chunks_mut(8)) {
        match (*byte, values.get(at..at + 8)) {
            (0, _) => eight.fill([0; N]),
            // Without a branch: a value is looked at whether it is kept or not.
            (byte, Some(next)) => {
                let mut taken = 0;
                for (i, weight) in eight.iter_mut().enumerate() {
                    let kept = byte >> i & 1;
                    let value = &next[taken & 7];
                    *weight = value.map(|part| part & kept.wrapping_neg());
                    taken += usize::from(kept);
                }
                at += taken;
            }
            (byte, None) => {
                for (i, weight) in eight.iter_mut().enumerate() {
                    *weight = [0; N];
                    if byte >> i & 1 == 1 {
                        *weight = values[at];
                        at += 1;
                    }
                }
            }
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::encode::{self, Keep, Tally};
    use super::*;
    use crate::Dtype;

    /// Weights with runs of zeros of both signs.
    fn weights(dtype: Dtype, n: usize, sparse: u32) -> Vec<u8> {
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let mut bits = |_| match next() % 10 {
            part if part < sparse => {
                if next() % 5 == 0 {
                    dtype.max_key() + 1
                } else {
                    0
                }
            }
            _ => next() & (2 * dtype.max_key() + 1),
        };
        (0..n).flat_map(|i| bits(i).to_le_bytes()[..dtype.size()].to_vec()).collect()
    }

    #[test]
    fn what_is_packed_comes_back() {
        for dtype in Dtype::ALL {
            for n in [0usize, 1, 4, 7, 8, 9, 31, 64, 1000] {
                for (sparse, keep) in [(0, Keep::Bits), (5, Keep::Bits), (9, Keep::Numbers), (10, Keep::Bits)] {
                    let (weights, size) = (weights(dtype, n, sparse), dtype.size());
                    let kept = |i: usize| match keep {
                        Keep::Bits => dtype.bits(&weights, i) != 0,
                        Keep::Numbers => dtype.key(&weights, i) != 0,
                    };
                    let mut bits = vec![0xa5; n.div_ceil(8) + 3];
                    let mut values = vec![0xa5; (n + 8) * size];
                    let count = encode::row(dtype, keep, false, &weights, &mut bits, &mut values);
                    let expected: Vec<u8> =
                        (0..n).filter(|i| kept(*i)).flat_map(|i| weights[i * size..(i + 1) * size].to_vec()).collect();
                    assert_eq!(values[..count * size], expected, "{dtype} {n} {sparse}");
                    assert!((0..8 * bits.len()).all(|i| (bits[i / 8] >> (i % 8) & 1 == 1) == (i < n && kept(i))));
                    assert_eq!(super::count(&bits, n as u64), (count as u64, false));
                    let tally = encode::tally(dtype, keep, &weights);
                    let negative = (0..n).filter(|i| dtype.bits(&weights, *i) == dtype.max_key() + 1).count() as u64;
                    let full = (0..n / 4).filter(|g| (0..4).filter(|i| kept(4 * g + i)).count() > 2).count() as u64;
                    assert_eq!(tally, Tally { kept: count as u64, negative_zeros: negative, full_groups: full });
                    let mut back = vec![0xa5; n * size];
                    assert_eq!(row(size, &bits, &expected, &mut back), count);
                    let same =
                        (0..n).all(|i| dtype.bits(&back, i) == if kept(i) { dtype.bits(&weights, i) } else { 0 });
                    assert!(same, "{dtype} {n} {sparse}");
                }
            }
        }
    }

    #[test]
    fn two_of_four_are_kept_zeros_among_them() {
        let weights: Vec<u8> = [0u16, 0, 0, 0, 0, 0, 5, 0, 6, 0, 7, 0].iter().flat_map(|w| w.to_le_bytes()).collect();
        let (mut bits, mut values) = ([0xff; 2], [0xa5; 40]);
        assert_eq!(encode::row(Dtype::F16, Keep::Bits, true, &weights, &mut bits, &mut values), 6);
        assert_eq!(bits, [0b0101_0011, 0b0101]);
        assert!(is_two_of_four(&bits, 12) && !is_two_of_four(&[0b0111_0011, 0], 8));
        let mut back = [0xa5; 24];
        row(2, &bits, &values[..12], &mut back);
        assert_eq!(back[..], weights[..]);
    }

    #[test]
    fn bits_behind_a_row_are_seen() {
        assert_eq!(count(&[0xff, 0b11], 10), (10, false));
        assert_eq!(count(&[0xff, 0b111], 10), (11, true));
        assert_eq!(count(&[0xff, 0b11, 0, 1], 10), (11, true));
        assert_eq!(count(&[0xff, 1], 8), (9, true));
    }
}
