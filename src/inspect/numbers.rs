//! Weights as `f32`, in which every type that lopper prunes is exact.

use half::slice::HalfFloatSliceExt;

use crate::Dtype;

/// Halves that are turned to `f32` at a time.
const HALVES: usize = 4096;

/// Fills `values` with as many weights from the start of little-endian `bytes`.
pub(crate) fn numbers(dtype: Dtype, bytes: &[u8], values: &mut [f32]) {
    match dtype {
        Dtype::F32 => {
            let weights = bytes.as_chunks().0;
            values.iter_mut().zip(weights).for_each(|(value, bytes)| *value = f32::from_le_bytes(*bytes));
        }
        Dtype::BF16 => {
            let weights = bytes.as_chunks().0.iter().map(|bytes| u32::from(u16::from_le_bytes(*bytes)));
            values.iter_mut().zip(weights).for_each(|(value, bits)| *value = f32::from_bits(bits << 16));
        }
        Dtype::F16 => {
            let mut halves = [half::f16::ZERO; HALVES];
            for (values, bytes) in values.chunks_mut(HALVES).zip(bytes.chunks(2 * HALVES)) {
                let halves = &mut halves[..values.len()];
                let weights = bytes.as_chunks().0.iter().map(|bytes| half::f16::from_le_bytes(*bytes));
                halves.iter_mut().zip(weights).for_each(|(half, weight)| *half = weight);
                halves.convert_to_f32_slice(values);
            }
        }
        Dtype::F8E4M3 | Dtype::F8E5M2 => {
            let number = |bits: u8| {
                let magnitude = f32::from_bits(dtype.common_key(u32::from(bits & 0x7f)));
                if bits >= 0x80 { -magnitude } else { magnitude }
            };
            let all: [f32; 256] = std::array::from_fn(|bits| number(bits as u8));
            values.iter_mut().zip(bytes).for_each(|(value, bits)| *value = all[usize::from(*bits)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_their_keys_stand_for() {
        for dtype in Dtype::ALL {
            let bits: Vec<u32> =
                (0..0x1_0000).map(|i: u32| if dtype == Dtype::F32 { i << 16 | 0x123 } else { i }).collect();
            let bits: Vec<u32> = bits.into_iter().take(if dtype.size() == 1 { 0x100 } else { 0x1_0000 }).collect();
            let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes()[..dtype.size()].to_vec()).collect();
            let mut values = vec![0.0; bits.len()];
            numbers(dtype, &bytes, &mut values);
            for (bits, value) in bits.into_iter().zip(values) {
                let magnitude = dtype.magnitude(bits & dtype.max_key());
                assert!(
                    magnitude.is_nan() && value.is_nan() || f64::from(value.abs()) == magnitude,
                    "{dtype} {bits:#x}"
                );
                assert!(value.is_nan() || value.is_sign_negative() == (bits > dtype.max_key()), "{dtype} {bits:#x}");
            }
        }
    }
}
