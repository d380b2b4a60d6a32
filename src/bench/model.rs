//! The linear layers of a model: each at its own shape, with its own weights, and what they take together.

use std::collections::BTreeMap;

use super::Asked;
use super::results::{Case, Results, Total};
use crate::checkpoint::{Checkpoint, quoted};
use crate::gpu::Gpu;
use crate::{Dtype, Error, Result, Shape};

/// Matrices of a checkpoint that a model multiplies with, each once for every vector.
pub struct Model<'a> {
    checkpoint: &'a Checkpoint,
    pub(super) layers: Vec<Layer<'a>>,
}

/// One of them.
pub(super) struct Layer<'a> {
    tensor: usize,
    pub name: &'a str,
    pub shape: Shape,
    pub dtype: Dtype,
}

impl Layer<'_> {
    /// Layers of one kind take about as long as each other.
    fn kind(&self) -> (Shape, Dtype) {
        (self.shape, self.dtype)
    }

    /// Why it cannot be measured on a device, if so.
    pub fn unfit(&self, gpu: &Gpu, asked: &Asked) -> Option<String> {
        asked.check_shape(gpu, self.shape, self.dtype).err().map(|error| error.to_string())
    }
}

impl<'a> Model<'a> {
    /// The model whose linear layers are these tensors of a checkpoint, `[outputs, inputs]`, by their places in
    /// [`Checkpoint::tensors`].
    ///
    /// # Errors
    /// [`Error::View`] where there is none, or one is no matrix, has no weights, or is of a type that there are no products of.
    pub fn new(checkpoint: &'a Checkpoint, tensors: &[usize]) -> Result<Self> {
        let bad = |problem: String| Error::View { what: "benchmark", problem };
        let layer = |&tensor: &usize| {
            let info = checkpoint.tensors().get(tensor).ok_or_else(|| {
                bad(format!("there is no tensor {tensor}, the checkpoint has {}", checkpoint.tensors().len()))
            })?;
            let name = quoted(&info.name);
            let &[rows, cols] = &info.shape[..] else {
                return Err(bad(format!("{name} has {} dimensions, a linear layer has 2", info.shape.len())));
            };
            let dtype = info.number();
            let dtype = dtype.ok_or_else(|| bad(format!("{name} is {}: F32, F16 and BF16 will do", info.dtype)))?;
            if rows == 0 || cols == 0 {
                return Err(bad(format!("{name} is {rows} x {cols}: it has no weights")));
            }
            Ok(Layer { tensor, name: &info.name, shape: Shape::new(rows, cols), dtype })
        };
        let layers = tensors.iter().map(layer).collect::<Result<Vec<_>>>()?;
        if layers.is_empty() {
            return Err(bad("the model has no linear layers: no matrix of F32, F16 or BF16 is selected".into()));
        }
        Ok(Self { checkpoint, layers })
    }

    /// Its layers: one of each kind, then the others, so that of each kind there is something when the time is up.
    pub(super) fn order(&self) -> Vec<&Layer<'a>> {
        let (mut kinds, mut others) = (Vec::new(), Vec::new());
        for layer in &self.layers {
            let new = !kinds.iter().any(|known: &&Layer<'_>| known.kind() == layer.kind());
            if new { kinds.push(layer) } else { others.push(layer) }
        }
        kinds.append(&mut others);
        kinds
    }

    /// The weights of a layer, row by row.
    pub(super) fn read(&self, layer: &Layer<'_>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.checkpoint.tensors()[layer.tensor].bytes() as usize];
        self.checkpoint.read_at(layer.tensor, 0, &mut bytes)?;
        Ok(bytes)
    }
}

/// What a layer takes in one form.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    bytes: u64,
    measured: bool,
}

impl Results {
    /// Adds up the layers, for each sparsity, batch and form. A layer that was not measured is taken to be like that of its kind
    /// that is nearest to it in sparsity; without one there is no total.
    pub(super) fn add_up(&mut self, model: &Model<'_>) {
        // Sparsities as they were asked, by their bits: they are the same numbers.
        let mut rounds: BTreeMap<(u64, u32), Vec<&Case>> = BTreeMap::new();
        for case in &self.cases {
            rounds.entry((case.asked.unwrap_or(-1.0).to_bits(), case.batch)).or_default().push(case);
        }
        let mut totals = Vec::new();
        for cases in rounds.values() {
            totals.extend(totals_of(&model.layers, cases));
        }
        totals.sort_by(|a, b| a.batch.cmp(&b.batch).then(a.sparsity.total_cmp(&b.sparsity)));
        self.totals = totals;
    }
}

