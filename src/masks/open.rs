//! Masks that can be read, wherever they are.

use std::collections::HashMap;
use std::path::Path;

use safetensors::Dtype as FileDtype;

use super::bits;
use crate::checkpoint::{Checkpoint, TensorInfo, quoted};
use crate::pruner::{Selection, selected, selected_by};
use crate::{Dtype, Result};

/// The key of a mask file's `__metadata__`, and its value.
pub(super) const KEY: (&str, &str) = ("lopper.mask", "1");

/// Masks of a file or folder: a mask file, masks as `torch.nn.utils.prune` leaves them, or the zeros of a checkpoint.
#[derive(Debug, Clone)]
pub struct Masks {
    checkpoint: Checkpoint,
    masks: Vec<MaskInfo>,
    kind: &'static str,
}

/// The mask of one weight.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaskInfo {
    /// The weight's name.
    pub name: String,
    /// The weight's shape.
    pub shape: Vec<u64>,
    /// How many bits it has: the product of the shape.
    pub weights: u64,
    tensor: usize,
    form: Form,
}

/// How bits lie in a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Bits,
    /// Numbers of so many bytes, each 0 or this one.
    Ones(usize, [u8; 8]),
    /// Weights, of which zeros are pruned.
    Weights(Dtype),
}

impl Masks {
    /// Opens masks. In this order, it is
    ///
    /// 1. a file of lopper's, if its metadata says so;
    /// 2. torch's, if there is `X_mask` beside `X_orig`, of the same shape, or nothing but tensors named `X_mask` or of type
    ///    `BOOL`: numbers 0 and 1 of any type, and the weight is `X`;
    /// 3. a checkpoint, whose zeros of either sign are pruned weights.
    ///
    /// `selection` says which weights; where it is none, all that have a mask. In a checkpoint those are the tensors that the
    /// recipe in its metadata prunes, else those that lopper prunes by default.
    ///
    /// # Errors
    /// What [`Checkpoint::open`] gives; [`Error::Data`](crate::Error::Data) where tensors do not add up to masks;
    /// [`Error::Rule`](crate::Error::Rule) for a selection that selects nothing.
    pub fn open(path: &Path, selection: Option<&Selection>) -> Result<Self> {
        Self::of(Checkpoint::open(path)?, selection)
    }

