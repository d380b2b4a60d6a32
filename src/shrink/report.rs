//! What was done, as data.

use serde::Serialize;

use super::Couplings;
use super::config::{self, Sizes};
use super::plan::Plan;
use crate::checkpoint::{Checkpoint, TensorInfo};

/// What came of a run. Later versions only add fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The version of lopper.
    pub lopper: &'static str,
    /// `neuron`, `head` or `layer`.
    pub unit: &'static str,
    /// How many of these are in a unit of a coupling: query heads that share a key and a value head, else 1.
    pub per_unit: u64,
    /// Who said what hangs together.
    pub couplings_by: String,
    /// The couplings, in the order of the model.
    pub couplings: Vec<CouplingReport>,
    /// Tensors that are other than they were, or gone.
    pub tensors: Vec<TensorReport>,
    /// The tensors that take units, where biases were to make up for those that went.
    pub compensated: Vec<ConsumerReport>,
    /// Bytes of all tensors, before and after.
    pub tensor_bytes: [u64; 2],
    /// Bytes of all files that were written.
    pub bytes_written: u64,
    /// Seconds that each pass took.
    pub seconds: Seconds,
    /// What to know of the output before it is used, in sentences.
    pub notes: Vec<String>,
}

/// A coupling.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CouplingReport {
    /// What it is called.
    pub name: String,
    /// How many units it had.
    pub units: u64,
    /// How many are left.
    pub kept: u64,
    /// Those that went, from 0 on, in order. Of attention heads, the groups that share a key and a value head.
    pub removed: Vec<u64>,
    /// The highest score that went; none where nothing did, or it is NaN.
    pub highest_removed: Option<f64>,
    /// The lowest score that stayed; none where it is NaN.
    pub lowest_kept: Option<f64>,
}

/// A tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TensorReport {
    /// What it was called; none where it is new.
    pub from: Option<String>,
    /// What it is called now; none where it is gone.
    pub name: Option<String>,
    /// Its shape now, or what it was where it is gone.
    pub shape: Vec<u64>,
}

/// A tensor that takes units, and what is to be expected of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ConsumerReport {
    /// The tensor.
    pub tensor: String,
    /// The expected relative error of what it gives with the new bias: the root of the mean square of what is missing, as a share
    /// of that of `W x`, for inputs that do not vary together.
    pub error: f64,
    /// The same without.
    pub error_uncompensated: f64,
}

/// What to know of an output in which these units stay.
pub(super) fn notes(couplings: &Couplings, kept: &[Vec<u64>], checkpoint: &Checkpoint) -> Vec<String> {
    let mut notes = Vec::new();
    let went = couplings.list.iter().zip(kept).any(|(coupling, kept)| (kept.len() as u64) < coupling.units);
    if went && couplings.sizes == Sizes::PrunedHeads {
        notes.push(
            "config.json says which heads went under `pruned_heads`, which only transformers below 5 reads".into(),
        );
    }
    let beside = checkpoint.file().map(|file| file.with_file_name(config::NAME)).filter(|beside| beside.exists());
    if let Some(beside) = beside.filter(|_| went) {
        notes.push(format!(
            "{} is neither read nor copied, since one file was given: what it says of sizes is not what the output has. Give the \
             folder, and it comes along, changed",
            beside.display()
        ));
    }
    notes
}

/// Seconds of each pass.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Seconds {
    /// Of reading for scores.
    pub score: f64,
    /// Of reading for biases.
    pub compensate: f64,
    /// Of writing what stays.
    pub write: f64,
    /// Of syncing it and giving it its name.
    pub commit: f64,
    /// Of all.
    pub total: f64,
}

impl Seconds {
    /// Between five points in time: the start, and the ends of the passes.
    pub(super) fn between(marks: &[f64]) -> Self {
        let pass = |n: usize| marks.get(n + 1).zip(marks.get(n)).map_or(0.0, |(end, start)| end - start);
        Self {
            score: pass(0),
            compensate: pass(1),
            write: pass(2),
            commit: pass(3),
            total: marks.last().copied().unwrap_or(0.0),
        }
    }
}

/// What is noted in the metadata of what was written.
#[derive(Serialize)]
struct Note<'a> {
    lopper: &'static str,
    unit: &'static str,
    kept: Vec<(&'a str, u64, u64)>,
}

/// How many units of each coupling were kept, as JSON.
pub(super) fn noted(couplings: &Couplings, kept: &[Vec<u64>]) -> String {
    let kept = couplings
        .list
        .iter()
        .zip(kept)
        .map(|(coupling, kept)| (coupling.name.as_str(), kept.len() as u64, coupling.units));
    let note = Note { lopper: env!("CARGO_PKG_VERSION"), unit: couplings.kind.name(), kept: kept.collect() };
    serde_json::to_string(&note).unwrap_or_default()
}

/// What became of each coupling.
pub(super) fn of_couplings(couplings: &Couplings, kept: &[Vec<u64>], scores: &[Vec<f64>]) -> Vec<CouplingReport> {
    let all = couplings.list.iter().zip(kept).zip(scores);
    all.map(|((coupling, kept), scores)| {
        let removed: Vec<u64> = (0..coupling.units).filter(|unit| kept.binary_search(unit).is_err()).collect();
        let of = |unit: &u64| Some(scores[*unit as usize]).filter(|score| !score.is_nan());
        CouplingReport {
            name: coupling.name.clone(),
            units: coupling.units,
            kept: kept.len() as u64,
            highest_removed: removed.iter().filter_map(of).max_by(f64::total_cmp),
            lowest_kept: kept.iter().filter_map(of).min_by(f64::total_cmp),
            removed,
        }
    })
    .collect()
}

/// What became of tensors that are not what they were.
pub(super) fn of_tensors(infos: &[TensorInfo], plan: &Plan) -> Vec<TensorReport> {
    let mut now: Vec<Option<&TensorInfo>> = vec![None; infos.len()];
    let mut new = Vec::new();
    for tensor in &plan.tensors {
        match tensor.from {
            Some(from) => now[from] = Some(&tensor.info),
            None => new.push(TensorReport {
                from: None,
                name: Some(tensor.info.name.clone()),
                shape: tensor.info.shape.clone(),
            }),
        }
    }
    let changed = infos
        .iter()
        .zip(now)
        .filter(|(was, now)| now.is_none_or(|now| (&now.name, &now.shape) != (&was.name, &was.shape)));
    let changed = changed.map(|(was, now)| TensorReport {
        from: Some(was.name.clone()),
        name: now.map(|now| now.name.clone()),
        shape: now.unwrap_or(was).shape.clone(),
    });
    changed.chain(new).collect()
}
