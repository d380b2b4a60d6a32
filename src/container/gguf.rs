//! GGUF: metadata, a list of tensors, and their data, each aligned.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little-endian. Dimensions are
//! stored fastest first, so a matrix of torch's `[outputs, inputs]` is stored as inputs, outputs, and its bytes lie as torch's.

use safetensors::Dtype;

use super::files::Cursor;
use super::list::{Found, List, MOST_TENSORS};
use super::place::{Place, leaves};
use super::problem::ContainerProblem as Problem;
use crate::Result;

pub(super) const MAGIC: &[u8] = b"GGUF";
pub(super) const VERSION: u32 = 3;
pub(super) const ALIGNMENT: u64 = 32;
pub(super) const ALIGNMENT_KEY: &str = "general.alignment";

/// The most metadata entries. Models have tens.
const MOST_ENTRIES: u64 = 1 << 20;
/// The most bytes of a key: what the format allows.
const MAX_KEY: u64 = (1 << 16) - 1;
/// Arrays in arrays, at most.
const MAX_DEPTH: usize = 8;

/// Numbers of GGUF's types for metadata.
pub(super) const KIND_U32: u32 = 4;
pub(super) const KIND_TEXT: u32 = 8;
const KIND_ARRAY: u32 = 9;

/// Reads the whole file at the cursor.
pub(super) fn read(cursor: &mut Cursor<'_>, list: &mut List) -> Result<()> {
    cursor.skip("the magic number", 4)?;
    match cursor.u32("the version")? {
        2 | VERSION => {}
        1 => return Err(cursor.malformed("version 1 of GGUF: write it anew with a current llama.cpp")),
        big if (1..=VERSION).contains(&big.swap_bytes()) => {
            return Err(cursor.malformed("it is big-endian: write it anew with gguf-py's gguf_convert_endian.py"));
        }
        other => return Err(cursor.malformed(format!("version {other} of GGUF, and 2 and 3 are known"))),
    }
    let tensors = cursor.u64("the number of tensors")?;
    let entries = cursor.u64("the number of metadata entries")?;
    for (what, count, max) in [("tensors", tensors, MOST_TENSORS), ("metadata entries", entries, MOST_ENTRIES)] {
        if count > max {
            return Err(cursor.problem(Problem::TooMany { what: what.into(), count, max }));
        }
    }
    let mut alignment = ALIGNMENT;
    for _ in 0..entries {
        let len = cursor.u64("a key's length")?;
        let key = cursor.text("a metadata key", len, MAX_KEY)?;
        let kind = cursor.u32("a value's type")?;
        if key == ALIGNMENT_KEY {
            if kind != KIND_U32 {
                return Err(
                    cursor.malformed(format!("{ALIGNMENT_KEY} is of type {kind}, and is to be of type {KIND_U32}"))
                );
            }
            alignment = u64::from(cursor.u32("the alignment")?);
            if alignment == 0 || !alignment.is_multiple_of(8) {
                return Err(cursor.malformed(format!("{ALIGNMENT_KEY} is {alignment}, and is to be a multiple of 8")));
            }
        } else {
            skip(cursor, kind, 0)?;
        }
    }
    let described = (0..tensors).map(|_| Described::read(cursor)).collect::<Result<Vec<_>>>()?;
    let data = cursor.at().next_multiple_of(alignment);
    for tensor in described {
        tensor.check(cursor, data, alignment, list)?;
    }
    Ok(())
}

/// Skips a value.
fn skip(cursor: &mut Cursor<'_>, kind: u32, depth: usize) -> Result<()> {
    let fixed = |kind: u32| match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    };
    match (fixed(kind), kind) {
        (Some(size), _) => cursor.skip("a value", size),
        (None, KIND_TEXT) => {
            let len = cursor.u64("a text's length")?;
            cursor.skip("a text", len)
        }
        (None, KIND_ARRAY) if depth < MAX_DEPTH => {
            let kind = cursor.u32("an array's type")?;
            let count = cursor.u64("an array's length")?;
            match fixed(kind) {
                Some(size) => cursor.skip("an array", count.saturating_mul(size)),
                // Each has a length of 8 bytes at least, so a count that cannot be ends with the file.
                None => (0..count).try_for_each(|_| skip(cursor, kind, depth + 1)),
            }
        }
        (None, other) => Err(cursor.malformed(format!("a value of type {other}, or arrays in arrays too deep"))),
    }
}

/// A tensor as the list has it.
struct Described {
    name: String,
    shape: Vec<u64>,
    kind: u32,
    offset: u64,
}

