//! Element types and their keys: the order in which weights are pruned.
//!
//! A **key** is an unsigned integer that orders weights by magnitude. For every type here it is the bit pattern without
//! the sign, so no arithmetic and no float support is needed to compute one. ±0 is key 0; NaN sorts above infinity, so
//! it is the last to be pruned.

use std::fmt;

/// An element type that lopper prunes. Tensors of any other type are copied byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dtype {
    /// IEEE 754 binary32, 4 bytes, 31-bit keys.
    F32,
    /// IEEE 754 binary16, 2 bytes, 15-bit keys.
    F16,
    /// bfloat16 (the upper half of a binary32), 2 bytes, 15-bit keys.
    BF16,
    /// OCP FP8 E4M3 ("fn": no infinity, one NaN per sign), 1 byte, 7-bit keys.
    F8E4M3,
    /// OCP FP8 E5M2, 1 byte, 7-bit keys.
    F8E5M2,
}

impl Dtype {
    /// All of them.
    pub const ALL: [Dtype; 5] = [Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::F8E4M3, Dtype::F8E5M2];

    /// Bytes per weight: 1, 2 or 4.
    pub const fn size(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            Dtype::F8E4M3 | Dtype::F8E5M2 => 1,
        }
    }

    /// The largest key: all bits but the sign.
    pub const fn max_key(self) -> u32 {
        (1 << (8 * self.size() as u32 - 1)) - 1
    }

    /// The key of +infinity, or of the largest number where the type has no infinity. Larger keys are NaN.
    pub const fn max_number_key(self) -> u32 {
        match self {
            Dtype::F32 => 0x7f80_0000,
            Dtype::F16 => 0x7c00,
            Dtype::BF16 => 0x7f80,
            Dtype::F8E4M3 => 0x7e,
            Dtype::F8E5M2 => 0x7c,
        }
    }

    /// The safetensors name: `F32`, `F16`, `BF16`, `F8_E4M3`, `F8_E5M2`.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "F32",
            Dtype::F16 => "F16",
            Dtype::BF16 => "BF16",
            Dtype::F8E4M3 => "F8_E4M3",
            Dtype::F8E5M2 => "F8_E5M2",
        }
    }

    /// The bits of weight `index` in little-endian `bytes`.
    ///
    /// # Panics
    /// If `bytes` ends before that weight does.
    pub fn bits(self, bytes: &[u8], index: usize) -> u32 {
        let at = index * self.size();
        match self.size() {
            1 => u32::from(bytes[at]),
            2 => u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]])),
            _ => u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]),
        }
    }

    /// The key of weight `index` in little-endian `bytes`.
    ///
    /// # Panics
    /// If `bytes` ends before that weight does.
    pub fn key(self, bytes: &[u8], index: usize) -> u32 {
        self.bits(bytes, index) & self.max_key()
    }

    /// The magnitude a key stands for; NaN for a NaN's key. Exact: every type's values are also `f64` values.
    pub fn magnitude(self, key: u32) -> f64 {
        f64::from(f32::from_bits(self.common_key(key)))
    }

    /// The number that a weight's bits stand for. Exact; a NaN keeps its sign.
    pub fn value(self, bits: u32) -> f32 {
        let sign = (bits >> (8 * self.size() - 1)) << 31;
        f32::from_bits(self.common_key(bits & self.max_key()) | sign)
    }

    /// The key, as an `f32` key, of the same magnitude: the order that weights of different types share.
    ///
    /// Strictly increasing in `key`. All types here are subsets of `f32`, so no magnitude is rounded.
    pub fn common_key(self, key: u32) -> u32 {
        let minifloat = |mantissa_bits: u32, bias: i32| -> u32 {
            let (exponent, mantissa) = (key >> mantissa_bits, key & ((1 << mantissa_bits) - 1));
            let scale = (exponent.max(1) as i32 - bias - mantissa_bits as i32) as f32;
            let implicit = if exponent == 0 { 0 } else { 1 << mantissa_bits };
            ((mantissa + implicit) as f32 * scale.exp2()).to_bits()
        };
        match self {
            Dtype::F32 => key,
            Dtype::BF16 => key << 16,
            // NaN and infinity: keep the payload, so that distinct keys stay distinct and in order.
            Dtype::F16 if key >= 0x7c00 => 0x7f80_0000 | ((key & 0x3ff) << 13),
            Dtype::F16 => minifloat(10, 15),
            Dtype::F8E5M2 if key >= 0x7c => 0x7f80_0000 | ((key & 3) << 21),
            Dtype::F8E5M2 => minifloat(2, 15),
            Dtype::F8E4M3 if key == 0x7f => 0x7fc0_0000,
            Dtype::F8E4M3 => minifloat(3, 7),
        }
    }

    /// The largest key whose common key is at most `common`, and whether it is equal to it.
    pub fn floor_key(self, common: u32) -> (u32, bool) {
        let (mut low, mut high) = (0, self.max_key());
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.common_key(middle) <= common { low = middle } else { high = middle - 1 }
        }
        (low, self.common_key(low) == common)
    }

    /// The largest key whose magnitude is at most `magnitude` (which is not negative and not NaN).
    pub fn key_at_most(self, magnitude: f64) -> u32 {
        let nearest = magnitude as f32;
        let bits = nearest.to_bits();
        let down = if f64::from(nearest) > magnitude { bits - 1 } else { bits };
        self.floor_key(down).0.min(self.max_number_key())
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Rows and columns of a matrix of weights; a tensor of higher rank is seen as `[shape[0], product of the rest]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Output neurons or filters.
    pub rows: u64,
    /// Weights per row.
    pub cols: u64,
}

impl Shape {
    /// A matrix of `rows × cols` weights.
    pub const fn new(rows: u64, cols: u64) -> Self {
        Self { rows, cols }
    }

    /// Weights in all. Shapes come from checked tensors, whose byte counts fit `u64`.
    pub const fn weights(self) -> u64 {
        self.rows * self.cols
    }

    /// Words of a mask row: one bit per weight, and every row starts a new word.
    pub const fn mask_words_per_row(self) -> u64 {
        self.cols.div_ceil(32)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.rows, self.cols)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_keys_rise_strictly_and_agree_with_half() {
        for dtype in Dtype::ALL.into_iter().filter(|d| *d != Dtype::F32) {
            let keys: Vec<u32> = (0..=dtype.max_key()).map(|k| dtype.common_key(k)).collect();
            assert!(keys.is_sorted_by(|a, b| a < b), "{dtype}");
        }
        for key in 0..=0x7fff_u16 {
            let half = half::f16::from_bits(key);
            let ours = Dtype::F16.magnitude(u32::from(key));
            assert!(half.is_nan() && ours.is_nan() || f64::from(half) == ours, "{key:#x}");
            let brain = half::bf16::from_bits(key);
            let ours = Dtype::BF16.magnitude(u32::from(key));
            assert!(brain.is_nan() && ours.is_nan() || f64::from(brain) == ours, "{key:#x}");
        }
    }

    #[test]
    fn fp8_magnitudes_are_those_of_the_ocp_tables() {
        let e4m3 = |key| Dtype::F8E4M3.magnitude(key);
        assert_eq!([e4m3(0x01), e4m3(0x08), e4m3(0x38), e4m3(0x7e)], [2f64.powi(-9), 2f64.powi(-6), 1.0, 448.0]);
        assert!(e4m3(0x7f).is_nan());
        let e5m2 = |key| Dtype::F8E5M2.magnitude(key);
        assert_eq!([e5m2(0x01), e5m2(0x3c), e5m2(0x7b), e5m2(0x7c)], [2f64.powi(-16), 1.0, 57344.0, f64::INFINITY]);
        assert!(e5m2(0x7d).is_nan());
    }

    #[test]
    fn floors_are_the_largest_key_not_above() {
        for dtype in Dtype::ALL {
            for common in [0, 1, 0x33_8000, 0x3800_0000, 0x3f80_0000, 0x3f80_0001, 0x7f80_0000, 0x7fff_ffff] {
                let (key, equal) = dtype.floor_key(common);
                assert!(dtype.common_key(key) <= common);
                assert!(key == dtype.max_key() || dtype.common_key(key + 1) > common);
                assert_eq!(equal, dtype.common_key(key) == common);
            }
            assert_eq!(dtype.key_at_most(f64::INFINITY), dtype.max_number_key());
            assert_eq!(dtype.key_at_most(0.0), 0);
        }
        // Halfway between two f32 values rounds down, whichever way `as f32` went.
        let next = f64::from(f32::from_bits(0x3f80_0001));
        assert_eq!(Dtype::F32.key_at_most((1.0 + next) / 2.0 + (next - 1.0) / 4.0), 0x3f80_0000);
    }
}
