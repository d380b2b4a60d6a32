//! What a unit is worth: a norm over all tensors that it lies in, or a number from a file.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Coupling, Couplings, Place, Problem, norms};
use crate::checkpoint::{Checkpoint, TensorInfo, quoted};
use crate::shared::OnBytes;
use crate::{Error, Norm, Result};

/// What decides which units go: those of the lowest score, and of equal ones those of the lowest index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Score {
    /// The norms of what a unit has in each tensor of two dimensions or more, combined. Biases do not count.
    Norm {
        /// The norm within a tensor.
        norm: Norm,
        /// How those of several tensors become one.
        combine: Combine,
        /// Which tensors.
        side: Side,
    },
    /// Numbers from a safetensors file: a vector for each coupling, under its name or that of a tensor that makes its units,
    /// with or without `.weight`. Such as the means of `lopper activations`. A vector with a number for each row is turned into
    /// one for each unit, and several are combined into one, as norms are.
    File {
        /// The file.
        path: PathBuf,
        /// The norm within a vector.
        norm: Norm,
        /// How several become one.
        combine: Combine,
    },
}

impl Score {
    /// The file that it reads, if it reads one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Score::Norm { .. } => None,
            Score::File { path, .. } => Some(path),
        }
    }
}

impl Default for Score {
    fn default() -> Self {
        Score::Norm { norm: Norm::default(), combine: Combine::default(), side: Side::default() }
    }
}

/// How the scores that a unit has in several tensors become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Combine {
    /// The square root of the sum of squares: with L2, the norm over all of them.
    #[default]
    Squares,
    /// The sum.
    Sum,
    /// The largest.
    Max,
    /// The product: a unit that is nothing in one tensor is nothing at all.
    Product,
}

impl Combine {
    /// All of them.
    pub const ALL: [Combine; 4] = [Combine::Squares, Combine::Sum, Combine::Max, Combine::Product];

    /// `squares`, `sum`, `max` or `product`.
    pub const fn name(self) -> &'static str {
        match self {
            Combine::Squares => "squares",
            Combine::Sum => "sum",
            Combine::Max => "max",
            Combine::Product => "product",
        }
    }

    /// One number of several.
    pub(super) fn of(self, scores: impl Iterator<Item = f64>) -> f64 {
        match self {
            Combine::Squares => scores.map(|score| score * score).sum::<f64>().sqrt(),
            Combine::Sum => scores.sum(),
            Combine::Max => scores.fold(0.0, larger),
            Combine::Product => scores.product(),
        }
    }
}

/// Which tensors of a coupling are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    /// All of them.
    #[default]
    Both,
    /// Those that make the units: norms of rows.
    Makes,
    /// Those that take them: norms of columns.
    Takes,
}

impl Side {
    /// All of them.
    pub const ALL: [Side; 3] = [Side::Both, Side::Makes, Side::Takes];

    /// `both`, `makes` or `takes`.
    pub const fn name(self) -> &'static str {
        match self {
            Side::Both => "both",
            Side::Makes => "makes",
            Side::Takes => "takes",
        }
    }

    pub(super) fn has(self, consumes: bool) -> bool {
        match self {
            Side::Both => true,
            Side::Makes => !consumes,
            Side::Takes => consumes,
        }
    }
}

/// The larger one; NaN is larger than all else.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

/// Tells that so many more bytes are done.
pub(super) fn told(on_bytes: OnBytes<'_>, done: &AtomicU64, bytes: u64, all: u64) -> Result<()> {
    match on_bytes(done.fetch_add(bytes, Ordering::Relaxed) + bytes, all) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}

/// A score for each unit of each coupling.
///
/// # Errors
/// Those of reading; [`Problem::File`] where the file has not what is needed; [`Error::Cancelled`](crate::Error::Cancelled).
pub(super) fn scores(
    checkpoint: &Checkpoint,
    couplings: &Couplings,
    score: &Score,
    on_bytes: OnBytes<'_>,
) -> Result<Vec<Vec<f64>>> {
    match score {
        Score::Norm { norm, combine, side } => norms::scores(checkpoint, couplings, (*norm, *combine, *side), on_bytes),
        Score::File { path, norm, combine } => {
            let file = Checkpoint::open(path)?;
            let read = |coupling| from_file(&file, path, checkpoint.tensors(), coupling, (*norm, *combine));
            couplings.list.iter().map(read).collect()
        }
    }
}

