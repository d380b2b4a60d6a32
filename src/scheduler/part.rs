//! A part of a task: chunks that are done together, or are done again.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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
    entry: OnceLock<Vec<u32>>,
}

impl Part {
    pub fn new(what: What, chunks: usize) -> Self {
        Self { what, left: AtomicUsize::new(chunks), kept: AtomicU64::new(0), entry: OnceLock::new() }
    }

    /// Counts weights of a chunk that are kept.
    pub fn keep(&self, weights: u64) {
        self.kept.fetch_add(weights, Ordering::Relaxed);
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
        let kept = self.kept.load(Ordering::Relaxed);
        let entry = || Entry(self.entry.get().expect("the last chunk brings it"));
        Some(match self.what {
            What::Matrix { job } => {
                let cut = entry().cut();
                let (zeros, ties, go) = (cut.zeros.into(), cut.ties.into(), cut.go.into());
                Done::Matrix { job, kept, zeros, key: cut.key, ties, go }
            }
            What::Rows { job, first, rows, weights } => {
                let [before, after] = entry().counters().map(|nonzero| weights - nonzero);
                Done::Rows { job, first, rows, kept, before, after }
            }
            What::LongRow { job, row, k, zeros } => {
                Done::Rows { job, first: row, rows: 1, kept, before: zeros, after: zeros.max(k) }
            }
            What::Masked { task, first, weights } => {
                let (ties_left, go_left) = entry().cut().left();
                Done::Masked { task, first, weights, kept, ties_left, go_left }
            }
        })
    }
}
