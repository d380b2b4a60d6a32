//! Faults on purpose: what tests hand to a [`Gpu`](crate::gpu::Gpu) or a [`Pruner`](crate::pruner::Pruner) so that what
//! hardly ever fails fails where they say.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::Error;

/// Where something may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// So many bytes of weights are read from the input.
    Read(u64),
    /// Pruned weights are written to the output.
    Write,
    /// Up to 64 MiB of what is not pruned have been copied.
    Copy,
    /// The device is asked to do this.
    Gpu(&'static str),
}

/// How it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The system refuses, as it does on a full disk.
    Io(io::ErrorKind),
    /// The device has no memory left.
    OutOfMemory,
    /// The driver refuses what it is asked for, with these words.
    Rejected(&'static str),
    /// The device is lost. This one really happens: it is destroyed.
    Lost,
    /// The device does not answer in time.
    Hangs,
}

/// Asked at every point, from several threads, whether it fails.
#[derive(Clone)]
pub struct Faults(Arc<dyn Fn(Point) -> Option<Fault> + Send + Sync>);

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults")
    }
}

impl Faults {
    /// Faults that this function names.
    pub fn new(faults: impl Fn(Point) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self(Arc::new(faults))
    }

    pub(crate) fn at(&self, point: Point) -> Option<Fault> {
        (self.0)(point)
    }

    /// What the system would say of a file.
    pub(crate) fn on_file(&self, point: Point, action: &'static str, path: &Path) -> crate::Result<()> {
        match self.at(point) {
            Some(Fault::Io(kind)) => Err(Error::io(action, path)(kind.into())),
            _ => Ok(()),
        }
    }
}
