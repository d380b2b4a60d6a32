//! A sparse matrix in a checkpoint, in the words of its buffers: it is copied to the GPU as it lies there.
//!
//! For a weight `X` of R × C, [`Format::Bitmask`](super::Format::Bitmask):
//!
//! | tensor | type and shape | |
//! |---|---|---|
//! | `X.values` | its own `[kept]` | what is kept, row by row |
//! | `X.bits` | `U32 [R, ceil(C / 32)]` | column c in bit c % 32, from the least significant on, of word c / 32 |
//! | `X.offsets` | `U32 [R · ceil(C / 1024) + 1]` | what is kept before each tile of 1,024 columns of a row, and in all |
//! | `X.shape` | `I64 [rank]` | the weight's shape; R is its first number, C the product of the others |
//!
//! The metadata of each shard has [`KEY`].

use safetensors::Dtype as FileDtype;
use wgpu::util::DeviceExt;

use super::matrix::{SparseMatrix, USAGE, fits};
use crate::checkpoint::{Checkpoint, MOST_DIMENSIONS, TensorInfo, quoted};
use crate::gpu::watch;
use crate::reference::{BITMASK_TILE, check_format};
use crate::{Dtype, Format, Result, Shape};

/// The key and the value of a packed checkpoint's metadata.
pub(crate) const KEY: (&str, &str) = ("lopper.tiled-bitmask", "1");

/// Columns that share an offset.
pub(crate) const TILE: u64 = BITMASK_TILE as u64;

/// The parts of a weight, in the order of [`tensors`].
pub(crate) const PARTS: [&str; 4] = ["values", "bits", "shape", "offsets"];

/// Rows and columns of a shape.
pub(crate) fn matrix_of(shape: &[u64]) -> Shape {
    match shape {
        [] => Shape::new(1, 1),
        [cols] => Shape::new(1, *cols),
        [rows, rest @ ..] => Shape::new(*rows, rest.iter().product()),
    }
}

/// Why a tensor cannot lie so in a file.
pub(crate) fn refuses(info: &TensorInfo) -> Option<String> {
    let dtype = info.prunable()?;
    if info.shape.len() as u64 > MOST_DIMENSIONS {
        return Some(format!("rank {}, a written shape has at most {MOST_DIMENSIONS} dimensions", info.shape.len()));
    }
    check_format(Format::Bitmask, dtype, matrix_of(&info.shape)).err().map(|error| error.to_string())
}

/// The tensors of a weight of which so many numbers are kept.
pub(crate) fn tensors(name: &str, dtype: Dtype, shape: &[u64], kept: u64) -> Result<Vec<TensorInfo>> {
    let Shape { rows, cols } = matrix_of(shape);
    let values = match dtype {
        Dtype::F32 => FileDtype::F32,
        Dtype::F16 => FileDtype::F16,
        _ => FileDtype::BF16,
    };
    let info = |part: usize, dtype, shape: &[u64]| TensorInfo::new(format!("{name}.{}", PARTS[part]), dtype, shape);
    Ok(vec![
        info(0, values, &[kept])?,
        info(1, FileDtype::U32, &[rows, cols.div_ceil(32)])?,
        info(2, FileDtype::I64, &[shape.len() as u64])?,
        info(3, FileDtype::U32, &[rows * cols.div_ceil(TILE) + 1])?,
    ])
}