fn from_file(
    file: &Checkpoint,
    path: &Path,
    tensors: &[TensorInfo],
    coupling: &Coupling,
    (norm, combine): (Norm, Combine),
) -> Result<Vec<f64>> {
    let bad = |problem: String| Problem::File { path: path.display().to_string(), problem };
    let (mut vectors, mut seen) = (Vec::new(), HashSet::new());
    let rows = coupling.members.iter().filter(|member| !member.consumes);
    let names = rows.filter_map(|member| match member.place {
        Place::Rows(group) | Place::Columns(group) => Some((tensors[member.tensor].name.as_str(), group)),
        Place::Whole(_) => None,
    });
    let mut named: Vec<_> = names.filter(|(name, _)| place_of(file, name).is_some()).collect();
    if named.is_empty() {
        // A coupling may be called as its first tensor is, whose units may have several rows.
        named.push((&coupling.name, 1));
    }
    for (name, group) in named {
        // Two names may be those of one vector: `a` and `a.weight`.
        let Some(place) = place_of(file, name).filter(|place| seen.insert(*place)) else { continue };
        let rows = coupling.units.checked_mul(group);
        let found = file.tensors()[place].shape.iter().product::<u64>();
        if found != coupling.units && Some(found) != rows {
            let (name, units) = (quoted(name), coupling.units);
            return Err(bad(format!("tensor {name} has {found} numbers, and there are {units} units")).into());
        }
        let values = vector(file, path, place)?;
        vectors.push(match found == coupling.units {
            true => values,
            false => values.chunks(group as usize).map(|unit| of_unit(norm, unit)).collect(),
        });
    }
    match &vectors[..] {
        [] => Err(bad(format!("it has no scores for {}", quoted(&coupling.name))).into()),
        [one] => Ok(one.clone()),
        several => Ok((0..coupling.units as usize).map(|unit| combine.of(several.iter().map(|v| v[unit]))).collect()),
    }
}

fn of_unit(norm: Norm, values: &[f64]) -> f64 {
    let magnitudes = values.iter().map(|value| value.abs());
    match norm {
        Norm::L1 => magnitudes.sum(),
        Norm::L2 => magnitudes.map(|value| value * value).sum::<f64>().sqrt(),
        Norm::Linf => magnitudes.fold(0.0, larger),
        Norm::Mean => magnitudes.sum::<f64>() / values.len() as f64,
    }
}

/// The number of a file's tensor under this name, with or without `.weight`; none where there is no such tensor.
pub(super) fn place_of(file: &Checkpoint, name: &str) -> Option<usize> {
    let bare = name.strip_suffix(".weight").unwrap_or(name);
    let place = |name: &str| file.tensors().iter().position(|info| info.name == name);
    place(name).or_else(|| place(bare))
}

/// All numbers of a file's tensor, of which the caller has made sure that there are as many as there may be.
///
/// # Errors
/// Those of reading; [`Problem::File`] where it holds no numbers, or one that is not finite.
pub(super) fn vector(file: &Checkpoint, path: &Path, place: usize) -> Result<Vec<f64>> {
    let info = &file.tensors()[place];
    let bad = |problem: String| {
        let problem = format!("tensor {}: {problem}", quoted(&info.name));
        Problem::File { path: path.display().to_string(), problem }
    };
    let dtype = info.number().ok_or_else(|| bad(format!("numbers are F32, F16 or BF16, not {}", info.dtype)))?;
    let mut bytes = vec![0; info.bytes() as usize];
    file.read_at(place, 0, &mut bytes)?;
    let values: Vec<f64> = (0..bytes.len() / dtype.size()).map(|i| dtype.value(dtype.bits(&bytes, i)).into()).collect();
    match values.iter().position(|value| !value.is_finite()) {
        // Of both zeros one.
        None => Ok(values.into_iter().map(|value| value + 0.0).collect()),
        Some(at) => Err(bad(format!("number {at} is {}: numbers must be finite", values[at])).into()),
    }
}
