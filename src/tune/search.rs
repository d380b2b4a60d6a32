//! Knobs, one after the other, up and down.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::knob::Knob;
use super::task::{Outcome, Prepared, SHAPE, Task};
use crate::bench::Moment;
use crate::bench::clock::{Clock, moment};
use crate::bench::roofs;
use crate::gpu::{AdapterInfo, Gpu, Tuning};
use crate::kernels::Kernels;
use crate::{Error, Result, Shape};

/// Called before each step with what it is, and which share of the time has passed; [`ControlFlow::Break`] ends the search, which
/// then goes on to its last comparison.
pub type OnStep<'a> = dyn Fn(&str, f64) -> ControlFlow<()> + 'a;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tuned {
    /// On which adapter.
    pub adapter: AdapterInfo,
    /// The knobs for its class.
    pub before: Tuning,
    /// The knobs that were found; the same where none are better.
    pub after: Tuning,
    /// What was tried, in order.
    pub steps: Vec<Step>,
    /// Each task with both; empty where no others were found.
    pub gains: Vec<Gain>,
    /// By how much the tasks became faster: the geometric mean.
    pub gain: f64,
    /// Whether the time was up, or the search stopped, before every knob had its turn.
    pub cut_short: bool,
    /// Seconds in all.
    pub seconds: f64,
}

/// One setting that was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// The knob.
    pub knob: &'static str,
    /// What it was.
    pub from: u32,
    /// What was tried.
    pub to: u32,
    /// How many times as fast the tasks are that it matters to: the geometric mean; none where it was not timed.
    pub gain: Option<f64>,
    /// Whether it was kept.
    pub kept: bool,
    /// Why it was not timed.
    pub why: Option<String>,
}

/// A task before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gain {
    /// The task.
    pub task: String,
    /// Its time with the knobs for the class.
    pub before: Moment,
    /// And with those that were found.
    pub after: Moment,
    /// How many times as fast it is: the median over rounds in which both were timed.
    pub gain: f64,
}

/// Less is noise, or not worth a table.
const WORTH: f64 = 1.03;

/// The share of the time that is kept for the last comparison.
const LAST: f64 = 0.15;

/// Seconds that a comparison takes at most, but for the fewest rounds there are.
const ROOM: f64 = 1.0;
const ROUNDS: usize = 11;

/// Searches for `time`, or until no knob helps. Begins with the knobs for the adapter's class, whatever the device was given.
/// Takes about 600 MB on the device.
///
/// # Errors
/// [`Error::Gpu`] where the device fails, [`Error::GpuMemory`] where memory does not suffice.
pub fn tune(gpu: &Gpu, time: Duration, on_step: &OnStep<'_>) -> Result<Tuned> {
    tune_at(gpu, time, SHAPE, on_step)
}

/// The same on matrices of another size, for tests.
#[doc(hidden)]
pub fn tune_at(gpu: &Gpu, time: Duration, shape: Shape, on_step: &OnStep<'_>) -> Result<Tuned> {
    let (start, class) = (Instant::now(), gpu.class_tuning());
    let gpu = gpu.clone().with_tuning(class)?;
    let mut clock = Clock::new(&gpu, ROOM, ROUNDS)?;
    // Only to tell whether timestamps can be believed.
    roofs::measure(&gpu, &mut clock)?;
    let prepared = Task::ALL.iter().map(|task| Prepared::new(&gpu, *task, shape)).collect::<Result<Vec<_>>>()?;
    let mut search = Search {
        gpu: &gpu,
        shape,
        clock,
        on_step,
        start: Instant::now(),
        time,
        best: class,
        kernels: Kernels::new(gpu.device(), class),
        prepared: &prepared,
        right: Vec::new(),
        steps: Vec::new(),
        cut_short: false,
    };
    search.right = prepared.iter().map(|task| search.outcome(task, class)).collect::<Result<_>>()?;
    // Making the weights is no search.
    search.start = Instant::now();
    search.all()?;
    let (gains, gain) = search.last(class)?;
    let after = if gain >= WORTH { search.best } else { class };
    let Search { steps, cut_short, .. } = search;
    let (adapter, seconds) = (gpu.info().clone(), start.elapsed().as_secs_f64());
    Ok(Tuned { adapter, before: class, after, steps, gains, gain, cut_short, seconds })
}

struct Search<'a> {
    gpu: &'a Gpu,
    shape: Shape,
    clock: Clock<'a>,
    on_step: &'a OnStep<'a>,
    start: Instant,
    time: Duration,
    /// The best knobs so far, and kernels with them.
    best: Tuning,
    kernels: Kernels,
    prepared: &'a [Prepared],
    /// What each task comes to.
    right: Vec<Outcome>,
    steps: Vec<Step>,
    cut_short: bool,
}