impl SparseMatrix {
    /// Loads the weight `name` of a checkpoint that was packed as `tiled-bitmask` (`lopper pack --format tiled-bitmask`): its
    /// words go to the device as they lie in the file. The whole matrix is in host memory meanwhile.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) where the checkpoint was not packed so or has no such weight, or its tensors contradict each other;
    /// [`Error::View`](crate::Error::View) where it is larger than the device binds; those of reading; [`Error::Gpu`](crate::Error::Gpu) where the device fails.
    pub fn load(device: &wgpu::Device, checkpoint: &Checkpoint, name: &str) -> Result<Self> {
        let bad = |problem: String| checkpoint.bad(0, name, problem);
        match checkpoint.metadata(KEY.0)? {
            Some(version) if version == KEY.1 => {}
            Some(version) => return Err(bad(format!("it is packed in version {} of the layout", quoted(&version)))),
            None => return Err(bad("the checkpoint is not packed as tiled-bitmask: `lopper pack` does that".into())),
        }
        let find = |part: &str| {
            let name = format!("{name}.{part}");
            let place = checkpoint.tensors().iter().position(|info| info.name == name);
            place.ok_or_else(|| bad(format!("there is no {}", quoted(&name))))
        };
        let places = [find(PARTS[0])?, find(PARTS[1])?, find(PARTS[2])?, find(PARTS[3])?];
        let infos = places.map(|place| &checkpoint.tensors()[place]);
        let shape = checkpoint.shape_in(places[2])?;
        let dtype = infos[0].number().ok_or_else(|| bad(format!("its values are {}", infos[0].dtype)))?;
        let matrix = matrix_of(&shape);
        check_format(Format::Bitmask, dtype, matrix).map_err(|error| bad(error.to_string()))?;
        let kept = infos[0].bytes() / dtype.size() as u64;
        for (expected, info) in tensors(name, dtype, &shape, kept)?.iter().zip(infos) {
            if (expected.dtype, &expected.shape) != (info.dtype, &info.shape) {
                let (part, needed) = (quoted(&info.name), &expected.shape);
                let (is, shape) = (info.dtype, &info.shape);
                let problem =
                    format!("{part} is {is} {shape:?}, by its shape it should be {} {needed:?}", expected.dtype);
                return Err(bad(problem));
            }
        }
        let value_words = infos[0].bytes().div_ceil(4);
        fits(device, (infos[1].bytes() + infos[3].bytes()).max(4 * value_words))?;
        let offsets = infos[3].bytes() as usize;
        let mut index = vec![0; offsets + infos[1].bytes() as usize];
        checkpoint.read_at(places[3], 0, &mut index[..offsets])?;
        checkpoint.read_at(places[1], 0, &mut index[offsets..])?;
        check_words(matrix, kept, &index).map_err(bad)?;
        let mut values = vec![0; 4 * value_words.max(4) as usize];
        checkpoint.read_at(places[0], 0, &mut values[..infos[0].bytes() as usize])?;
        watch(device, "loading a sparse matrix", || {
            let buffer = |label, contents: &[u8]| {
                device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                    label: Some(label),
                    contents,
                    usage: USAGE,
                })
            };
            let (rows, cols) = (matrix.rows as u32, matrix.cols as u32);
            let (index, values) = (buffer("lopper index", &index), buffer("lopper values", &values));
            Ok(Self { format: Format::Bitmask, dtype, rows, cols, index, values, value_words })
        })
    }
}

/// Checks offsets against bits: kernels read where they lead.
fn check_words(shape: Shape, kept: u64, index: &[u8]) -> Result<(), String> {
    let words = index.as_chunks::<4>().0;
    let (tiles, width) = (shape.cols.div_ceil(TILE), shape.mask_words_per_row());
    let (offsets, bits) = words.split_at((shape.rows * tiles) as usize + 1);
    let mut sum = 0u64;
    let mut tile = 0;
    for (row, bits) in bits.chunks(width as usize).enumerate() {
        for bits in bits.chunks((TILE / 32) as usize) {
            let offset = u32::from_le_bytes(offsets[tile]);
            if u64::from(offset) != sum {
                return Err(format!(
                    "{sum} weights are kept before tile {tile}, which is in row {row}, its offset is {offset}"
                ));
            }
            sum += bits.iter().map(|word| u64::from(u32::from_le_bytes(*word).count_ones())).sum::<u64>();
            tile += 1;
        }
        let behind = (shape.cols % 32) as u32;
        if behind != 0 && u32::from_le_bytes(bits[bits.len() - 1]) >> behind != 0 {
            return Err(format!("row {row} has bits behind its last column"));
        }
    }
    let last = u64::from(u32::from_le_bytes(offsets[tile]));
    match (sum == last, sum == kept) {
        (true, true) => Ok(()),
        _ => Err(format!("its bits keep {sum} weights, its last offset says {last}, and it has {kept} values")),
    }
}
