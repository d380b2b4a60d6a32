//! Checks a pruned checkpoint against its original, on the CPU and from the files alone.
//!
//! It shares no code with the kernels and the scheduler (of the reference, the random numbers), and asks of the two files
//! what must hold for any pruning:
//!
//! - the same tensors, of the same dtypes and shapes, and those that lopper does not prune byte for byte the same;
//! - each weight has the very same bits as before, or is +0.0.
//!
//! Where no recipe is known, pruning by magnitude is taken for granted:
//!
//! - the **cut** is respected: nothing pruned away is larger than anything kept, be it within the tensor or, where
//!   that does not hold, within each row.
//!
//! Held against a recipe:
//!
//! - what it copies is byte for byte the same;
//! - units (rows, columns, blocks) go or stay as a whole, and what is in no group of N:M stays;
//! - in each tensor, row, group, or over all tensors of a rule: as many went as the rule says, and none of them scores
//!   above one that stayed, or as high and behind it. Of weights that were +0.0 before no one can tell whether they went.
//!   Sums of a unit's weights are rounded on the GPU: units whose scores are nearer to each other than that may have gone
//!   in any order.
//!
//! One pass. Memory: two blocks, whatever the size of a tensor; against a recipe, besides, a few dozen bytes for each unit,
//! row or group that has begun and not ended: a row of blocks, the columns, and in layout `in-out` all rows.

mod asked;
mod grid;
mod judge;
mod mismatch;
mod pool;
mod rank;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use self::asked::Asked;
pub use self::mismatch::Mismatch;
use super::Recipe;
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
    /// The recipe against which it was held, in TOML; none if no recipe is known.
    pub recipe: Option<String>,
    /// What of it could not be checked: rules whose scores are in files that are not known here.
    pub unchecked: Vec<String>,
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

/// What a pruned checkpoint is held against.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Against<'a> {
    /// The recipe that its own metadata names ([`Recipe::METADATA_KEY`]), if it does; else cuts by magnitude. No file that
    /// it names is opened: of rules that read such files, only counts and units are checked.
    #[default]
    Own,
    /// This recipe. The files that it names are read.
    Recipe(&'a Recipe),
}

/// Compares `pruned` with `original`, both a checkpoint. `progress` is told bytes done and bytes in all.
///
/// # Errors
/// What [`Checkpoint::open`] and reading give; [`Error::Rule`](crate::Error::Rule) and
/// [`Error::Recipe`](crate::Error::Recipe) for a recipe that is none for the original. A mismatch is no error: it is in the
/// [`Verification`].
pub fn verify(
    original: &Path,
    pruned: &Path,
    against: Against<'_>,
    progress: &dyn Fn(u64, u64),
) -> Result<Verification> {
    let (original, pruned) = (Checkpoint::open(original)?, Checkpoint::open(pruned)?);
    let own = match against {
        Against::Own => pruned.metadata(Recipe::METADATA_KEY)?.map(|text| asked::own(&text)).transpose()?,
        Against::Recipe(_) => None,
    };
    let recipe = if let Against::Recipe(recipe) = against { Some(recipe) } else { own.as_ref() };
    let files = matches!(against, Against::Recipe(_));
    let mut asked = recipe.map(|recipe| Asked::new(recipe, original.tensors(), files)).transpose()?;
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
                let asked = asked.as_mut().map(|asked| (asked, index));
                global.add(scan::tensor(&pair, info, asked, &mut found)?);
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
    if let Some(asked) = &asked {
        asked.finish(&mut found);
        (found.recipe, found.unchecked) = (Some(asked.recipe.to_toml()), asked.unknown_scores());
    }
    drop(asked);
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