    /// As [`open`](Self::open), of a checkpoint that is open.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of(checkpoint: Checkpoint, selection: Option<&Selection>) -> Result<Self> {
        let (kind, mut masks) = if checkpoint.metadata(KEY.0)?.is_some() {
            ("mask file", of_lopper(&checkpoint)?)
        } else if let Some(masks) = of_torch(&checkpoint)? {
            ("torch's masks", masks)
        } else {
            let chosen = selected(&checkpoint, selection)?;
            return Ok(Self { masks: of_weights(&checkpoint, &chosen), checkpoint, kind: "zeros of a checkpoint" });
        };
        if let Some(selection) = selection {
            let named = |mask: &MaskInfo| TensorInfo::new(&*mask.name, FileDtype::F32, &*mask.shape);
            let infos = masks.iter().map(named).collect::<Result<Vec<_>>>()?;
            let chosen = selected_by(selection, &infos)?;
            let mut chosen = chosen.into_iter();
            masks.retain(|_| chosen.next() == Some(true));
        }
        Ok(Self { checkpoint, masks, kind })
    }

    /// No masks: a checkpoint that is read.
    pub(super) fn none(checkpoint: &Checkpoint) -> Self {
        Self { checkpoint: checkpoint.clone(), masks: Vec::new(), kind: "no masks" }
    }

    /// The masks, in the order of their tensors in the file.
    pub fn masks(&self) -> &[MaskInfo] {
        &self.masks
    }

    /// What they are read from: `mask file`, `torch's masks` or `zeros of a checkpoint`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The file or folder's tensors.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The numbers of masks by their weights' names.
    pub(super) fn by_name(&self) -> HashMap<&str, usize> {
        self.masks.iter().enumerate().map(|(number, mask)| (mask.name.as_str(), number)).collect()
    }

    /// Bits that are read for each bit of mask number `mask`: 1 to 64.
    pub(super) fn width(&self, mask: usize) -> u64 {
        match self.masks[mask].form {
            Form::Bits => 1,
            Form::Ones(size, _) => 8 * size as u64,
            Form::Weights(dtype) => 8 * dtype.size() as u64,
        }
    }

    /// Fills `bits` with those of mask number `mask` from weight `first`, a multiple of 8, on: as many as there are bytes,
    /// or as there are left. Bits behind the last weight are 0. `scratch` is what it reads into.
    ///
    /// # Errors
    /// Those of reading; [`Error::Data`](crate::Error::Data) for a number that is neither 0 nor 1, and for bits behind the last weight.
    pub(super) fn read(&self, mask: usize, first: u64, bits: &mut [u8], scratch: &mut Vec<u8>) -> Result<()> {
        let MaskInfo { weights, tensor, form, .. } = self.masks[mask];
        let count = (8 * bits.len() as u64).min(weights - first);
        let mut elements = |size: u64| -> Result<()> {
            scratch.resize((count * size) as usize, 0);
            self.checkpoint.read_at(tensor, first * size, scratch)
        };
        let info = &self.checkpoint.tensors()[tensor];
        match form {
            Form::Bits => {
                self.checkpoint.read_at(tensor, first / 8, bits)?;
                let last = bits.last().copied();
                bits::clear_tail(bits, first + count);
                if bits.last().copied() != last {
                    let problem = format!("bits are set behind its last weight, number {}", weights - 1);
                    return Err(self.checkpoint.bad(info.shard, &info.name, problem));
                }
            }
            Form::Weights(dtype) => {
                elements(dtype.size() as u64)?;
                bits::of_weights(dtype, scratch, bits);
            }
            Form::Ones(size, one) => {
                elements(size as u64)?;
                if let Some(wrong) = bits::of_ones(&one[..size], scratch, bits) {
                    let problem = format!("number {} is neither 0 nor 1: that is no mask", first + wrong as u64);
                    return Err(self.checkpoint.bad(info.shard, &info.name, problem));
                }
            }
        }
        Ok(())
    }
}

/// Masks of a file of lopper's.
fn of_lopper(checkpoint: &Checkpoint) -> Result<Vec<MaskInfo>> {
    let wrong = |info: &TensorInfo, problem: String| checkpoint.bad(info.shard, &info.name, problem);
    match checkpoint.metadata(KEY.0)? {
        Some(version) if version == KEY.1 => {}
        version => {
            let version = quoted(&version.unwrap_or_default());
            let problem = format!("it is a mask file of version {version}, this lopper reads {}", KEY.1);
            let path = checkpoint.shards()[0].path().to_owned();
            return Err(crate::Error::Data { path, tensor: None, problem });
        }
    }
    let by_name: HashMap<&str, usize> =
        checkpoint.tensors().iter().enumerate().map(|(number, info)| (info.name.as_str(), number)).collect();
    let mut masks = Vec::new();
    for (tensor, info) in checkpoint.tensors().iter().enumerate() {
        if let Some(name) = info.name.strip_suffix(".shape")
            && by_name.contains_key(format!("{name}.mask").as_str())
        {
            continue;
        }
        let Some(name) = info.name.strip_suffix(".mask") else {
            return Err(wrong(info, "a mask file has tensors `X.mask` and `X.shape`, and this is neither".into()));
        };
        let Some(&shape) = by_name.get(format!("{name}.shape").as_str()) else {
            return Err(wrong(
                info,
                format!("its shape is missing, which should be {}", quoted(&format!("{name}.shape"))),
            ));
        };
        let shape = checkpoint.shape_in(shape)?;
        let weights = TensorInfo::new(name, FileDtype::U8, &*shape)?.bytes();
        if info.dtype != FileDtype::U8 || info.shape != [weights.div_ceil(8)] {
            let (needed, dtype) = (weights.div_ceil(8), info.dtype);
            let problem = format!(
                "the mask of {weights} weights is U8 [{needed}], this is {dtype} {:?}",
                &info.shape[..info.shape.len().min(8)]
            );
            return Err(wrong(info, problem));
        }
        masks.push(MaskInfo { name: name.into(), shape, weights, tensor, form: Form::Bits });
    }
    Ok(masks)
}

