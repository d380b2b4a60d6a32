//! What a run from file to file has done is kept in its output, for another run or another try to go on from.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::scores::Scores;
use super::{Plan, PlannedTensor, Recipe, RuleReport};
use crate::checkpoint::{self, Output, TensorInfo};
use crate::gpu::Gpu;
use crate::scheduler::{self, Budget, Done, Log, Past};
use crate::{Error, Result};

/// What a run does: its rules, and what they mean for each tensor. A rule that stands alone is spelt out, so that it can
/// be said how another one differs.
pub(super) fn work(recipe: &Recipe, plan: &Plan, tensors: &[TensorInfo]) -> Value {
    let mut text = String::new();
    for (planned, tensor) in plan.tensors.iter().zip(tensors) {
        let PlannedTensor { dtype, target, rule, .. } = planned;
        text.push_str(&format!("{:?} {dtype:?} {target:?} {rule:?}\n", tensor.name));
    }
    // Files of scores are part of what is done.
    recipe.rules.iter().for_each(|rule| text.push_str(&format!("{:?}\n", Scores::identity(rule))));
    let selection = checkpoint::digest(text.as_bytes());
    match &recipe.rules[..] {
        [rule] => json!({ "rule": RuleReport::from(rule), "selection": selection }),
        _ => json!({ "recipe": checkpoint::digest(recipe.to_toml().as_bytes()), "selection": selection }),
    }
}

/// What is done so far.
pub(super) struct Progress<'a> {
    output: &'a Output,
    past: Mutex<Past>,
}

impl<'a> Progress<'a> {
    /// Begins with what an earlier run has left in the output.
    pub fn new(output: &'a Output, left: &checkpoint::Past) -> Self {
        // A piece that cannot be read is done again.
        let done = left.done.iter().filter_map(|value| serde_json::from_value(value.clone()).ok());
        let counted = left.counts.as_deref().and_then(checkpoint::counts).map(<[u8]>::to_vec);
        Self { output, past: Mutex::new(Past { done: done.collect(), counted }) }
    }

    /// All that is done by now.
    pub fn past(&self) -> Past {
        self.past.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// After the last try: what is done lasts, if another run can go on from it.
    pub fn keep(&self, error: &Error) {
        let wrong = matches!(error, Error::Gpu { doing, .. } if *doing == scheduler::CHECKING);
        if wrong || self.output.has_other_input() {
            self.output.discard();
        } else {
            // What does not last is done again.
            let _ = self.output.settle();
        }
    }
}

/// How often a run goes on after a failure of the GPU.
pub(super) const RETRIES: usize = 8;

/// How to go on after a failure, if there is a way: on which device, with how much memory, and in words.
pub(super) fn again(error: &Error, gpu: &Gpu, memory: u64) -> Option<(Gpu, u64, String)> {
    match error {
        Error::GpuMemory { .. } => {
            let less = memory / 2;
            Budget::new(less, gpu.maps_storage(), gpu.max_binding()).ok()?;
            Some((gpu.clone(), less, format!("with half the memory, {less} bytes")))
        }
        // Where there is no other device, what failed first is what there is to say.
        Error::Gpu { .. } => gpu.reopen()?.ok().map(|gpu| (gpu, memory, "on a new device".into())),
        _ => None,
    }
}

impl Log for Progress<'_> {
    fn done(&self, done: &Done) -> Result<()> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner).done.push(done.clone());
        self.output.note(json!(done));
        Ok(())
    }

    fn counted(&self, counted: &[u8]) -> Result<()> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner).counted = Some(counted.to_vec());
        self.output.keep_counts(counted)
    }
}
