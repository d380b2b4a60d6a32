//! What a recipe asks of each tensor, and the cuts that hold for several.

use super::super::plan::{Plan, PlannedTensor};
use super::super::scores::Scores;
use super::super::tasks::seed_of;
use super::super::{Recipe, Rule, Score};
use super::grid::Grid;
use super::judge::{Judge, Quota, quota};
use super::pool::{Asked as PoolAsked, At, Order, Pool, Wrong};
use super::rank::Ranks;
use super::{Mismatch, Verification};
use crate::checkpoint::{TensorInfo, quoted};
use crate::{Error, Result, Ties};

/// A recipe, and what it means for the tensors of the original.
pub(super) struct Asked<'a> {
    pub recipe: &'a Recipe,
    infos: &'a [TensorInfo],
    plan: Plan,
    /// Each rule's file; none where files are not known.
    scores: Option<Vec<Scores>>,
    cuts: Vec<Cut>,
}

/// The cut of a rule of scope `global`.
#[derive(Default)]
struct Cut {
    pool: Pool,
    /// Its tensors, each with the number of its first unit.
    tensors: Vec<(u64, usize)>,
    order: Option<Order>,
    /// Weights of a unit, at most.
    weights: u64,
}

impl<'a> Asked<'a> {
    /// `files` says whether the files that rules name are there to be opened.
    ///
    /// # Errors
    /// Those of [`Plan::new`] and of opening the files.
    pub fn new(recipe: &'a Recipe, infos: &'a [TensorInfo], files: bool) -> Result<Self> {
        let plan = Plan::new(recipe, infos)?;
        let scores = files.then(|| recipe.rules.iter().map(Scores::open).collect::<Result<_>>()).transpose()?;
        let cuts = recipe.rules.iter().map(|_| Cut::default()).collect();
        Ok(Self { recipe, infos, plan, scores, cuts })
    }

    /// Rules, by their numbers from 1 on, of which only counts are checked.
    pub fn unknown_scores(&self) -> Vec<String> {
        let named = |(r, rule): (usize, &Rule)| {
            let file = rule.score.file()?;
            Some(format!("rule {}: scores are in {}", r + 1, quoted(&file.to_string_lossy())))
        };
        if self.scores.is_some() {
            Vec::new()
        } else {
            self.recipe.rules.iter().enumerate().filter_map(named).collect()
        }
    }

    fn planned(&self, tensor: usize) -> (&PlannedTensor, Option<&'a Rule>) {
        let planned = &self.plan.tensors[tensor];
        (planned, planned.rule.map(|rule| &self.recipe.rules[rule]))
    }