impl Search<'_> {
    fn outcome(&self, task: &Prepared, tuning: Tuning) -> Result<Outcome> {
        let entry = task.entry(self.gpu, &self.kernels, self.shape, tuning)?;
        task.outcome(self.gpu, &entry)
    }

    fn share(&self) -> f64 {
        self.start.elapsed().as_secs_f64() / self.time.as_secs_f64().max(1e-9)
    }

    /// Every knob, again and again as long as one of them helps.
    fn all(&mut self) -> Result<()> {
        loop {
            let before = self.best;
            for knob in Knob::ALL {
                for up in [true, false] {
                    if self.climb(knob, up)?.is_break() {
                        self.cut_short = true;
                        return Ok(());
                    }
                }
            }
            if self.best == before {
                return Ok(());
            }
        }
    }

    /// One knob one way, as long as that helps.
    fn climb(&mut self, knob: Knob, up: bool) -> Result<ControlFlow<()>> {
        // Where doubling does not help four times as much may: one look past a ridge.
        for factor in [2, 4] {
            let mut helped = false;
            while let Some(next) = knob.moved(self.best, up, factor) {
                let (mut from, mut to) = (self.best, next);
                let (from, to) = (*knob.of(&mut from), *knob.of(&mut to));
                let tried =
                    |step: &Step| step.knob == knob.name() && [(from, to), (to, from)].contains(&(step.from, step.to));
                if self.steps.iter().any(tried) {
                    break;
                }
                let what = format!("{} {from} to {to}", knob.name());
                if self.share() > 1.0 - LAST || (self.on_step)(&what, self.share().min(1.0)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                let (gain, why) = match self.twice(knob, next) {
                    Ok(gain) => (Some(gain), None),
                    Err(Refused::Wrong(why)) => (None, Some(why)),
                    Err(Refused::Failed(error)) => return Err(error),
                };
                let kept = gain.is_some_and(|gain| gain >= WORTH);
                self.steps.push(Step { knob: knob.name(), from, to, gain, kept, why });
                if !kept {
                    break;
                }
                self.best = next;
                self.kernels = self.kernels.clone().with_tuning(next);
                helped = true;
            }
            if helped {
                break;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What helps is looked at twice, and is taken to help as little as it did the second time: of many settings that make no
    /// difference, some seem to by chance.
    fn twice(&mut self, knob: Knob, next: Tuning) -> std::result::Result<f64, Refused> {
        let first = self.compare(knob, next)?;
        if first < WORTH { Ok(first) } else { Ok(first.min(self.compare(knob, next)?)) }
    }

    /// How many times as fast the tasks are that a knob matters to.
    fn compare(&mut self, knob: Knob, next: Tuning) -> std::result::Result<f64, Refused> {
        let kernels = self.kernels.clone().with_tuning(next);
        let mut entries = Vec::new();
        let tasks = || self.prepared.iter().zip(&self.right).filter(|(task, _)| knob.turns(task.task));
        for (task, right) in tasks() {
            let tried = match task.entry(self.gpu, &kernels, self.shape, next) {
                Ok(entry) => entry,
                // What the driver does not build, it does not run.
                Err(Error::Gpu { message, .. }) => return Err(Refused::Wrong(message)),
                Err(Error::View { problem, .. }) => return Err(Refused::Wrong(problem)),
                Err(other) => return Err(other.into()),
            };
            if !task.outcome(self.gpu, &tried)?.agrees(right) {
                return Err(Refused::Wrong(format!("{}: the result is another", task.task.name())));
            }
            entries.push(task.entry(self.gpu, &self.kernels, self.shape, self.best)?);
            entries.push(tried);
        }
        let times = self.clock.race(&mut entries)?;
        Ok(geometric(times.chunks(2).map(|pair| ratio(&pair[0], &pair[1]))))
    }

    /// Every task with the knobs for the class and with the best.
    fn last(&mut self, class: Tuning) -> Result<(Vec<Gain>, f64)> {
        if self.best == class {
            return Ok((Vec::new(), 1.0));
        }
        (self.on_step)("before and after", 1.0 - LAST).is_break();
        let before = Kernels::new(self.gpu.device(), class);
        let mut entries = Vec::new();
        for task in self.prepared {
            entries.push(task.entry(self.gpu, &before, self.shape, class)?);
            entries.push(task.entry(self.gpu, &self.kernels, self.shape, self.best)?);
        }
        let times = self.clock.race(&mut entries)?;
        let gain = |(pair, task): (&[Vec<f64>], &Prepared)| Gain {
            task: task.task.name(),
            before: moment(&pair[0]),
            after: moment(&pair[1]),
            gain: ratio(&pair[0], &pair[1]),
        };
        let gains: Vec<Gain> = times.chunks(2).zip(self.prepared).map(gain).collect();
        let mean = geometric(gains.iter().map(|gain| gain.gain));
        Ok((gains, mean))
    }
}

/// Why a candidate has no time.
enum Refused {
    Wrong(String),
    Failed(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Failed(error)
    }
}

/// How many times as fast the second is, by the median over rounds.
fn ratio(before: &[f64], after: &[f64]) -> f64 {
    moment(&before.iter().zip(after).map(|(before, after)| before / after).collect::<Vec<_>>()).seconds
}

fn geometric(ratios: impl Iterator<Item = f64>) -> f64 {
    let logs: Vec<f64> = ratios.map(f64::ln).collect();
    (logs.iter().sum::<f64>() / logs.len().max(1) as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_are_medians_of_rounds_and_geometric_means_of_tasks() {
        assert_eq!(ratio(&[2.0, 4.0, 9.0], &[1.0, 1.0, 1.0]), 4.0);
        assert!((geometric([2.0, 0.5, 8.0].into_iter()) - 2.0).abs() < 1e-12);
        assert_eq!(geometric(std::iter::empty()), 1.0);
    }
}