impl Described {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let len = cursor.u64("the length of a tensor's name")?;
        let name = cursor.text("a tensor's name", len, MAX_KEY)?;
        let rank = cursor.u32("a tensor's rank")?;
        if rank > 8 {
            return Err(cursor.malformed(format!("a tensor of {rank} dimensions, and GGUF has at most 4")));
        }
        let mut shape = (0..rank).map(|_| cursor.u64("a dimension")).collect::<Result<Vec<_>>>()?;
        shape.reverse();
        let kind = cursor.u32("a tensor's type")?;
        let offset = cursor.u64("a tensor's offset")?;
        Ok(Self { name, shape, kind, offset })
    }

    fn check(self, cursor: &Cursor<'_>, data: u64, alignment: u64, list: &mut List) -> Result<()> {
        let Self { name, shape, kind, offset } = self;
        let refused = |what: String| cursor.problem(Problem::Tensor { tensor: name.clone(), what });
        if !offset.is_multiple_of(alignment) {
            return Err(refused(format!("its offset {offset} is no multiple of the alignment {alignment}")));
        }
        let weights = shape.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim));
        let (per, size) = block(kind).map_or((1, 0), |(_, per, size)| (per, size));
        let bytes = weights.and_then(|n| n.div_ceil(per).checked_mul(size));
        let ends = bytes.and_then(|bytes| data.checked_add(offset)?.checked_add(bytes));
        let (Some(bytes), Some(end)) = (bytes, ends) else {
            return Err(refused(format!("its {} dimensions overflow 64 bits", shape.len())));
        };
        let have = cursor.place() + cursor.left();
        if end > have {
            return Err(cursor.problem(leaves(&name, bytes, have.saturating_sub(data.saturating_add(offset)))));
        }
        match element(kind) {
            Some(dtype) => {
                let place = Place::plain(cursor.file, data + offset);
                list.push(cursor, Found { name, dtype, shape, place })
            }
            None => {
                let what =
                    block(kind).map_or_else(|| format!("GGUF type {kind}"), |(name, ..)| format!("GGUF type {name}"));
                list.other(cursor, &name, what)
            }
        }
    }
}

/// The number of a type, as ggml has it.
pub(super) fn kind(dtype: Dtype) -> Option<u32> {
    Some(match dtype {
        Dtype::F32 => 0,
        Dtype::F16 => 1,
        Dtype::I8 => 24,
        Dtype::I16 => 25,
        Dtype::I32 => 26,
        Dtype::I64 => 27,
        Dtype::F64 => 28,
        Dtype::BF16 => 30,
        _ => return None,
    })
}

fn element(number: u32) -> Option<Dtype> {
    use Dtype::{BF16, F16, F32, F64, I8, I16, I32, I64};
    [F32, F16, BF16, F64, I8, I16, I32, I64].into_iter().find(|dtype| kind(*dtype) == Some(number))
}

/// A type's name, weights per block, and bytes per block: `GGML_QUANT_SIZES` of gguf-py.
fn block(number: u32) -> Option<(&'static str, u64, u64)> {
    Some(match number {
        0 => ("F32", 1, 4),
        1 => ("F16", 1, 2),
        2 => ("Q4_0", 32, 18),
        3 => ("Q4_1", 32, 20),
        6 => ("Q5_0", 32, 22),
        7 => ("Q5_1", 32, 24),
        8 => ("Q8_0", 32, 34),
        9 => ("Q8_1", 32, 40),
        10 => ("Q2_K", 256, 84),
        11 => ("Q3_K", 256, 110),
        12 => ("Q4_K", 256, 144),
        13 => ("Q5_K", 256, 176),
        14 => ("Q6_K", 256, 210),
        15 => ("Q8_K", 256, 292),
        16 => ("IQ2_XXS", 256, 66),
        17 => ("IQ2_XS", 256, 74),
        18 => ("IQ3_XXS", 256, 98),
        19 => ("IQ1_S", 256, 50),
        20 => ("IQ4_NL", 32, 18),
        21 => ("IQ3_S", 256, 110),
        22 => ("IQ2_S", 256, 82),
        23 => ("IQ4_XS", 256, 136),
        24 => ("I8", 1, 1),
        25 => ("I16", 1, 2),
        26 => ("I32", 1, 4),
        27 => ("I64", 1, 8),
        28 => ("F64", 1, 8),
        29 => ("IQ1_M", 256, 56),
        30 => ("BF16", 1, 2),
        34 => ("TQ1_0", 256, 54),
        35 => ("TQ2_0", 256, 66),
        39 => ("MXFP4", 32, 17),
        40 => ("NVFP4", 64, 36),
        41 => ("Q1_0", 128, 18),
        _ => return None,
    })
}
