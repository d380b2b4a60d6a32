//! A network from a chain and a checkpoint.

use super::{Chain, Linear, Network};
use crate::checkpoint::{Checkpoint, TensorInfo, quoted};
use crate::gpu::Tuning;
use crate::reference::{Matrix, Packed};
use crate::sparse::{Format, SparseMatrix};
use crate::{Dtype, Error, Result, Shape};

/// How a network's weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// As they are.
    Dense,
    /// In this format: all weights that are not +0.0.
    Sparse(Format),
    /// As [`Format::auto`] chooses for each layer and products with so many vectors.
    Auto {
        /// Vectors.
        columns: u32,
    },
}

impl Network {
    /// Loads a chain from a checkpoint; layers are stored as `storage` says. Also returns, for each layer, how it is stored
    /// and why.
    ///
    /// # Errors
    /// [`Error::View`] where a tensor is missing or has another shape or type than a layer's, layers do not fit together, or
    /// a format cannot hold a layer; those of reading; [`Error::Gpu`] where memory runs out.
    pub fn load(
        device: &wgpu::Device,
        tuning: Tuning,
        chain: &Chain,
        checkpoint: &Checkpoint,
        storage: Storage,
    ) -> Result<(Self, Vec<String>)> {
        let (mut layers, mut reasons) = (Vec::new(), Vec::new());
        for layer in &chain.layers {
            let (info, bytes) = read(checkpoint, &layer.weight)?;
            let &[rows, cols] = &info.shape[..] else {
                return Err(bad(&layer.weight, format!("it has {} dimensions, weights have 2", info.shape.len())));
            };
            let (dtype, shape) = (dtype(info)?, Shape::new(rows, cols));
            let bias = layer.bias.as_ref().map(|name| bias(checkpoint, name, rows)).transpose()?;
            let matrix = Matrix::dense(dtype, shape, &bytes);
            let (format, why) = match storage {
                Storage::Dense => (None, "dense: as asked".into()),
                Storage::Sparse(format) => (Some(format), format!("{format}: as asked")),
                Storage::Auto { columns } => {
                    let kept = (0..shape.weights() as usize).filter(|&i| dtype.bits(&bytes, i) != 0).count() as u64;
                    let choice = Format::auto(tuning, dtype, shape, kept, columns);
                    (choice.format, choice.why)
                }
            };
            let linear = match format {
                None => Linear::dense(device, matrix, bias.as_deref(), layer.activation),
                Some(format) => {
                    let packed = Packed::pack(matrix, &not_zero(matrix), format);
                    let packed = packed.and_then(|packed| SparseMatrix::upload(device, &packed));
                    packed.and_then(|packed| Linear::sparse(device, packed, bias.as_deref(), layer.activation))
                }
            };
            layers.push(linear.map_err(|error| match error {
                Error::View { what, problem } => bad(&layer.weight, format!("{what}: {problem}")),
                other => other,
            })?);
            reasons.push(why);
        }
        Ok((Self::new(layers)?, reasons))
    }
}

/// The mask of all weights that are not +0.0.
fn not_zero(matrix: Matrix<'_>) -> Vec<u32> {
    let words = matrix.shape.mask_words_per_row() as usize;
    let mut mask = vec![0; matrix.shape.rows as usize * words];
    for row in 0..matrix.shape.rows as usize {
        for col in 0..matrix.shape.cols as usize {
            let kept = matrix.dtype.bits(matrix.bytes, row * matrix.stride + col) != 0;
            mask[row * words + col / 32] |= u32::from(kept) << (col % 32);
        }
    }
    mask
}

fn bad(tensor: &str, problem: String) -> Error {
    Error::View { what: "network", problem: format!("tensor {}: {problem}", quoted(tensor)) }
}

fn read<'a>(checkpoint: &'a Checkpoint, name: &str) -> Result<(&'a TensorInfo, Vec<u8>)> {
    let place = checkpoint.tensors().iter().position(|info| info.name == name);
    let place = place.ok_or_else(|| bad(name, "the checkpoint has none of this name".into()))?;
    let info = &checkpoint.tensors()[place];
    let mut bytes = vec![0; info.bytes() as usize];
    checkpoint.read_at(place, 0, &mut bytes)?;
    Ok((info, bytes))
}

fn dtype(info: &TensorInfo) -> Result<Dtype> {
    info.number().ok_or_else(|| bad(&info.name, format!("it is {}: layers take F32, F16 and BF16", info.dtype)))
}

fn bias(checkpoint: &Checkpoint, name: &str, rows: u64) -> Result<Vec<f32>> {
    let (info, bytes) = read(checkpoint, name)?;
    let dtype = dtype(info)?;
    let count = bytes.len() / dtype.size();
    if count as u64 != rows || info.shape.len() != 1 {
        return Err(bad(name, format!("it has {count} numbers in {} dimensions, a bias of {rows}", info.shape.len())));
    }
    Ok((0..count).map(|i| dtype.value(dtype.bits(&bytes, i))).collect())
}
