//! What happened to each matrix, from what is done.

use super::super::{Outcome, Task};
use super::{Ledger, same};
use crate::Result;

impl Ledger<'_> {
    /// What happened to each matrix, once all is done.
    ///
    /// # Errors
    /// [`Error::Gpu`] if the masks of a stream are not what was asked for together.
    pub fn outcomes(&self) -> Result<Vec<Outcome>> {
        let state = self.state();
        let pruned = |job: usize| self.jobs[job].units().weights() - state.jobs[job].kept;
        let mut outcomes = vec![Outcome::default(); self.jobs.len()];
        for (number, task) in self.tasks.iter().enumerate() {
            match *task {
                Task::Matrix { k, .. } => same(k, task.jobs().map(pruned).sum())?,
                _ => {
                    let goes = state.streams.get(&number).and_then(|stream| stream.cut.goes);
                    goes.map_or(Ok(()), |goes| same(goes, task.jobs().map(pruned).sum()))?;
                }
            }
            if let Some(stream) = state.streams.get(&number) {
                let mut at = 0;
                for (job, &zeros) in task.jobs().zip(&stream.zeros) {
                    let dtype = self.jobs[job].keys();
                    let (key, exact) = dtype.floor_key(stream.cut.common);
                    let (before, end) = (stream.left(at), at + self.jobs[job].units().weights());
                    let after = stream.left(end);
                    // Types that have no such value have no ties.
                    let (ties, go) = if exact { (before.ties - after.ties, before.go - after.go) } else { (0, 0) };
                    outcomes[job] = outcome(pruned(job), zeros, self.jobs[job].magnitude(key), ties, go);
                    at = end;
                }
                continue;
            }
            for job in task.jobs() {
                let [zeros_before, zeros] = state.jobs[job].zeros;
                outcomes[job] = match state.jobs[job].cut {
                    Some(cut) => outcome(pruned(job), cut.zeros, self.jobs[job].magnitude(cut.key), cut.ties, cut.go),
                    None => Outcome { zeros_before, zeros, ..Outcome::default() },
                };
            }
        }
        for (job, outcome) in outcomes.iter_mut().enumerate().filter(|(job, _)| !self.jobs[*job].is_plain()) {
            [outcome.zeros_before, outcome.zeros] = state.jobs[job].zeros;
        }
        Ok(outcomes)
    }
}

/// Where weights compete by magnitude, zeros go first: either all that went were zeros, or no zero was left.
fn outcome(pruned: u64, zeros: u64, magnitude: f64, ties: u64, go: u64) -> Outcome {
    let any = pruned > 0;
    Outcome {
        zeros_before: zeros,
        zeros: pruned.max(zeros),
        cut: any.then_some(magnitude),
        ties: any.then_some(ties),
        ties_pruned: any.then_some(go),
    }
}
