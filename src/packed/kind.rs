//! The layouts, and what a matrix takes in each.

use safetensors::Dtype as FileDtype;
use serde::Serialize;

use crate::checkpoint::TensorInfo;
use crate::sparse::file as tiled;
use crate::{Dtype, Result};

/// A layout of packed matrices in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Packing {
    /// `compressed-tensors`' for any pattern.
    #[default]
    SparseBitmask,
    /// `compressed-tensors`' for 2:4.
    #[serde(rename = "sparse-24-bitmask")]
    Sparse24Bitmask,
    /// Lopper's own, which [`SparseMatrix::load`](crate::sparse::SparseMatrix::load) takes as it is.
    TiledBitmask,
}

/// A matrix that is packed.
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    /// The dense tensor's name.
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    pub rows: u64,
    pub cols: u64,
}

impl Packing {
    /// All of them.
    pub const ALL: [Packing; 3] = [Packing::SparseBitmask, Packing::Sparse24Bitmask, Packing::TiledBitmask];

    /// `sparse-bitmask`, `sparse-24-bitmask` or `tiled-bitmask`.
    pub const fn name(self) -> &'static str {
        match self {
            Packing::SparseBitmask => "sparse-bitmask",
            Packing::Sparse24Bitmask => "sparse-24-bitmask",
            Packing::TiledBitmask => "tiled-bitmask",
        }
    }

    /// Whether `compressed-tensors` reads it.
    pub(super) fn is_compressed_tensors(self) -> bool {
        self != Packing::TiledBitmask
    }

    /// Bytes of a row's bits.
    pub(super) fn row_bytes(self, cols: u64) -> u64 {
        if self == Packing::TiledBitmask { cols.div_ceil(32) * 4 } else { cols.div_ceil(8) }
    }

    /// Bytes of an offset, and the columns between two of them; none where there are no offsets.
    pub(super) fn offsets(self, cols: u64) -> Option<(u64, u64)> {
        match self {
            Packing::SparseBitmask => Some((8, cols)),
            Packing::Sparse24Bitmask => None,
            Packing::TiledBitmask => Some((4, tiled::TILE.min(cols.max(1)))),
        }
    }

    /// Why a tensor cannot be packed so, whatever is in it.
    pub(super) fn refuses(self, info: &TensorInfo) -> Option<String> {
        match self {
            Packing::TiledBitmask => tiled::refuses(info),
            _ if info.shape.len() != 2 => Some(format!("rank {}, {} packs matrices", info.shape.len(), self.name())),
            _ if !info.name.ends_with(".weight") => Some(format!("{} packs tensors named `….weight`", self.name())),
            Packing::Sparse24Bitmask if info.shape[1] % 4 != 0 => {
                Some(format!("{} columns, no multiple of 4", info.shape[1]))
            }
            _ => None,
        }
    }

    /// The tensors that stand for a matrix of which so many weights are kept: values, bits, shape and, if there are any,
    /// offsets.
    pub(super) fn tensors(self, matrix: &Matrix, kept: u64) -> Result<Vec<TensorInfo>> {
        let Matrix { name, dtype, shape, rows, cols } = matrix;
        if self == Packing::TiledBitmask {
            return tiled::tensors(name, *dtype, shape, kept);
        }
        let prefix = name.strip_suffix(".weight").unwrap_or(name);
        let info = |part: &str, dtype, shape: &[u64]| TensorInfo::new(format!("{prefix}.{part}"), dtype, shape);
        let rank = shape.len() as u64;
        let (values, dims): (&[u64], &[u64]) = match self {
            Packing::Sparse24Bitmask => (&[*rows, cols / 2], &[rank, 1]),
            _ => (&[kept], &[rank]),
        };
        let mut all = vec![
            info("compressed", file_dtype(*dtype), values)?,
            info("bitmask", FileDtype::U8, &[*rows, self.row_bytes(*cols)])?,
            info("shape", FileDtype::I64, dims)?,
        ];
        if self == Packing::SparseBitmask {
            all.push(info("row_offsets", FileDtype::I64, &[*rows])?);
        }
        Ok(all)
    }
}

/// What files call an element type.
pub(super) fn file_dtype(dtype: Dtype) -> FileDtype {
    match dtype {
        Dtype::F32 => FileDtype::F32,
        Dtype::F16 => FileDtype::F16,
        Dtype::BF16 => FileDtype::BF16,
        Dtype::F8E4M3 => FileDtype::F8_E4M3,
        Dtype::F8E5M2 => FileDtype::F8_E5M2,
    }
}

impl std::fmt::Display for Packing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Packing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Packing::ALL.into_iter().find(|packing| packing.name() == text);
        known.ok_or_else(|| format!("give {}", Packing::ALL.map(Packing::name).join(", ")))
    }
}
