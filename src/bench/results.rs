//! What was found.

use serde::{Deserialize, Serialize};

use super::clock::moment;
use crate::gpu::{AdapterInfo, Gpu, Tuning};

/// Medians whose quartiles lie further apart than this share of them are not steady.
pub const STEADY: f64 = 0.05;

/// The results of a run. Later versions only add fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Results {
    /// The version of lopper that ran.
    pub lopper: String,
    /// On which adapter.
    pub adapter: AdapterInfo,
    /// The kernels' knobs; none in results of versions that did not say.
    #[serde(default)]
    pub tuning: Option<Tuning>,
    /// Whether they are others than those for its class of adapter.
    #[serde(default)]
    pub tuned: bool,
    /// Which clock: `timestamps` of the GPU, or the one on the `wall` around a submission.
    pub clock: String,
    /// Why, in words.
    pub clock_why: String,
    /// The adapter's roofs.
    pub roofs: Roofs,
    /// Every case that was timed.
    pub cases: Vec<Case>,
    /// Where each format begins to pay.
    pub break_even: Vec<BreakEven>,
    /// What the layers of a model take together; empty without one.
    #[serde(default)]
    pub totals: Vec<Total>,
    /// What was not timed, and why.
    pub skipped: Vec<Skip>,
    /// Whether it was stopped.
    pub stopped: bool,
    /// Seconds in all.
    pub seconds: f64,
    /// Seconds in which the GPU ran what is measured.
    pub measuring: f64,
}

/// A time: a median, and how far apart others were.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// The median, in seconds.
    pub seconds: f64,
    /// The distance of the quartiles as a share of the median.
    pub spread: f64,
    /// Whether that is at most [`STEADY`], and so is the distance of the read roof beside it from the run's median.
    pub steady: bool,
    /// How many times it was measured.
    pub rounds: usize,
}

/// What the adapter does at most, with kernels that do nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Roofs {
    /// Bytes read per second.
    pub read: f64,
    /// Bytes read and written per second, of a copy.
    pub copy: f64,
    /// Floating-point operations per second, two for each multiply-add.
    pub fma: f64,
    /// The least steady of the three.
    pub spread: f64,
}

/// A product that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The layer of a model whose weights these are.
    #[serde(default)]
    pub layer: Option<String>,
    /// The share of the weights that was asked to be gone; none where they are as they were given.
    #[serde(default)]
    pub asked: Option<f64>,
    /// Outputs.
    pub rows: u64,
    /// Inputs.
    pub cols: u64,
    /// Element type of the weights.
    pub dtype: String,
    /// Which weights are gone.
    pub pattern: String,
    /// The share of them that is, exactly.
    pub sparsity: f64,
    /// Vectors at once.
    pub batch: u32,
    /// `dense`; `dense, by vector`, which is the same with one vector after the other; or how it is stored.
    pub format: String,
    /// Time of one product.
    pub time: Moment,
    /// Bytes of matrix, inputs and outputs: what has to be moved at least.
    pub bytes: u64,
    /// Bytes of the matrix.
    pub matrix_bytes: u64,
    /// Those of the dense matrix over them.
    pub memory: f64,
    /// `read` or `fma`: the roof that would be reached first.
    pub roof: String,
    /// What that roof allows as a share of what was measured. Reading: as fast as it was beside this product.
    pub of_roof: f64,
    /// Bytes read per second, by the kernel of the read roof timed in turn with this product; 0 in results of versions that did
    /// not.
    #[serde(default)]
    pub read: f64,
    /// How many times as fast as the faster of our dense products, by the median over rounds in which both were timed.
    pub speedup: f64,
    /// ‖y − y′‖ / ‖y′‖ against the product in f64.
    pub error: f64,
}

/// From which sparsity on a format is faster than dense.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BreakEven {
    /// Outputs.
    pub rows: u64,
    /// Inputs.
    pub cols: u64,
    /// Vectors at once.
    pub batch: u32,
    /// How it is stored.
    pub format: String,
    /// The sparsity, between measured ones on a straight line; none where it never is faster.
    pub sparsity: Option<f64>,
    /// Whether it is faster already at the least sparsity that was measured.
    pub at_once: bool,
    /// The highest speed-up that was measured.
    pub best: f64,
}

/// What the layers of a model take, one after the other, each once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Total {
    /// The share of the weights that was asked to be gone; none where they are as they were given.
    pub asked: Option<f64>,
    /// The share of all weights that is.
    pub sparsity: f64,
    /// Vectors at once.
    pub batch: u32,
    /// `dense`: each layer by the faster of the dense products; how all are stored; or [`FASTEST`](super::FASTEST).
    pub format: String,
    /// Seconds: the sum of the layers' medians.
    pub seconds: f64,
    /// Bytes of the matrices.
    pub bytes: u64,
    /// How many times as fast as dense.
    pub speedup: f64,
    /// How many layers there are.
    pub layers: usize,
    /// How many of them were measured so; of the others it is taken what the one of their shape takes that is nearest in sparsity.
    pub measured: usize,
}

/// What was not timed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skip {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
    /// Whether its result was wrong.
    pub wrong: bool,
}

