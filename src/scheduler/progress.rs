//! What is done of a run, piece by piece: enough for another run to go on from there.
//!
//! Nothing in it depends on adapter, memory or the size of chunks, so the other run may have others.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Job, Task};
use crate::{Dtype, Result};

/// A piece that is done: all of its bytes have been written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Done {
    /// A whole matrix under a cut of its own; zeros are those before, and after where keys are not the weights' own.
    Matrix {
        job: usize,
        kept: u64,
        zeros: u64,
        key: u32,
        ties: u64,
        go: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
    },
    /// Some rows of a matrix, each under a cut of its own. Zeros are those before and after.
    Rows { job: usize, first: u64, rows: u64, kept: u64, before: u64, after: u64 },
    /// The cut of a task whose weights are streamed, and the zeros of each of its matrices. Nothing is written yet.
    Cut { task: usize, common: u32, ties: u64, go: u64, goes: Option<u64>, zeros: Vec<u64> },
    /// A stretch of a task's weights, all of one matrix, masked under that cut; and what it leaves of the quota.
    Masked {
        task: usize,
        first: u64,
        weights: u64,
        kept: u64,
        ties_left: u64,
        go_left: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zeros: Option<[u64; 2]>,
    },
}

/// Where what is done is kept.
pub(crate) trait Log: Sync {
    /// Keeps a piece.
    fn done(&self, done: &Done) -> Result<()>;

    /// Replaces what has been counted so far of a task that is streamed.
    fn counted(&self, counted: &[u8]) -> Result<()>;
}

/// What an earlier run has done.
#[derive(Debug, Default, Clone)]
pub(crate) struct Past {
    pub done: Vec<Done>,
    pub counted: Option<Vec<u8>>,
}

impl Task {
    /// The matrices of a task, in order.
    pub(crate) fn jobs(&self) -> Range<usize> {
        match *self {
            Task::Matrix { job, .. } | Task::Rows { job, .. } | Task::UpTo { job, .. } => job..job + 1,
            Task::Pool { ref jobs, .. } => jobs.clone(),
        }
    }
}

/// How far a count of a task's weights has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counted {
    pub task: u64,
    /// Between which common keys bins are counted.
    pub low: u32,
    pub high: u32,
    /// Weights that have been counted, from the first on.
    pub weights: u64,
    /// Weights that are not zero, of each matrix so far.
    pub nonzero: Vec<u64>,
    /// Of each element type: weights above the window's start, and those in each bin.
    pub types: Vec<(Dtype, u64, Vec<u64>)>,
}

impl Counted {
    /// As little-endian 64-bit words.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut words = vec![self.task, self.low.into(), self.high.into(), self.weights, self.nonzero.len() as u64];
        words.extend(&self.nonzero);
        for (dtype, reached, bins) in &self.types {
            let dtype = Dtype::ALL.iter().position(|other| other == dtype).expect("all are in ALL");
            words.extend([dtype as u64, *reached, bins.len() as u64]);
            words.extend(bins);
        }
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The same from bytes; none if they are not such words, or not about this task.
    pub fn from_bytes(bytes: &[u8], task: usize, jobs: &[Job]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let mut counted = Self { task: words.next()?, ..Self::default() };
        (counted.low, counted.high) = (words.next()?.try_into().ok()?, words.next()?.try_into().ok()?);
        counted.weights = words.next()?;
        let mut many =
            |n: u64| (n <= bytes.len() as u64 / 8).then(|| words.by_ref().take(n as usize).collect::<Vec<_>>());
        let spans = many(1)?.pop()?;
        counted.nonzero = many(spans)?;
        while let [dtype, reached, bins] = many(3)?[..] {
            let dtype = *Dtype::ALL.get(usize::try_from(dtype).ok()?)?;
            counted.types.push((dtype, reached, many(bins)?));
        }
        let total: u64 = jobs.iter().map(|job| job.units().weights()).sum();
        let fits = counted.task == task as u64 && counted.nonzero.len() == jobs.len() && counted.weights <= total;
        (fits && rest.is_empty() && counted.low < counted.high).then_some(counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    #[test]
    fn counts_come_back_or_are_refused() {
        let jobs = [Job::new(Dtype::F32, Shape::new(3, 5))];
        let types = vec![(Dtype::F32, 7, vec![1, 2, 3]), (Dtype::F8E4M3, 0, vec![])];
        let counted = Counted { task: 4, low: 2, high: 9, weights: 15, nonzero: vec![11], types };
        let bytes = counted.to_bytes();
        assert_eq!(Counted::from_bytes(&bytes, 4, &jobs), Some(counted.clone()));
        assert_eq!(Counted::from_bytes(&bytes, 3, &jobs), None);
        for cut in 1..bytes.len() - 8 * 3 {
            let short = Counted::from_bytes(&bytes[..bytes.len() - cut], 4, &jobs);
            assert!(short.is_none_or(|short| short != counted));
        }
        for at in 0..bytes.len() {
            let mut hostile = bytes.clone();
            hostile[at] = 0xff;
            let _ = Counted::from_bytes(&hostile, 4, &jobs);
        }
    }
}
