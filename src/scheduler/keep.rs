//! Masking on the host: what `reference::apply` says, 8 weights at a time.

/// For each byte of a mask, all ones over the weights it keeps: 8 weights of 1 and of 2 bytes.
const KEEP_1: [u64; 256] = keep_1();
const KEEP_2: [u128; 256] = keep_2();

const fn keep_1() -> [u64; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 8 * 256 {
        if ((i / 8) >> (i % 8)) & 1 == 1 {
            table[i / 8] |= 0xff << (8 * (i % 8));
        }
        i += 1;
    }
    table
}

const fn keep_2() -> [u128; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 8 * 256 {
        if ((i / 8) >> (i % 8)) & 1 == 1 {
            table[i / 8] |= 0xffff << (16 * (i % 8));
        }
        i += 1;
    }
    table
}

/// Copies weights of `size` bytes from `from` to `to`, +0.0 where the mask bit is 0. `mask` holds the bits of these
/// weights, least significant first, from its first bit on.
pub fn keep(size: usize, from: &[u8], mask: &[u8], to: &mut [u8]) {
    let whole = from.len() / (8 * size);
    let (head, tail) = from.split_at(whole * 8 * size);
    let (to_head, to_tail) = to.split_at_mut(head.len());
    match size {
        1 => {
            for ((from, to), &bits) in head.chunks_exact(8).zip(to_head.chunks_exact_mut(8)).zip(mask) {
                let weights = u64::from_le_bytes(from.try_into().expect("8 bytes")) & KEEP_1[usize::from(bits)];
                to.copy_from_slice(&weights.to_le_bytes());
            }
        }
        2 => {
            for ((from, to), &bits) in head.chunks_exact(16).zip(to_head.chunks_exact_mut(16)).zip(mask) {
                let weights = u128::from_le_bytes(from.try_into().expect("16 bytes")) & KEEP_2[usize::from(bits)];
                to.copy_from_slice(&weights.to_le_bytes());
            }
        }
        _ => {
            for ((from, to), &bits) in head.chunks_exact(32).zip(to_head.chunks_exact_mut(32)).zip(mask) {
                for (i, (from, to)) in from.chunks_exact(4).zip(to.chunks_exact_mut(4)).enumerate() {
                    let all = 0u32.wrapping_sub(u32::from((bits >> i) & 1));
                    let weight = u32::from_le_bytes(from.try_into().expect("4 bytes")) & all;
                    to.copy_from_slice(&weight.to_le_bytes());
                }
            }
        }
    }
    for (i, (from, to)) in tail.chunks_exact(size).zip(to_tail.chunks_exact_mut(size)).enumerate() {
        if (mask[whole] >> i) & 1 == 1 {
            to.copy_from_slice(from);
        } else {
            to.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dtype, Shape, reference};

    #[test]
    fn it_does_what_its_specification_does() {
        let bytes: Vec<u8> = (0..4 * 1000u32).map(|i| (i * 37 % 251) as u8).collect();
        let words: Vec<u32> = (0..32u32).map(|i| i.wrapping_mul(0x9e37_79b9) ^ i << 7).collect();
        for dtype in Dtype::ALL {
            for n in [1, 7, 8, 9, 31, 32, 33, 500, 1000] {
                let from = &bytes[..n * dtype.size()];
                let mut want = from.to_vec();
                reference::apply(dtype, Shape::new(1, n as u64), n, &words, &mut want);
                let mut got = vec![0xee; from.len()];
                keep(dtype.size(), from, bytemuck::cast_slice(&words), &mut got);
                assert_eq!(got, want, "{dtype} {n}");
            }
        }
    }
}
