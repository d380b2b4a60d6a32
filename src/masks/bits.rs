//! Bits of a mask in bytes, from the least significant on: made of weights, counted, and used on weights.

use crate::Dtype;

/// Sets `bits` to what weights are kept: those that are not ±0. Behind the last weight come zeros.
pub(super) fn of_weights(dtype: Dtype, weights: &[u8], bits: &mut [u8]) {
    match dtype.size() {
        1 => of_elements(weights.as_chunks::<1>().0, bits, |[a]| a & 0x7f != 0),
        2 => of_elements(weights.as_chunks::<2>().0, bits, |w| u16::from_le_bytes(*w) & 0x7fff != 0),
        _ => of_elements(weights.as_chunks::<4>().0, bits, |w| u32::from_le_bytes(*w) & 0x7fff_ffff != 0),
    }
}

/// Sets `bits` to what elements are `one`, and returns the first that is neither `one` nor zero.
pub(super) fn of_ones(one: &[u8], elements: &[u8], bits: &mut [u8]) -> Option<usize> {
    let all = || elements.chunks_exact(one.len());
    for (byte, eight) in bits.iter_mut().zip(elements.chunks(8 * one.len())) {
        let ones = eight.chunks_exact(one.len()).enumerate();
        *byte = ones.fold(0, |byte, (i, element)| byte | u8::from(element == one) << i);
    }
    all().position(|element| element != one && element.iter().any(|byte| *byte != 0))
}

fn of_elements<const N: usize>(elements: &[[u8; N]], bits: &mut [u8], kept: impl Fn(&[u8; N]) -> bool) {
    let (whole, rest) = elements.as_chunks::<8>();
    for (byte, eight) in bits.iter_mut().zip(whole) {
        *byte = (0..8).fold(0, |byte, i| byte | u8::from(kept(&eight[i])) << i);
    }
    if let Some(byte) = bits.get_mut(whole.len()) {
        *byte = rest.iter().enumerate().fold(0, |byte, (i, element)| byte | u8::from(kept(element)) << i);
    }
}

/// How many are set.
pub(super) fn count(bits: &[u8]) -> u64 {
    let (words, rest) = bits.as_chunks::<8>();
    let ones = |sum: u64, word: &[u8; 8]| sum + u64::from(u64::from_le_bytes(*word).count_ones());
    words.iter().fold(0, ones) + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// Clears the bits of the last byte behind weight `weights - 1` of `bits`, which are those of no more weights than that.
pub(super) fn clear_tail(bits: &mut [u8], weights: u64) {
    let tail = (weights % 8) as u32;
    if let Some(last) = bits.last_mut().filter(|_| tail != 0) {
        *last &= (1u8 << tail) - 1;
    }
}

/// Whether bit `i` is set.
pub(super) fn get(bits: &[u8], i: usize) -> bool {
    bits[i / 8] >> (i % 8) & 1 == 1
}

/// Sets elements of `size` bytes whose bit is 0 to zero; returns how many were not zero before.
pub(super) fn clear(bits: &[u8], size: usize, elements: &mut [u8]) -> u64 {
    match size {
        1 => clear_elements::<1>(bits, elements),
        2 => clear_elements::<2>(bits, elements),
        4 => clear_elements::<4>(bits, elements),
        _ => clear_elements::<8>(bits, elements),
    }
}

fn clear_elements<const N: usize>(bits: &[u8], elements: &mut [u8]) -> u64 {
    let mut changed = 0;
    for (byte, eight) in bits.iter().zip(elements.chunks_mut(8 * N)) {
        if *byte == 0xff {
            continue;
        }
        for (i, element) in eight.as_chunks_mut::<N>().0.iter_mut().enumerate() {
            if byte >> i & 1 == 0 {
                changed += u64::from(*element != [0; N]);
                *element = [0; N];
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_plain_loops() {
        for dtype in Dtype::ALL {
            for n in [0usize, 1, 7, 8, 9, 64, 77] {
                let sign = dtype.max_key() + 1;
                let weights: Vec<u32> =
                    (0..n as u32).map(|i| [0, sign, 1, sign | 1, dtype.max_key()][i as usize % 5]).collect();
                let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()[..dtype.size()].to_vec()).collect();
                let mut bits = vec![0xa5; n.div_ceil(8)];
                of_weights(dtype, &bytes, &mut bits);
                for (i, weight) in weights.iter().enumerate() {
                    assert_eq!(get(&bits, i), weight & dtype.max_key() != 0, "{dtype} {n} {i}");
                }
                let kept = weights.iter().filter(|w| **w & dtype.max_key() != 0).count() as u64;
                assert_eq!(count(&bits), kept, "bits behind the last weight are 0");
                let mut cleared = bytes.clone();
                let inverse: Vec<u8> = bits.iter().map(|byte| !byte).collect();
                assert_eq!(clear(&inverse, dtype.size(), &mut cleared), kept);
                let signs = weights.iter().filter(|w| **w == sign).count() as u64;
                assert_eq!(clear(&bits, dtype.size(), &mut cleared), signs, "−0 becomes +0");
                assert!(cleared.iter().all(|byte| *byte == 0));
            }
        }
    }

    #[test]
    fn numbers_other_than_zero_and_one_are_found() {
        let mut bits = [0; 2];
        let ones: Vec<u8> = [1u16, 0, 1, 1, 0, 0, 0, 0, 1].iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!((of_ones(&[1, 0], &ones, &mut bits), bits), (None, [0b1101, 1]));
        let two: Vec<u8> = [1u16, 0, 2].iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(of_ones(&[1, 0], &two, &mut bits[..1]), Some(2));
    }

    #[test]
    fn tails_are_cleared() {
        let mut bits = [0xff, 0xff];
        clear_tail(&mut bits, 13);
        assert_eq!(bits, [0xff, 0x1f]);
        clear_tail(&mut bits, 16);
        clear_tail(&mut [], 0);
        assert_eq!(bits, [0xff, 0x1f]);
    }
}
