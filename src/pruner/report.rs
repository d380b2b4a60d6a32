//! What a run did: the contents of `report.json`. Later versions only add fields.

use serde::Serialize;

use super::{Rule, Scope, Score, Target, Times};

/// The whole report of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The version of lopper that ran.
    pub lopper: &'static str,
    /// The recipe, in TOML: [`Recipe::from_toml`](super::Recipe::from_toml) reads it.
    pub recipe: String,
    /// Its rules, in order.
    pub rules: Vec<RuleReport>,
    /// The adapter; none for a dry run.
    pub adapter: Option<AdapterReport>,
    /// One entry per tensor, in file order.
    pub tensors: Vec<TensorReport>,
    /// Sums over the pruned tensors.
    pub totals: Totals,
    /// Where the time went.
    pub seconds: Seconds,
    /// The share of the time before the commit in which each stage had nothing to do, from 0 to 1: what waits least holds
    /// the others up.
    pub waiting: Times,
    /// Bytes read from the input, second passes included.
    pub bytes_read: u64,
    /// Bytes written to the output.
    pub bytes_written: u64,
    /// Failures of the GPU after which the run went on, and how.
    pub retries: Vec<String>,
}

/// A rule, as the report spells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleReport {
    /// `tensor`, `row`, `global` or `group`.
    pub scope: &'static str,
    /// Weights of a group.
    pub of: Option<u32>,
    /// The sparsity asked for, if one was.
    pub sparsity: Option<f64>,
    /// The threshold asked for, if one was; infinity is `null`.
    pub threshold: Option<f64>,
    /// How many to keep, if that was asked.
    pub keep: Option<u64>,
    /// `weight`, `kernel`, `row`, `column`, or a block such as `4x4`.
    pub unit: String,
    /// How the scores of a unit's weights become one: `l1`, `l2`, `linf` or `mean`. Means nothing to single weights.
    pub norm: &'static str,
    /// `magnitude`, `random`, `wanda` or `file`.
    pub score: &'static str,
    /// The file that the score reads, if it reads one.
    pub scores: Option<String>,
    /// Whether scores of a file may be negative.
    pub signed: bool,
    /// The seed of random scores.
    pub seed: Option<u64>,
    /// `out-in` or `in-out`.
    pub layout: &'static str,
    /// Whose counts: `lopper`, `torch`, `tfmot`, `wanda`, `wanda-magnitude` or `llm-compressor`.
    pub compat: &'static str,
    /// `--include`.
    pub include: Vec<String>,
    /// `--exclude`.
    pub exclude: Vec<String>,
    /// `--all`.
    pub all: bool,
    /// `--sparsity-for`, in order.
    pub sparsity_for: Vec<(String, f64)>,
}

/// The adapter, as wgpu names it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdapterReport {
    /// Its name.
    pub name: String,
    /// `vulkan`, `gl`, `metal`, `dx12`.
    pub backend: String,
    /// `DiscreteGpu`, `IntegratedGpu`, `Cpu` and so on.
    pub kind: String,
    /// Driver and version.
    pub driver: String,
}

/// What happens to a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is pruned.
    Prune,
    /// It is copied byte for byte.
    Copy,
}

/// One tensor. Counts are none for a copied tensor, and for a tensor that a dry run has not looked into.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorReport {
    /// Its name.
    pub name: String,
    /// Its element type, by its safetensors name.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Elements in all.
    pub weights: u64,
    /// ±0 before.
    pub zeros_before: Option<u64>,
    /// ±0 after.
    pub zeros: Option<u64>,
    /// `zeros / weights`.
    pub sparsity: Option<f64>,
    /// The largest magnitude that went; none where nothing went, and for scope `row`, where each row has its own.
    pub cut: Option<f64>,
    /// Weights whose magnitude equals the cut; for scope `row`, summed over the rows.
    pub ties: Option<u64>,
    /// Those of them that went.
    pub ties_pruned: Option<u64>,
    /// Pruned or copied.
    pub action: Action,
    /// Its rule's place in the report's `rules`, from 0 on; none for a tensor that is copied.
    pub rule: Option<usize>,
    /// Why.
    pub reason: String,
}

/// Sums over the pruned tensors.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Totals {
    /// Weights.
    pub weights: u64,
    /// ±0 after.
    pub zeros: u64,
    /// `zeros / weights`; 0 where nothing was pruned.
    pub sparsity: f64,
}

/// Seconds in which each [`Stage`](super::Stage) was busy, on whichever threads; what ran into a failure and went on
/// included. Stages overlap, so they add up to more than `total`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Seconds {
    /// Each stage.
    #[serde(flatten)]
    pub stages: Times,
    /// Syncing and renaming.
    pub commit: f64,
    /// The whole run, by the clock on the wall.
    pub total: f64,
}

impl From<Times> for Seconds {
    fn from(stages: Times) -> Self {
        Self { stages, ..Self::default() }
    }
}

impl From<&Rule> for RuleReport {
    fn from(rule: &Rule) -> Self {
        let of = |pick: fn(Target) -> Option<f64>| pick(rule.target);
        Self {
            scope: rule.scope.name(),
            sparsity: of(|t| if let Target::Sparsity(s) = t { Some(s) } else { None }),
            threshold: of(|t| if let Target::Threshold(t) = t { Some(t) } else { None }),
            keep: if let Target::Keep(n) = rule.target { Some(n) } else { None },
            of: if let Scope::Group(of) = rule.scope { Some(of) } else { None },
            unit: rule.unit.to_string(),
            norm: rule.norm.name(),
            score: rule.score.name(),
            scores: rule.score.file().map(|file| file.to_string_lossy().into_owned()),
            signed: matches!(rule.score, Score::File { signed: true, .. }),
            seed: if let Score::Random { seed } = rule.score { Some(seed) } else { None },
            layout: rule.layout.name(),
            compat: rule.compat.name(),
            include: rule.selection.include.clone(),
            exclude: rule.selection.exclude.clone(),
            all: rule.selection.all,
            sparsity_for: rule.selection.sparsity_for.clone(),
        }
    }
}

impl Totals {
    /// Sums the pruned tensors.
    pub fn of(tensors: &[TensorReport]) -> Self {
        let pruned = tensors.iter().filter(|t| t.action == Action::Prune);
        let (weights, zeros) = pruned.fold((0, 0), |(w, z), t| (w + t.weights, z + t.zeros.unwrap_or(0)));
        Self { weights, zeros, sparsity: if weights == 0 { 0.0 } else { zeros as f64 / weights as f64 } }
    }
}
