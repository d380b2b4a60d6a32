//! Checks a pruned checkpoint against its original, on the CPU and from the files alone.
//!
//! It shares no code with the kernels, the scheduler or the reference: it knows no rule and no quota, and asks of the
//! two files what must hold for any magnitude pruning:
//!
//! - the same tensors, of the same dtypes and shapes, and those that lopper does not prune byte for byte the same;
//! - each weight has the very same bits as before, or is +0.0;
//! - the **cut** is respected: nothing pruned away is larger than anything kept, be it within the tensor or, where
//!   that does not hold, within each row.
//!
//! One pass, two blocks of memory, whatever the size of a tensor.

mod mismatch;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

pub use self::mismatch::Mismatch;
use crate::Result;
use crate::checkpoint::{Checkpoint, TensorInfo};

/// Mismatches that are listed; all are counted.
const LISTED: usize = 20;

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// One entry per tensor that both checkpoints have with the same dtype and shape, in the original's order.
    pub tensors: Vec<TensorVerification>,
    /// Weights of prunable dtypes, over all tensors.
    pub weights: u64,
    /// ±0 among them before.
    pub zeros_before: u64,
    /// ±0 among them after.
    pub zeros: u64,
    /// Weights that became +0.0 and had other bits before.
    pub changed: u64,
    /// Bytes of tensors in the original.
    pub bytes: u64,
    /// One cut explains all tensors that changed, their magnitudes compared by value. False where none changed.
    pub global: bool,
    /// How many mismatches there are.
    pub mismatch_count: u64,
    /// The first of them.
    pub mismatches: Vec<Mismatch>,
}

/// One tensor that both checkpoints have.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TensorVerification {
    /// Its name.
    pub name: String,
    /// Its element type, by its safetensors name.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its weights; 0 for a dtype that is not pruned.
    pub weights: u64,
    /// ±0 before.
    pub zeros_before: u64,
    /// ±0 after.
    pub zeros: u64,
    /// Weights that became +0.0 and had other bits before; one that was -0.0 counts.
    pub changed: u64,
    /// The largest magnitude pruned away; none where nothing was. JSON has no infinity and no NaN: they are `null`.
    pub cut: Option<f64>,
    /// Where the cut holds.
    pub scope: CutScope,
    /// Of the weights as large as the cut, every pruned one lies before every kept one. False for any scope but
    /// `tensor`.
    pub ties_ordered: bool,
}

/// Where a cut holds: nothing pruned is larger than anything kept that is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CutScope {
    /// Within the tensor.
    Tensor,
    /// Within each row, but not within the tensor.
    Row,
    /// Nowhere: the tensor was not pruned by magnitude.
    None,
    /// Nothing was pruned away.
    Unchanged,
}

/// Compares `pruned` with `original`, both a checkpoint. `progress` is told bytes done and bytes in all.
///
/// # Errors
/// What [`Checkpoint::open`] and reading give. A mismatch is no error: it is in the [`Verification`].
pub fn verify(original: &Path, pruned: &Path, progress: &dyn Fn(u64, u64)) -> Result<Verification> {
    let (original, pruned) = (Checkpoint::open(original)?, Checkpoint::open(pruned)?);
    let bytes = |info: &TensorInfo| info.range.end - info.range.start;
    let total = original.tensors().iter().map(bytes).sum();
    let mut others: HashMap<&str, usize> =
        pruned.tensors().iter().enumerate().map(|(index, info)| (info.name.as_str(), index)).collect();

    let mut found = Verification::default();
    found.tensors.reserve_exact(original.tensors().len());
    let mut global = GlobalCut::default();
    for (index, info) in original.tensors().iter().enumerate() {
        match others.remove(info.name.as_str()) {
            None => found.mismatch(|| Mismatch::Missing { tensor: info.name.clone() }),
            Some(other) if found.same_form(info, &pruned.tensors()[other]) => {
                let done = found.bytes;
                let report = |bytes| progress(done + bytes, total);
                let pair = scan::Pair { original: (&original, index), pruned: (&pruned, other), progress: &report };
                global.add(scan::tensor(&pair, info, &mut found)?);
            }
            Some(_) => {}
        }
        found.bytes += bytes(info);
        progress(found.bytes, total);
    }
    for info in pruned.tensors().iter().filter(|info| others.contains_key(info.name.as_str())) {
        found.mismatch(|| Mismatch::Extra { tensor: info.name.clone() });
    }
    found.global = global.holds();
    drop(others);
    drop(pruned);
    // A shape may be as long as a header, and two of the same are held until here.
    let mut infos = original.tensors().iter();
    for tensor in &mut found.tensors {
        let info = infos.find(|info| info.name == tensor.name);
        tensor.shape = info.map_or_else(Vec::new, |info| info.shape.clone());
    }
    Ok(found)
}

impl Verification {
    /// Nothing is amiss.
    pub fn ok(&self) -> bool {
        self.mismatch_count == 0
    }

    fn mismatch(&mut self, mismatch: impl FnOnce() -> Mismatch) {
        self.mismatch_count += 1;
        if self.mismatches.len() < LISTED {
            self.mismatches.push(mismatch());
        }
    }

    fn same_form(&mut self, before: &TensorInfo, after: &TensorInfo) -> bool {
        let tensor = || before.name.clone();
        if before.dtype != after.dtype {
            let (before, after) = (before.dtype.to_string(), after.dtype.to_string());
            self.mismatch(|| Mismatch::Dtype { tensor: tensor(), before, after });
        } else if before.shape != after.shape {
            let (before, after) = (before.shape.clone(), after.shape.clone());
            self.mismatch(|| Mismatch::Shape { tensor: tensor(), before, after });
        } else {
            return true;
        }
        false
    }
}

/// Keys common to all dtypes: the largest pruned away and the smallest kept, over the tensors that changed.
#[derive(Default)]
struct GlobalCut {
    pruned: Option<u32>,
    kept: Option<u32>,
}

impl GlobalCut {
    fn add(&mut self, cut: Option<scan::Cut>) {
        let Some(cut) = cut else { return };
        self.pruned = self.pruned.max(Some(cut.dtype.common_key(cut.pruned)));
        self.kept = [self.kept, cut.kept.map(|key| cut.dtype.common_key(key))].into_iter().flatten().min();
    }

    fn holds(&self) -> bool {
        self.pruned.is_some_and(|pruned| self.kept.is_none_or(|kept| pruned <= kept))
    }
}

impl CutScope {
    /// `tensor`, `row`, `none` or `unchanged`.
    pub const fn name(self) -> &'static str {
        match self {
            CutScope::Tensor => "tensor",
            CutScope::Row => "row",
            CutScope::None => "none",
            CutScope::Unchanged => "unchanged",
        }
    }
}
