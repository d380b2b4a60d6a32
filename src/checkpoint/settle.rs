//! What is written becomes what lasts: data to the disk first, then the lines that speak of it.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::Value;

use super::changed;
use super::head::digest;
use super::journal::Line;
use super::output::Output;
use crate::{Error, Result};

/// Name in the scaffold of what has been counted.
pub(super) const COUNTS: &str = "counts";

impl Output {
    /// Notes a piece of work whose bytes have all been [written](Self::write_at): once they are on disk, another run
    /// need not do it again.
    pub(crate) fn note(&self, work: Value) {
        self.note_line(Line::Done(work));
    }

    pub(super) fn note_line(&self, line: Line) {
        if self.journal.is_some() {
            self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    /// Replaces what has been counted so far, of work that is not done yet. It may be lost if the system goes down, but
    /// is never half of it.
    pub(crate) fn keep_counts(&self, counts: &[u8]) -> Result<()> {
        let mut sealed = digest(counts).into_bytes();
        sealed.extend_from_slice(counts);
        self.scaffold.replace(COUNTS, &sealed)?;
        self.scaffold.lasts(true);
        Ok(())
    }

    /// So many bytes of a tensor are written and done; what else was written will be written again.
    pub(crate) fn begin_with(&self, tensor: usize, bytes: u64) {
        self.written[tensor].store(bytes, Relaxed);
    }

    /// Syncs what has been written, and then writes down what has been noted, if at least `least` bytes have been
    /// written since the last time, or if `anyway` and something has been noted; says whether it did. Called beside the
    /// writing, it leaves [`commit`](Self::commit) little to wait for, keeps the system from holding a whole checkpoint
    /// in memory that is not on disk yet, and an interruption from costing more than so much.
    ///
    /// # Errors
    /// [`Error::Io`] if the data cannot be written out.
    pub fn sync_ahead(&self, least: u64, anyway: bool) -> Result<bool> {
        let written: u64 = self.unsynced.iter().map(|unsynced| unsynced.load(Relaxed)).sum();
        let noted = || !self.notes.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        let due = written >= least.max(1) || anyway && noted();
        if due {
            self.settle()?;
        }
        Ok(due)
    }

    /// Makes all that has been written and noted last.
    pub(crate) fn settle(&self) -> Result<()> {
        let _one_at_a_time = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken first: what these speak of has been written by now.
        let notes = std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        for (number, unsynced) in self.unsynced.iter().enumerate() {
            if unsynced.swap(0, Relaxed) > 0 {
                self.writable(number)?.sync_data().map_err(Error::io("sync", &self.shards[number].to))?;
            }
        }
        if let Some(journal) = self.journal.as_ref().filter(|_| !notes.is_empty()) {
            journal.append(&notes)?;
            self.scaffold.lasts(true);
        }
        Ok(())
    }

    /// Whether the input is no longer what it was when it was opened.
    pub(crate) fn has_other_input(&self) -> bool {
        changed::check(&self.input).is_err()
    }

    /// What was noted is of no use: all goes when the output is dropped.
    pub(crate) fn discard(&self) {
        self.scaffold.lasts(false);
    }
}

/// What was given to [`Output::keep_counts`], if it is whole.
pub(crate) fn counts(sealed: &[u8]) -> Option<&[u8]> {
    let (seal, counts) = sealed.split_at_checked(32)?;
    (seal == digest(counts).as_bytes()).then_some(counts)
}
