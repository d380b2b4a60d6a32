//! A checked checkpoint, and positioned reads of its tensors.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::file::{self, Handles, Identity};
use super::head::digest;
use super::metadata;
use super::problem::{CheckpointProblem as Problem, quoted};
use super::tensor::TensorInfo;
use crate::{Error, Result};

/// One file of a checkpoint.
#[derive(Debug)]
pub struct Shard {
    /// The file's name, without its folder.
    pub name: String,
    /// The file's length in bytes, header and all.
    pub len: u64,
    /// As the user would write it: for messages.
    pub(super) path: PathBuf,
    /// With all links followed: for opening.
    pub(super) real: PathBuf,
    pub(super) identity: Identity,
    /// When it was last written to, as far as the system says.
    pub(super) modified: Option<SystemTime>,
    /// Digest of its header.
    pub(super) header: String,
    /// Where its data begins: behind 8 bytes and the header.
    pub(super) data_start: u64,
}

impl Shard {
    /// The file's path: that of the input, or of the input's folder, and its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its header's text, the same that was checked.
    pub(super) fn header_text(&self) -> Result<String> {
        let mut bytes = vec![0; self.data_start as usize - 8];
        file::read_exact_at(&self.reopen()?, &mut bytes, 8).map_err(Error::io("read", &self.path))?;
        match String::from_utf8(bytes) {
            Ok(text) if digest(text.as_bytes()) == self.header => Ok(text),
            _ => Err(Error::Checkpoint { path: self.path.clone(), problem: Problem::Replaced }),
        }
    }

    /// A handle of its own, with its own position, on the very file that was checked.
    pub(super) fn reopen(&self) -> Result<File> {
        let file = File::open(&self.real).map_err(Error::io("open", &self.path))?;
        let metadata = file.metadata().map_err(Error::io("read", &self.path))?;
        if Identity::of(&metadata).differs(self.identity) {
            return Err(Error::Checkpoint { path: self.path.clone(), problem: Problem::Replaced });
        }
        Ok(file)
    }
}

/// A checkpoint whose headers and index have been checked in full. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Checkpoint(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) tensors: Vec<TensorInfo>,
    pub(super) shards: Vec<Shard>,
    pub(super) layout: Layout,
    pub(super) handles: Handles,
}

/// What the output has to look like.
#[derive(Debug)]
pub(super) enum Layout {
    /// One file, under this name.
    File { name: OsString },
    /// A folder: as it was given, with links followed, and the index if it has one.
    Folder { given: PathBuf, real: PathBuf, index: Option<IndexFile> },
}

/// An index as it was read and checked, to be written again byte for byte.
#[derive(Debug)]
pub(super) struct IndexFile {
    pub(super) name: OsString,
    pub(super) bytes: Vec<u8>,
    pub(super) identity: Identity,
}

impl Checkpoint {
    /// Every tensor, in file order: shards by name, and inside a shard by where the data lies.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.0.tensors
    }

    /// Every shard, by name; one for a single file.
    pub fn shards(&self) -> &[Shard] {
        &self.0.shards
    }

    /// The length of all shards together, headers and all.
    pub fn total_bytes(&self) -> u64 {
        self.0.shards.iter().fold(0, |sum, shard| sum.saturating_add(shard.len))
    }

    /// The value of `key` in the `__metadata__` of the first shard that has one.
    ///
    /// # Errors
    /// [`Error::Io`] if a header cannot be read again, [`Error::Checkpoint`] if it is another by now.
    pub fn metadata(&self, key: &str) -> Result<Option<String>> {
        for shard in &self.0.shards {
            if let Some(value) = metadata::entry(&shard.header_text()?, key) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Fills `buf` with the bytes of tensor number `tensor` from `offset` (counted from the tensor's start) on.
    ///
    /// May be called from several threads at once.
    ///
    /// # Errors [`Error::Checkpoint`] if the range leaves the tensor or the file was replaced, [`Error::Io`] if it
    /// cannot be read or has become shorter.
    pub fn read_at(&self, tensor: usize, offset: u64, buf: &mut [u8]) -> Result<()> {
        let (info, at) = self.locate(tensor, offset, buf.len() as u64)?;
        let shard = &self.0.shards[info.shard];
        let (file, _) = self.0.handles.get(info.shard, || shard.reopen())?;
        let about = |e: io::Error| io::Error::new(e.kind(), format!("tensor {}: {e}", quoted(&info.name)));
        file::read_exact_at(&file, buf, at).map_err(|e| Error::io("read", &shard.path)(about(e)))
    }

    /// The tensor, and where in its file byte `offset` of it lies, once `len` bytes are known to follow there.
    pub(super) fn locate(&self, tensor: usize, offset: u64, len: u64) -> Result<(&TensorInfo, u64)> {
        let count = self.0.tensors.len();
        let Some(info) = self.0.tensors.get(tensor) else {
            let path = self.0.shards.first().map(|s| s.path.clone()).unwrap_or_default();
            return Err(Error::Checkpoint { path, problem: Problem::NoSuchTensor { index: tensor, count } });
        };
        if offset.checked_add(len).is_none_or(|end| end > info.bytes()) {
            let tensor = info.name.clone();
            let problem = Problem::OutOfTensor { tensor, len: info.bytes(), offset, wanted: len };
            return Err(Error::Checkpoint { path: self.0.shards[info.shard].path.clone(), problem });
        }
        Ok((info, info.range.start + offset))
    }
}