/// Masks as torch has them, if there are any: beside the weights that they are for, or alone.
fn of_torch(checkpoint: &Checkpoint) -> Result<Option<Vec<MaskInfo>>> {
    let tensors = checkpoint.tensors();
    let origs: HashMap<&str, &TensorInfo> =
        tensors.iter().filter_map(|info| Some((info.name.strip_suffix("_orig")?, info))).collect();
    let weight = |info: &TensorInfo| info.name.strip_suffix("_mask").map(str::to_owned);
    let alone = |info: &TensorInfo| info.dtype == FileDtype::BOOL || weight(info).is_some();
    let all_alone = !tensors.is_empty() && tensors.iter().all(alone);
    let mut masks = Vec::new();
    for (tensor, info) in tensors.iter().enumerate() {
        let name = match weight(info) {
            Some(name) if all_alone || origs.contains_key(name.as_str()) => name,
            None if all_alone => info.name.clone(),
            _ => continue,
        };
        let wrong = |problem: String| checkpoint.bad(info.shard, &info.name, problem);
        if let Some(orig) = origs.get(name.as_str()).filter(|orig| orig.shape != info.shape) {
            let (mask, weight) = (short(&info.shape), short(&orig.shape));
            return Err(wrong(format!("it has the shape {mask}, its weight {} has {weight}", quoted(&orig.name))));
        }
        let (size, one) = one(info.dtype).ok_or_else(|| wrong(format!("masks are no {}", info.dtype)))?;
        let weights = info.shape.iter().product();
        masks.push(MaskInfo { name, shape: info.shape.clone(), weights, tensor, form: Form::Ones(size, one) });
    }
    Ok((!masks.is_empty()).then_some(masks))
}

/// The size of a number 1 of this type, and its bytes.
fn one(dtype: FileDtype) -> Option<(usize, [u8; 8])> {
    Some(match dtype {
        FileDtype::BOOL | FileDtype::U8 | FileDtype::I8 => (1, 1u64.to_le_bytes()),
        FileDtype::U16 | FileDtype::I16 => (2, 1u64.to_le_bytes()),
        FileDtype::U32 | FileDtype::I32 => (4, 1u64.to_le_bytes()),
        FileDtype::U64 | FileDtype::I64 => (8, 1u64.to_le_bytes()),
        FileDtype::F16 => (2, 0x3c00u64.to_le_bytes()),
        FileDtype::BF16 => (2, 0x3f80u64.to_le_bytes()),
        FileDtype::F32 => (4, u64::from(1f32.to_bits()).to_le_bytes()),
        FileDtype::F64 => (8, 1f64.to_bits().to_le_bytes()),
        _ => return None,
    })
}

/// The zeros of the tensors that are chosen.
fn of_weights(checkpoint: &Checkpoint, chosen: &[bool]) -> Vec<MaskInfo> {
    let mask = |(tensor, info): (usize, &TensorInfo)| {
        let dtype = info.prunable().filter(|_| chosen[tensor])?;
        let (name, shape, weights) = (info.name.clone(), info.shape.clone(), info.shape.iter().product());
        Some(MaskInfo { name, shape, weights, tensor, form: Form::Weights(dtype) })
    };
    checkpoint.tensors().iter().enumerate().filter_map(mask).collect()
}

/// A shape for a message.
pub(super) fn short(shape: &[u64]) -> String {
    match shape.get(..8) {
        Some(first) if shape.len() > 8 => format!("{first:?}… of {} dimensions", shape.len()),
        _ => format!("{shape:?}"),
    }
}
