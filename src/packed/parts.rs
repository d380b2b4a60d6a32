//! Which tensors of a checkpoint are parts of packed matrices.

use std::collections::HashMap;

use safetensors::Dtype as FileDtype;

use super::Packing;
use super::kind::Matrix;
use crate::Result;
use crate::checkpoint::{Checkpoint, TensorInfo, quoted};
use crate::sparse::file as tiled;

/// A packed matrix, and the numbers of its tensors.
#[derive(Debug)]
pub(super) struct Parts {
    pub packing: Packing,
    pub matrix: Matrix,
    pub values: usize,
    pub bits: usize,
    pub offsets: Option<usize>,
    pub shape: usize,
    /// How many values there are.
    pub kept: u64,
}

impl Parts {
    pub fn tensors(&self) -> impl Iterator<Item = usize> {
        [Some(self.values), Some(self.bits), Some(self.shape), self.offsets].into_iter().flatten()
    }
}

/// All packed matrices, in the order of their values, each checked as far as sizes and types go.
pub(super) fn find(checkpoint: &Checkpoint) -> Result<Vec<Parts>> {
    let tensors = checkpoint.tensors();
    let tiled_here = checkpoint.metadata(tiled::KEY.0)?;
    let by_name: HashMap<&str, usize> = tensors.iter().enumerate().map(|(n, info)| (info.name.as_str(), n)).collect();
    let get = |prefix: &str, part: &str| by_name.get(format!("{prefix}.{part}").as_str()).copied();
    let mut all = Vec::new();
    for (values, info) in tensors.iter().enumerate() {
        let wrong = |problem: String| checkpoint.bad(info.shard, &info.name, problem);
        let [values_part, bits_part, shape_part, offsets_part] = tiled::PARTS;
        if tiled_here.is_some()
            && let Some(name) = info.name.strip_suffix(values_part).and_then(|name| name.strip_suffix('.'))
            && let (Some(bits), Some(shape), offsets @ Some(_)) =
                (get(name, bits_part), get(name, shape_part), get(name, offsets_part))
        {
            if tiled_here.as_deref() != Some(tiled::KEY.1) {
                let version = quoted(tiled_here.as_deref().unwrap_or_default());
                return Err(wrong(format!("it is packed in version {version} of the layout")));
            }
            all.push(check(checkpoint, Packing::TiledBitmask, name, [values, bits, shape], offsets)?);
        } else if let Some(prefix) = info.name.strip_suffix(".compressed")
            && let Some(bits) = get(prefix, "bitmask")
        {
            let missing =
                || wrong(format!("its shape is missing, which should be {}", quoted(&format!("{prefix}.shape"))));
            let shape = get(prefix, "shape").ok_or_else(missing)?;
            let offsets = get(prefix, "row_offsets");
            let packing = if offsets.is_some() { Packing::SparseBitmask } else { Packing::Sparse24Bitmask };
            // Releases up to 0.8.1 kept the weight's whole name.
            let name = if prefix.ends_with(".weight") { prefix.to_owned() } else { format!("{prefix}.weight") };
            all.push(check(checkpoint, packing, &name, [values, bits, shape], offsets)?);
        }
    }
    Ok(all)
}

fn check(
    checkpoint: &Checkpoint,
    packing: Packing,
    name: &str,
    [values, bits, shape]: [usize; 3],
    offsets: Option<usize>,
) -> Result<Parts> {
    let info = |number: usize| &checkpoint.tensors()[number];
    let wrong = |number: usize, problem: String| checkpoint.bad(info(number).shard, &info(number).name, problem);
    let dtype = info(values).prunable();
    let dtype =
        dtype.ok_or_else(|| wrong(values, format!("values of {} cannot be unpacked here", info(values).dtype)))?;
    let dims = checkpoint.shape_in(shape)?;
    let most = if packing == Packing::TiledBitmask { usize::MAX } else { 2 };
    if dims.is_empty() || dims.len() > most {
        return Err(wrong(shape, format!("{} packs no weights of rank {}", packing.name(), dims.len())));
    }
    let size = tiled::matrix_of(&dims);
    let matrix = Matrix { name: name.to_owned(), dtype, shape: dims, rows: size.rows, cols: size.cols };
    if let Some(why) = (packing == Packing::TiledBitmask)
        .then(|| TensorInfo::new(name, info(values).dtype, &*matrix.shape))
        .transpose()?
        .and_then(|dense| tiled::refuses(&dense))
    {
        return Err(wrong(shape, why));
    }
    let kept = info(values).bytes() / dtype.size() as u64;
    let (rows, cols) = (matrix.rows, matrix.cols);
    if packing == Packing::Sparse24Bitmask && (cols % 4 != 0 || kept != size.weights() / 2) {
        let problem = format!(
            "{rows} rows of {cols} weights, of which 2 of 4 are kept, have {} values, not {kept}",
            size.weights() / 2
        );
        return Err(wrong(values, problem));
    }
    let is = |number: usize, what: &str, dtype: FileDtype, bytes: u64| match info(number) {
        found if found.dtype == dtype && found.bytes() == bytes => Ok(()),
        found => {
            let (have, needed) = (found.bytes(), format!("{bytes} bytes of {dtype}"));
            Err(wrong(
                number,
                format!("{what} of {rows} rows of {cols} weights take {needed}, this is {have} of {}", found.dtype),
            ))
        }
    };
    let words = if packing == Packing::TiledBitmask { FileDtype::U32 } else { FileDtype::U8 };
    is(bits, "the bits", words, rows * packing.row_bytes(cols))?;
    if let Some(offsets) = offsets {
        match packing {
            Packing::TiledBitmask => is(offsets, "the offsets", words, 4 * (rows * cols.div_ceil(tiled::TILE) + 1))?,
            _ => is(offsets, "the offsets", FileDtype::I64, 8 * rows)?,
        }
    }
    Ok(Parts { packing, matrix, values, bits, offsets, shape, kept })
}
