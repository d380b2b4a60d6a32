//! A part of a task: chunks that are done together, or are done again.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::progress::Done;
use super::results::Entry;

/// What a part is of.
#[derive(Debug, Clone, Copy)]
pub enum What {
    /// A whole matrix; its entry is the cut.
    Matrix { job: usize },
    /// Rows; the entry counts non-zero weights before and after.
    Rows { job: usize, first: u64, rows: u64, weights: u64 },
    /// A row that is streamed by itself, under a quota; it has so many zeros.
    LongRow { job: usize, row: u64, k: u64, zeros: u64 },
    /// Weights of a task that is streamed; the entry is what is left of its quota.
    Masked { task: usize, first: u64, weights: u64 },
}

#[derive(Debug)]
pub struct Part {
    what: What,
    /// Chunks that are not done.
    left: AtomicUsize,
    kept: AtomicU64,
    /// Zeros before and after, where the host counts them.
    zeros: Option<[AtomicU64; 2]>,
    entry: OnceLock<Vec<u32>>,
}

impl Part {
    /// `zeros` says whether the host counts them: where keys are not the weights' own, the GPU does not.
    pub fn new(what: What, chunks: usize, zeros: bool) -> Self {
        let zeros = zeros.then(Default::default);
        Self { what, left: AtomicUsize::new(chunks), kept: AtomicU64::new(0), zeros, entry: OnceLock::new() }
    }

    /// Whether the host counts zeros.
    pub fn counts_zeros(&self) -> bool {
        self.zeros.is_some()
    }

    /// Counts units of a chunk that are kept, and its zeros before and after.
    pub fn wrote(&self, kept: u64, zeros: [u64; 2]) {
        self.kept.fetch_add(kept, Relaxed);
        if let Some(sums) = &self.zeros {
            for (sum, zeros) in sums.iter().zip(zeros) {
                sum.fetch_add(zeros, Relaxed);
            }
        }
    }

    /// Takes what the GPU found.
    pub fn take(&self, entry: Vec<u32>) {
        let _ = self.entry.set(entry);
    }

    /// One chunk more is written. If it was the last, this is what is done.
    pub fn wrote_chunk(&self) -> Option<Done> {
        if self.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return None;
        }
        let kept = self.kept.load(Relaxed);
        let zeros = self.zeros.as_ref().map(|zeros| [zeros[0].load(Relaxed), zeros[1].load(Relaxed)]);
        let entry = || Entry(self.entry.get().expect("the last chunk brings it"));
        Some(match self.what {
            What::Matrix { job } => {
                let cut = entry().cut();
                let (ties, go) = (cut.ties.into(), cut.go.into());
                let (before, after) = zeros.map_or((cut.zeros.into(), None), |[before, after]| (before, Some(after)));
                Done::Matrix { job, kept, zeros: before, key: cut.key, ties, go, after }
            }
            What::Rows { job, first, rows, weights } => {
                let [before, after] = zeros.unwrap_or_else(|| entry().counters().map(|nonzero| weights - nonzero));
                Done::Rows { job, first, rows, kept, before, after }
            }
            What::LongRow { job, row, k, zeros: found } => {
                let [before, after] = zeros.unwrap_or([found, found.max(k)]);
                Done::Rows { job, first: row, rows: 1, kept, before, after }
            }
            What::Masked { task, first, weights } => {
                let (ties_left, go_left) = entry().cut().left();
                Done::Masked { task, first, weights, kept, ties_left, go_left, zeros }
            }
        })
    }
}
