//! One tensor: what it is, where it lies, and what must hold of a list of them.

use std::ops::Range;

use super::problem::HeaderProblem as Problem;
use crate::{Dtype, Error, Result};

/// One tensor: what it is and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// Its name, unique in the checkpoint.
    pub name: String,
    /// Its element type, as the file has it.
    pub dtype: safetensors::Dtype,
    /// Its dimensions; none for a scalar. The product of those that are not 0, times the type's bits, fits `u64`.
    pub shape: Vec<u64>,
    /// In which of [`Checkpoint::shards`](super::Checkpoint::shards) it lies; 0 for one that is in no file.
    pub shard: usize,
    /// Its bytes in the shard's file, counted from the start of the file; `0..` its length for one that is in no file.
    pub range: Range<u64>,
}

impl TensorInfo {
    /// A tensor that is in no file of lopper's, row-major and little-endian as in safetensors: for
    /// [`Pruner::prune_tensors`](crate::pruner::Pruner::prune_tensors). No dimensions make a scalar.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the dimensions that are not 0, multiplied, overflow 64 bits, or if the bits of a type below
    /// 8 bits do not fill whole bytes.
    pub fn new(name: impl Into<String>, dtype: safetensors::Dtype, shape: impl Into<Vec<u64>>) -> Result<Self> {
        let mut info = Self { name: name.into(), dtype, shape: shape.into(), shard: 0, range: 0..0 };
        info.range.end = info.needed().map_err(|problem| Error::Tensor { problem })?;
        Ok(info)
    }

    /// Its element type, if it is one that lopper prunes.
    pub(crate) fn prunable(&self) -> Option<Dtype> {
        match self.dtype {
            safetensors::Dtype::F32 => Some(Dtype::F32),
            safetensors::Dtype::F16 => Some(Dtype::F16),
            safetensors::Dtype::BF16 => Some(Dtype::BF16),
            safetensors::Dtype::F8_E4M3 => Some(Dtype::F8E4M3),
            safetensors::Dtype::F8_E5M2 => Some(Dtype::F8E5M2),
            _ => None,
        }
    }

    /// The same, but for types of 8 bits, in which there are no scores, layers and biases.
    pub(crate) fn number(&self) -> Option<Dtype> {
        self.prunable().filter(|dtype| dtype.size() > 1)
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The bytes that shape and dtype ask for. Zeros do not hide an overflow of the other dimensions.
    pub(super) fn needed(&self) -> Result<u64, Problem> {
        let bitsize = self.dtype.bitsize() as u64;
        let bits = self.shape.iter().filter(|d| **d != 0).try_fold(bitsize, |bits, d| bits.checked_mul(*d));
        let bits = match bits {
            None => {
                let (tensor, dtype) = (self.name.clone(), self.dtype.to_string());
                return Err(Problem::Overflow { tensor, dtype, rank: self.shape.len() });
            }
            Some(_) if self.shape.contains(&0) => 0,
            Some(bits) => bits,
        };
        if bits % 8 == 0 { Ok(bits / 8) } else { Err(Problem::PartialByte { tensor: self.name.clone(), bits }) }
    }
}

/// Checks a list that a caller made, as a header is checked, and returns the bytes of all tensors together.
///
/// # Errors
/// [`Error::Tensor`] if a name is there twice, a length is not what shape and dtype ask for, or the sum of all lengths
/// overflows 64 bits.
pub(crate) fn check_list(tensors: &[TensorInfo]) -> Result<u64> {
    let sum = tensors.iter().try_fold(0u64, |sum, info| {
        let (tensor, needed) = (|| info.name.clone(), info.needed()?);
        match info.range.end.checked_sub(info.range.start) {
            Some(have) if have == needed => sum.checked_add(have).ok_or_else(|| Problem::Sum { tensor: tensor() }),
            Some(have) => Err(Problem::Size { tensor: tensor(), needed, have }),
            None => Err(Problem::Reversed { tensor: tensor(), begin: info.range.start, end: info.range.end }),
        }
    });
    let sum = sum.and_then(|sum| match duplicate(tensors) {
        Some(name) => Err(Problem::SameName { tensor: name.to_owned() }),
        None => Ok(sum),
    });
    sum.map_err(|problem| Error::Tensor { problem })
}

/// A name that several tensors have.
pub(super) fn duplicate(tensors: &[TensorInfo]) -> Option<&str> {
    let mut names: Vec<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;

    use super::*;

    #[test]
    fn a_tensor_of_the_callers_has_its_size_or_is_refused() {
        let bytes = |dtype, shape: &[u64]| TensorInfo::new("w", dtype, shape).map(|info| info.bytes());
        assert_eq!(bytes(Dtype::BF16, &[3, 5]).unwrap(), 30);
        assert_eq!(bytes(Dtype::F32, &[]).unwrap(), 4);
        assert_eq!(bytes(Dtype::F32, &[7, 0]).unwrap(), 0);
        for (dtype, shape, problem) in [
            (Dtype::F32, &[1 << 40, 1 << 40][..], "overflow 64 bits"),
            (Dtype::F32, &[0, 1 << 40, 1 << 40], "overflow 64 bits"),
            (Dtype::F4, &[3], "its 12 bits do not fill whole bytes"),
        ] {
            let error = bytes(dtype, shape).unwrap_err().to_string();
            assert!(error.contains("`w`") && error.contains(problem), "{error}");
        }
    }

    #[test]
    fn a_list_is_checked_like_a_header() {
        let info = |name: &str, cols| TensorInfo::new(name, Dtype::F32, [cols]).unwrap();
        assert_eq!(check_list(&[info("a", 3), info("b", 5)]).unwrap(), 32);
        let refused = |tensors: &[TensorInfo]| check_list(tensors).unwrap_err().to_string();
        assert!(refused(&[info("a", 3), info("b", 5), info("a", 7)]).contains("`a` is in the list twice"));
        let mut changed = info("a", 3);
        changed.shape = vec![4];
        assert!(refused(&[changed.clone()]).contains("need 16 bytes, its offsets give it 12"));
        changed.range.start = 13;
        assert!(refused(&[changed]).contains("begins at 13, after its end at 12"));
        let most = 1 << 58;
        let tensors: Vec<_> = (0..16).map(|i| info(&i.to_string(), most)).collect();
        assert!(refused(&tensors).contains("`15`: with it"));
    }
}
