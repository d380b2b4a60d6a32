//! A mask file that is being written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use serde::Serialize;

use super::open::{KEY, MaskInfo, Masks};
use crate::checkpoint::{Fresh, NewShard, Sources, TensorInfo, Unfinished};
use crate::{OnBytes, Result};

/// Where a mask file goes, and who is told how far it is.
pub struct MaskTo<'a> {
    /// The file.
    pub output: &'a Path,
    /// Whether a file that exists is replaced; never one that is read.
    pub force: bool,
    /// What notes what is not finished.
    pub unfinished: &'a Unfinished,
    /// Told bytes read and bytes to be read.
    pub progress: OnBytes<'a>,
}

/// What a mask file has come to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Written {
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// One entry per mask, in their order.
    pub tensors: Vec<TensorKept>,
}

/// How much a mask keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TensorKept {
    /// The weight's name.
    pub name: String,
    /// The weight's shape.
    pub shape: Vec<u64>,
    /// Its weights.
    pub weights: u64,
    /// How many of them are kept.
    pub kept: u64,
}

/// The file.
pub(super) struct MaskFile {
    fresh: Fresh,
}

impl MaskFile {
    /// Begins a file of these masks, of which nothing but `read` is read.
    pub fn create(masks: &[MaskInfo], read: &[&Masks], to: &MaskTo<'_>) -> Result<Self> {
        let mut sources = Sources::default();
        read.iter().for_each(|masks| sources.add(masks.checkpoint()));
        let bits =
            |mask: &MaskInfo| TensorInfo::new(format!("{}.mask", mask.name), Dtype::U8, [mask.weights.div_ceil(8)]);
        let shape =
            |mask: &MaskInfo| TensorInfo::new(format!("{}.shape", mask.name), Dtype::I64, [mask.shape.len() as u64]);
        let tensors = masks.iter().map(bits).chain(masks.iter().map(shape)).collect::<Result<_>>()?;
        let metadata = BTreeMap::from([(KEY.0.to_owned(), KEY.1.to_owned())]);
        let shard = NewShard { name: String::new(), tensors, metadata };
        let fresh = Fresh::create_alone(read[0].checkpoint(), sources, &shard, to.output, to.force, to.unfinished)?;
        for (number, mask) in masks.iter().enumerate() {
            let shape: Vec<u8> = mask.shape.iter().flat_map(|d| d.to_le_bytes()).collect();
            fresh.write_at(masks.len() + number, 0, &shape)?;
        }
        Ok(Self { fresh })
    }

    /// Writes bits of mask number `mask`, from weight `first`, a multiple of 8, on.
    pub fn write(&self, mask: usize, first: u64, bits: &[u8]) -> Result<()> {
        self.fresh.write_at(mask, first / 8, bits)
    }

    /// Gives it its name; `kept` has for each mask how many weights it keeps.
    pub fn commit(self, masks: &[MaskInfo], kept: impl IntoIterator<Item = u64>) -> Result<Written> {
        let done = self.fresh.commit()?;
        let tensor = |(mask, kept): (&MaskInfo, u64)| TensorKept {
            name: mask.name.clone(),
            shape: mask.shape.clone(),
            weights: mask.weights,
            kept,
        };
        Ok(Written { path: done.path, bytes: done.bytes, tensors: masks.iter().zip(kept).map(tensor).collect() })
    }
}