/// The totals of one sparsity and batch.
fn totals_of(layers: &[Layer<'_>], cases: &[&Case]) -> Vec<Total> {
    let mut formats: Vec<&str> = vec!["dense"];
    for case in cases.iter().filter(|case| !case.is_dense()) {
        if !formats.contains(&&*case.format) {
            formats.push(&case.format);
        }
    }
    let sparsity_of = |layer: &Layer<'_>| {
        let own = cases.iter().find(|case| case.layer.as_deref() == Some(layer.name));
        own.map(|case| case.sparsity)
    };
    let known: Vec<f64> = cases.iter().map(|case| case.sparsity).collect();
    let typical = known.iter().sum::<f64>() / known.len().max(1) as f64;
    let cost = |layer: &Layer<'_>, format: &str| {
        let sparsity = sparsity_of(layer).unwrap_or(typical);
        let fits = |case: &&&Case| {
            let alike = (case.rows, case.cols) == (layer.shape.rows, layer.shape.cols);
            alike
                && case.dtype == layer.dtype.to_string()
                && if format == "dense" { case.is_dense() } else { case.format == format }
        };
        let own = |case: &Case| case.layer.as_deref() == Some(layer.name);
        // Its own first, then the nearest, then the fastest: dense is the faster of two.
        let rank = |case: &Case| (!own(case), (case.sparsity - sparsity).abs(), case.time.seconds);
        let best = cases.iter().filter(fits).min_by(|a, b| {
            let ((a_other, a_far, a_time), (b_other, b_far, b_time)) = (rank(a), rank(b));
            a_other.cmp(&b_other).then(a_far.total_cmp(&b_far)).then(a_time.total_cmp(&b_time))
        })?;
        Some(Cost { seconds: best.time.seconds, bytes: best.matrix_bytes, measured: own(best) })
    };
    let weights: u64 = layers.iter().map(|layer| layer.shape.weights()).sum();
    let gone: f64 =
        layers.iter().map(|layer| sparsity_of(layer).unwrap_or(typical) * layer.shape.weights() as f64).sum();
    let Some(first) = cases.first() else { return Vec::new() };
    let total = |format: &str, costs: Vec<Cost>, dense: f64| {
        let seconds = costs.iter().map(|cost| cost.seconds).sum();
        Total {
            asked: first.asked,
            sparsity: gone / weights as f64,
            batch: first.batch,
            format: format.into(),
            seconds,
            bytes: costs.iter().map(|cost| cost.bytes).sum(),
            speedup: dense / seconds,
            layers: layers.len(),
            measured: costs.iter().filter(|cost| cost.measured).count(),
        }
    };
    let all = |format: &str| layers.iter().map(|layer| cost(layer, format)).collect::<Option<Vec<Cost>>>();
    let Some(dense) = all("dense") else { return Vec::new() };
    let seconds: f64 = dense.iter().map(|cost| cost.seconds).sum();
    let fastest = layers.iter().map(|layer| {
        let costs = formats.iter().filter_map(|format| cost(layer, format));
        costs.min_by(|a, b| a.seconds.total_cmp(&b.seconds))
    });
    let mut totals = vec![total("dense", dense, seconds)];
    totals.extend(formats[1..].iter().filter_map(|format| Some(total(format, all(format)?, seconds))));
    totals.extend(fastest.collect::<Option<Vec<Cost>>>().map(|costs| total(FASTEST, costs, seconds)));
    totals
}

/// What a total is called in which every layer is kept as it is fastest.
pub const FASTEST: &str = "fastest of each";

#[cfg(test)]
mod tests {
    use super::super::results::Moment;
    use super::*;

    fn layer(name: &str, rows: u64) -> Layer<'_> {
        Layer { tensor: 0, name, shape: Shape::new(rows, 8), dtype: Dtype::F16 }
    }

    fn case(layer: &str, rows: u64, format: &str, sparsity: f64, seconds: f64) -> Case {
        Case {
            layer: Some(layer.into()),
            asked: None,
            rows,
            cols: 8,
            dtype: "F16".into(),
            pattern: "as given".into(),
            sparsity,
            batch: 1,
            format: format.into(),
            time: Moment { seconds, spread: 0.0, steady: true, rounds: 5 },
            bytes: 0,
            matrix_bytes: (100.0 * seconds) as u64,
            memory: 1.0,
            roof: "read".into(),
            read: 1e9,
            of_roof: 1.0,
            speedup: 1.0,
            error: 0.0,
        }
    }

    #[test]
    fn layers_are_added_up_and_what_was_not_measured_is_like_its_nearest_kin() {
        let layers = [layer("a", 8), layer("b", 8), layer("c", 4)];
        let cases = [
            case("a", 8, "dense", 0.5, 2.0),
            case("a", 8, "dense, by vector", 0.5, 1.5),
            case("a", 8, "CSR", 0.5, 1.0),
            case("c", 4, "dense", 0.9, 1.0),
            case("c", 4, "CSR", 0.9, 3.0),
        ];
        let totals = totals_of(&layers, &cases.iter().collect::<Vec<_>>());
        let said: Vec<_> = totals.iter().map(|t| (&*t.format, t.seconds, t.speedup, t.measured, t.bytes)).collect();
        let want = [("dense", 4.0, 1.0, 2, 400), ("CSR", 5.0, 0.8, 2, 500), (FASTEST, 3.0, 4.0 / 3.0, 2, 300)];
        assert_eq!(said, want);
        // b is as sparse as those that were measured are on average: 0.7 of both of them.
        let typical = (0.5 + 0.5 + 0.5 + 0.9 + 0.9) / 5.0;
        let sparsity = (0.5 * 64.0 + typical * 64.0 + 0.9 * 32.0) / 160.0;
        assert!((totals[0].sparsity - sparsity).abs() < 1e-12 && totals.iter().all(|total| total.layers == 3));
        // A kind of which nothing is known.
        let unknown = [layer("a", 8), layer("d", 2)];
        assert!(totals_of(&unknown, &cases.iter().collect::<Vec<_>>()).is_empty());
    }
}