impl Case {
    /// Whether it is a product of the dense matrix.
    pub fn is_dense(&self) -> bool {
        self.format.starts_with("dense")
    }
}

impl Results {
    /// Those of a run that has measured the roofs.
    pub(super) fn new(gpu: &Gpu, clock: &str, clock_why: String, roofs: Roofs) -> Self {
        Self {
            lopper: env!("CARGO_PKG_VERSION").into(),
            adapter: gpu.info().clone(),
            tuning: Some(gpu.tuning()),
            tuned: gpu.tuning() != gpu.class_tuning(),
            clock: clock.into(),
            clock_why,
            roofs,
            cases: Vec::new(),
            break_even: Vec::new(),
            totals: Vec::new(),
            skipped: Vec::new(),
            stopped: false,
            seconds: 0.0,
            measuring: 0.0,
        }
    }

    /// Marks cases as not steady that were measured while the adapter was faster or slower than in most of the run.
    pub(super) fn mark_drift(&mut self) {
        let reads: Vec<f64> = self.cases.iter().map(|case| case.read).collect();
        let usual = moment(&reads).seconds;
        for case in &mut self.cases {
            case.time.steady &= (case.read / usual - 1.0).abs() <= STEADY;
        }
    }

    /// Finds where formats begin to pay, from the cases.
    pub(super) fn find_break_even(&mut self) {
        let mut found: Vec<BreakEven> = Vec::new();
        for case in self.cases.iter().filter(|case| !case.is_dense()) {
            let same = |other: &&Case| {
                (other.rows, other.cols, other.batch, &other.format) == (case.rows, case.cols, case.batch, &case.format)
            };
            let Case { rows, cols, batch, ref format, .. } = *case;
            if found.iter().any(|b| (b.rows, b.cols, b.batch, &b.format) == (rows, cols, batch, format)) {
                continue;
            }
            let mut curve: Vec<(f64, f64)> =
                self.cases.iter().filter(same).map(|case| (case.sparsity, case.speedup)).collect();
            curve.sort_by(|a, b| a.0.total_cmp(&b.0));
            let best = curve.iter().map(|point| point.1).fold(0.0, f64::max);
            let at_once = curve.first().is_some_and(|point| point.1 >= 1.0);
            found.push(BreakEven { rows, cols, batch, format: format.clone(), sparsity: even(&curve), at_once, best });
        }
        self.break_even = found;
    }
}

/// From which sparsity on the speed-up stays at 1 or above, between the points on a straight line.
fn even(curve: &[(f64, f64)]) -> Option<f64> {
    let last = curve.last().filter(|point| point.1 >= 1.0)?;
    let Some(below) = curve.iter().rposition(|point| point.1 < 1.0) else { return Some(curve[0].0) };
    let ((s, low), (t, high)) = (curve[below], *curve.get(below + 1).unwrap_or(last));
    Some(s + (t - s) * (1.0 - low) / (high - low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_timed_on_another_speed_is_marked() {
        let case = |read: f64, steady: bool| {
            let json = serde_json::json!({
                "rows": 1, "cols": 1, "dtype": "F16", "pattern": "random", "sparsity": 0.5, "batch": 1, "format": "CSR",
                "time": {"seconds": 1.0, "spread": 0.0, "steady": steady, "rounds": 5}, "bytes": 1, "matrix_bytes": 1,
                "memory": 1.0, "roof": "read", "of_roof": 1.0, "read": read, "speedup": 1.0, "error": 0.0
            });
            serde_json::from_value::<Case>(json).unwrap()
        };
        let json = serde_json::json!({
            "lopper": "", "adapter": {"index": null, "name": "", "backend": "", "kind": "", "driver": "", "limits": [],
                "features": [], "unfit": null}, "clock": "wall", "clock_why": "",
            "roofs": {"read": 1.0, "copy": 1.0, "fma": 1.0, "spread": 0.0}, "cases": [], "break_even": [],
            "skipped": [], "stopped": false, "seconds": 1.0, "measuring": 1.0
        });
        let mut results: Results = serde_json::from_value(json).unwrap();
        results.cases =
            [(10.0, true), (10.4, true), (10.6, true), (9.0, true), (10.0, false)].map(|(r, s)| case(r, s)).into();
        results.mark_drift();
        let steady: Vec<bool> = results.cases.iter().map(|case| case.time.steady).collect();
        assert_eq!(steady, [true, true, false, false, false], "4 and 6 and 10 % off the median, and one that spread");
    }

    #[test]
    fn a_format_breaks_even_where_it_stays_above() {
        assert_eq!(even(&[]), None);
        assert_eq!(even(&[(0.0, 0.5), (0.5, 0.9)]), None);
        assert_eq!(even(&[(0.0, 0.5), (0.5, 1.5)]), Some(0.25));
        assert_eq!(even(&[(0.5, 1.5), (0.9, 3.0)]), Some(0.5), "at once");
        assert_eq!(even(&[(0.0, 1.1), (0.5, 0.5), (0.7, 1.5)]), Some(0.6), "a win that does not last is none");
        assert_eq!(even(&[(0.0, 1.1), (0.5, 0.5)]), None);
    }
}
