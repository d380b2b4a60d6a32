//! Bytes done, by pass and shard, told to the caller, who may stop the run.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::scheduler::{Busy, Pass};
use crate::{Error, Result};

/// How far a run has come. Bytes are of the input: read of what is pruned, in each pass over it, and copied of the rest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes done.
    pub done: u64,
    /// Bytes in all, as far as it is known beforehand.
    pub all: u64,
    /// What the last of these bytes were read for. Copying goes on beside the other passes; [`Pass::Commit`] comes once, last.
    pub pass: Pass,
    /// Bytes done in this pass.
    pub pass_done: u64,
    /// Bytes of this pass in all.
    pub pass_all: u64,
    /// Of which of the input's shards they were, by its place in [`Checkpoint::shards`](crate::checkpoint::Checkpoint::shards);
    /// 0 for tensors that come from a caller's source.
    pub shard: usize,
    /// Bytes of this shard that are done in this pass.
    pub shard_done: u64,
    /// Bytes of this shard in this pass in all.
    pub shard_all: u64,
    /// How long each stage has been busy. A clone goes on being told.
    pub busy: Busy,
}

/// Called with how far the run is, often and from several threads; [`ControlFlow::Break`] stops the run, which then returns
/// [`Error::Cancelled`] and commits nothing. It is called a last time before the commit begins.
pub type OnProgress<'a> = dyn Fn(&Progress) -> ControlFlow<()> + Sync + 'a;

/// Passes in which bytes are read.
const PASSES: usize = 3;

#[derive(Debug, Default)]
struct Tally {
    done: AtomicU64,
    all: u64,
}

impl Tally {
    fn add(&self, bytes: u64) -> u64 {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        done.min(self.all)
    }
}

/// Counts what is done.
pub(super) struct Meter<'a> {
    on_progress: &'a OnProgress<'a>,
    busy: Busy,
    run: Tally,
    passes: [Tally; PASSES],
    /// By shard.
    shards: Vec<[Tally; PASSES]>,
}

impl<'a> Meter<'a> {
    /// For so many shards.
    pub fn new(on_progress: &'a OnProgress<'a>, busy: &Busy, shards: usize) -> Self {
        let shards = std::iter::repeat_with(Default::default).take(shards.max(1)).collect();
        Self { on_progress, busy: busy.clone(), run: Tally::default(), passes: Default::default(), shards }
    }

    /// Before the run: there are so many bytes more to be read, of which so many are done.
    pub fn expect(&mut self, pass: Pass, shard: usize, all: u64, done: u64) {
        let shard = shard.min(self.shards.len() - 1);
        for tally in [&mut self.run, &mut self.passes[pass as usize], &mut self.shards[shard][pass as usize]] {
            tally.all = tally.all.saturating_add(all);
            tally.add(done);
        }
    }

    /// So many bytes are done.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where the caller stops the run.
    pub fn add(&self, pass: Pass, shard: usize, bytes: u64) -> Result<()> {
        // Tensors of a caller's list may say that they are in some file.
        let shard = shard.min(self.shards.len() - 1);
        let (of_pass, of_shard) = (&self.passes[pass as usize], &self.shards[shard][pass as usize]);
        self.tell(&Progress {
            done: self.run.add(bytes),
            all: self.run.all,
            pass,
            pass_done: of_pass.add(bytes),
            pass_all: of_pass.all,
            shard,
            shard_done: of_shard.add(bytes),
            shard_all: of_shard.all,
            busy: self.busy.clone(),
        })
    }

    /// All that is to be read or copied is.
    ///
    /// # Errors
    /// As [`Meter::add`]: the last chance to stop the run.
    pub fn finish(&self) -> Result<()> {
        let (done, all, pass, busy) = (self.run.add(0), self.run.all, Pass::Commit, self.busy.clone());
        let (pass_done, pass_all, shard, shard_done, shard_all) = (0, 0, 0, 0, 0);
        self.tell(&Progress { done, all, pass, pass_done, pass_all, shard, shard_done, shard_all, busy })
    }

    fn tell(&self, progress: &Progress) -> Result<()> {
        match (self.on_progress)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }
}
