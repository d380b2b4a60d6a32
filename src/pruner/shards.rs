//! Both ends of a run from file to file.

use std::path::Path;

use super::ends::{Sink, Source};
use super::work::OnBytes;
use crate::checkpoint::{Checkpoint, Output};
use crate::fault::{Faults, Point};
use crate::{BoxError, Result};

/// The shards of input and output.
pub(super) struct Shards<'a> {
    pub input: &'a Checkpoint,
    pub output: &'a Output,
    pub faults: Option<&'a Faults>,
}

impl Shards<'_> {
    /// Copies all but the tensors that are pruned.
    pub fn copy_rest(&self, pruned: &dyn Fn(usize) -> bool, on_bytes: &OnBytes<'_>) -> Result<()> {
        self.output.try_copy_rest(pruned, &|shard, bytes| {
            self.fail(Point::Copy, "copy")?;
            on_bytes(shard, bytes)
        })
    }

    fn fail(&self, point: Point, action: &'static str) -> Result<()> {
        let path = self.input.shards().first().map_or(Path::new(""), |shard| shard.path());
        self.faults.map_or(Ok(()), |faults| faults.on_file(point, action, path))
    }
}

impl Source for Shards<'_> {
    fn read(&self, tensor: usize, offset: u64, buf: &mut [u8]) -> Result<(), BoxError> {
        self.fail(Point::Read(buf.len() as u64), "read")?;
        Ok(self.input.read_at(tensor, offset, buf)?)
    }
}

impl Sink for Shards<'_> {
    fn write(&self, tensor: usize, offset: u64, bytes: &[u8]) -> Result<(), BoxError> {
        self.fail(Point::Write, "write")?;
        Ok(self.output.write_at(tensor, offset, bytes)?)
    }
}
