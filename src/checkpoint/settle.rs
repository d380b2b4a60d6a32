//! What is written becomes what lasts: data to the disk first, then the lines that speak of it.

use std::fs::File;
use std::path::Path;
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

    /// Syncs what has been written, if that are at least `least` bytes since the last time, and writes down what has been
    /// noted; says whether it did. Called beside the writing, it leaves [`commit`](Self::commit) little to wait for, and
    /// keeps the system from holding a whole checkpoint in memory that is not on disk yet.
    ///
    /// # Errors
    /// [`Error::Io`] if the data cannot be written out.
    pub fn sync_ahead(&self, least: u64) -> Result<bool> {
        let written: u64 = self.unsynced.iter().map(|unsynced| unsynced.load(Relaxed)).sum();
        let due = written >= least.max(1);
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
                let file = self.writable(number)?;
                self.sync(&file, &self.shards[number].to)?;
            }
        }
        // A system tells once that data did not reach the disk, and then forgets it.
        if self.sync_failed.load(Relaxed) {
            let e = std::io::Error::other("an earlier sync failed, and what was written since may not be there");
            return Err(Error::io("sync", &self.folder)(e));
        }
        if let Some(journal) = self.journal.as_ref().filter(|_| !notes.is_empty()) {
            journal.append(&notes)?;
            self.scaffold.lasts(true);
        }
        Ok(())
    }

    /// Syncs a file; once that has failed, nothing that is noted lasts any more.
    pub(super) fn sync(&self, file: &File, path: &Path) -> Result<()> {
        file.sync_data().map_err(|e| {
            self.sync_failed.store(true, Relaxed);
            Error::io("sync", path)(e)
        })
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

#[cfg(test)]
mod tests {
    use super::super::begin::{Earlier, Resumable};
    use super::super::unfinished::Unfinished;
    use super::super::{Checkpoint, Past};
    use super::*;

    #[test]
    fn what_is_noted_after_a_sync_that_failed_does_not_last() {
        let temp = tempfile::tempdir().unwrap();
        let (path, out) = (temp.path().join("in.safetensors"), temp.path().join("out.safetensors"));
        let header = br#"{"t":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
        let length = (header.len() as u64).to_le_bytes();
        std::fs::write(&path, [&length[..], header, &[1, 2, 3, 4]].concat()).unwrap();
        let input = Checkpoint::open(&path).unwrap();
        let begin = || {
            let resumable = Resumable { earlier: Earlier::Resume, work: Value::Null };
            Output::begin(&input, &out, false, Some(resumable), None, &Unfinished::default()).unwrap()
        };
        let (output, _) = begin();
        output.write_at(0, 0, &[9; 2]).unwrap();
        output.note("first".into());
        output.settle().unwrap();
        output.sync_failed.store(true, Relaxed);
        output.write_at(0, 2, &[9; 2]).unwrap();
        output.note("second".into());
        assert!(output.settle().unwrap_err().to_string().contains("an earlier sync failed"));
        drop(output);
        let (_, Past { done, .. }) = begin();
        assert_eq!(done, ["first"]);
    }
}