    /// What judges tensor number `tensor`; none for one that is copied.
    pub fn judge(&self, tensor: usize) -> Result<Option<Judge<'_>>> {
        let (planned, Some(rule)) = self.planned(tensor) else { return Ok(None) };
        let (Some(dtype), Some(target), Some(units)) = (planned.dtype, planned.target, planned.units) else {
            return Ok(None);
        };
        let info = &self.infos[tensor];
        let grid = Grid::new(&info.shape, rule);
        let file = self.scores.as_ref().zip(planned.rule).map(|(scores, rule)| &scores[rule]);
        let found = match file {
            Some(file) => file.find(info, grid.unit_count(), grid.inputs())?.map(|(n, scoring)| (file, n, scoring)),
            None => None,
        };
        let seed = if let Score::Random { seed } = rule.score { seed_of(seed, &info.name) } else { 0 };
        let ranks = Ranks::new(dtype, (&rule.score, rule.norm), &grid, seed, found)?;
        Ok(Some(Judge::new(&info.name, dtype, grid, ranks, quota(rule, target, units))))
    }

    /// Takes what a judge has seen, of a tensor whose rule has one cut for several.
    pub fn add(&mut self, tensor: usize, seen: Global) {
        let Some(rule) = self.plan.tensors[tensor].rule else { return };
        let cut = &mut self.cuts[rule];
        let first = cut.pool.seen;
        cut.pool.add(&seen.pool, |at| At { unit: first + at.unit, ..at });
        cut.tensors.push((first, tensor));
        cut.order = Some(match (cut.order, seen.order) {
            (None | Some(Order::Exact), order) => order,
            (order, _) => order.unwrap_or(Order::Unknown),
        });
        cut.weights = cut.weights.max(seen.weights);
    }

    /// Judges the cuts over several tensors, when all have been added.
    pub fn finish(&self, found: &mut Verification) {
        for (number, (cut, rule)) in self.cuts.iter().zip(&self.recipe.rules).enumerate() {
            let (Some(order), Some((_, first))) = (cut.order, cut.tensors.first()) else { continue };
            let (Some(go), Ok(Some(judge))) = (rule.target.goes(cut.pool.seen), self.judge(*first)) else { continue };
            let asked = PoolAsked { go, ties: Ties::Exact, order };
            // Ranks are those of no tensor's own type here.
            let score =
                |rank| if rule.is_of_keys() { f64::from(f32::from_bits(rank as u32)) } else { f64::from_bits(rank) };
            let above = |a, b| judge.beyond(score(a), score(b), cut.weights);
            let place = format!("over all {} tensors of rule {}", cut.tensors.len(), number + 1);
            let name = |at: Option<At>| self.name(cut, at);
            let scored = |at: Option<At>| at.map_or(f64::NAN, |at| score(at.rank));
            match cut.pool.verdict(asked, above) {
                None => {}
                Some(Wrong::Count) => found.mismatch(|| judge.count(place, &cut.pool, asked)),
                Some(Wrong::Order) => found.mismatch(|| {
                    let ((tensor, pruned), (other, kept)) = (name(cut.pool.highest), name(cut.pool.lowest));
                    Mismatch::Order {
                        place,
                        pruned,
                        pruned_score: scored(cut.pool.highest),
                        kept: if other == tensor { kept } else { format!("{kept} of {}", quoted(&other)) },
                        kept_score: scored(cut.pool.lowest),
                        tensor,
                    }
                }),
            }
        }
    }

    /// The tensor in which a unit is, and the unit's name.
    fn name(&self, cut: &Cut, at: Option<At>) -> (String, String) {
        let Some(at) = at else { return (String::new(), String::new()) };
        let part = cut.tensors.partition_point(|(first, _)| *first <= at.unit);
        let Some((first, tensor)) = part.checked_sub(1).map(|part| cut.tensors[part]) else {
            return (String::new(), String::new());
        };
        let info = &self.infos[tensor];
        let unit = self.planned(tensor).1.map(|rule| Grid::new(&info.shape, rule).unit_name(at.unit - first));
        (info.name.clone(), unit.unwrap_or_default())
    }
}

/// What a judge has seen of a tensor whose rule has one cut for several.
pub(super) struct Global {
    pool: Pool,
    order: Order,
    weights: u64,
}

impl Judge<'_> {
    /// What it has seen, if its rule has one cut for several tensors.
    pub fn into_global(self) -> Option<Global> {
        let (order, weights) = (self.order(), self.most_weights());
        matches!(self.quota(), Quota::Global).then(|| Global { pool: self.into_pool(), order, weights })
    }
}

impl Rule {
    /// Whether what competes are the keys of weights.
    fn is_of_keys(&self) -> bool {
        self.unit == crate::Unit::Weight && self.score == Score::Magnitude
    }
}

/// A recipe that a checkpoint says it was pruned by.
pub(super) fn own(text: &str) -> Result<Recipe> {
    Recipe::from_toml(text).map_err(|error| {
        let key = Recipe::METADATA_KEY;
        Error::Rule(format!("the pruned checkpoint's metadata has a `{key}` that is none ({error}): give the recipe"))
    })
}
