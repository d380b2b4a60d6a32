//! Whether an input is still what it was when it was opened.
//!
//! Between then and the end of a run another program may write to it. Nothing can prevent that, and what is read then is
//! half of one model and half of another; so it is looked at once more before an output gets its name.

use std::fs::Metadata;
use std::time::SystemTime;

use super::problem::CheckpointProblem as Problem;
use super::read::Checkpoint;
use crate::{Error, Result};

/// When a file was last written to; none where the system does not tell.
pub(super) fn modified(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}

/// Refuses an input of which a shard was written to after it was opened. One that was removed meanwhile is looked at
/// as far as it is still held open.
pub(super) fn check(input: &Checkpoint) -> Result<()> {
    for (number, shard) in input.shards().iter().enumerate() {
        let (file, _) = input.0.handles.get(number, || shard.reopen())?;
        let metadata = file.metadata().map_err(Error::io("read", &shard.path))?;
        if metadata.len() != shard.len || modified(&metadata) != shard.modified {
            let problem = Problem::Changed { len: shard.len, now: metadata.len() };
            return Err(Error::Checkpoint { path: shard.path.clone(), problem });
        }
    }
    Ok(())
}
