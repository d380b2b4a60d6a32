//! A safetensors checkpoint with tensors of its own: other names, shapes, types or shards than its input has.
//!
//! Guarantees, besides those of [`NewFiles`]: all sizes are known, and headers written, before the first byte of a tensor is;
//! `commit` refuses a checkpoint that is not written in full, and one whose input was written to meanwhile.
//!
//! Inside a shard, tensors of wider types come first, as the `safetensors` crate writes them, so that each is aligned; those
//! of one width stay in the order in which they are given.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::changed;
use super::files::{NewFiles, Sources};
use super::folder::{self, OtherFile};
use super::lay_out::{index, lay_out};
use super::output::Committed;
use super::place;
use super::problem::CheckpointProblem as Problem;
use super::read::{Checkpoint, Layout};
use super::tensor::{TensorInfo, check_list};
use super::unfinished::Unfinished;
use super::verbatim::Verbatim;
use crate::{Error, Result};

/// The most bytes that are copied between two calls of a progress function.
const COPY_CHUNK: u64 = 64 << 20;

/// A file of a [`Fresh`] checkpoint.
#[derive(Debug, Clone, Default)]
pub struct NewShard {
    /// Its name, ending with `.safetensors`. A checkpoint that is one file has that file's name instead.
    pub name: String,
    /// What is in it.
    pub tensors: Vec<TensorInfo>,
    /// Its `__metadata__`.
    pub metadata: BTreeMap<String, String>,
}

/// What a [`Fresh`] checkpoint is made of.
#[derive(Debug)]
pub struct FreshDescriptor<'a> {
    /// The checkpoint that it comes from. One that is a file makes a file, of one shard; one that is a folder makes a folder,
    /// with an index if there was one, and the folder's other files.
    pub from: &'a Checkpoint,
    /// What else it is made from, and may not replace.
    pub sources: Sources,
    /// Its shards.
    pub shards: Vec<NewShard>,
    /// Contents for files other than shards and index, instead of those in the input's folder or besides them.
    pub others: Vec<(String, Vec<u8>)>,
}

/// A checkpoint that is being written. Writing takes `&self` and may be done from several threads at once.
#[derive(Debug)]
pub struct Fresh {
    files: NewFiles,
    from: Checkpoint,
    tensors: Vec<TensorInfo>,
    written: Vec<AtomicU64>,
    skipped: Vec<OsString>,
}

impl Fresh {
    /// Begins a checkpoint at `output`, and writes all of it that is no tensor's.
    ///
    /// # Errors
    /// [`Error::Tensor`] if a tensor's name is there twice or its size is not that of its shape; [`Error::Output`] if the output
    /// is the input or inside it, exists and `force` is false, or cannot have these shards; [`Error::Checkpoint`] if a header
    /// would be too long; [`Error::Io`] if something cannot be read or written.
    pub fn create(what: FreshDescriptor<'_>, output: &Path, force: bool, unfinished: &Unfinished) -> Result<Self> {
        Self::create_as(what, &Verbatim::default(), output, force, unfinished)
    }

    /// The same, with headers and an index as they once were.
    pub(crate) fn create_as(
        mut what: FreshDescriptor<'_>,
        verbatim: &Verbatim,
        output: &Path,
        force: bool,
        unfinished: &Unfinished,
    ) -> Result<Self> {
        let mut tensors: Vec<TensorInfo> = Vec::new();
        let mut headers = Vec::new();
        for (number, shard) in what.shards.iter().enumerate() {
            let (header, mut placed) = match verbatim.lay_out(number, &shard.tensors) {
                Some(laid_out) => laid_out,
                None => lay_out(shard, number, output)?,
            };
            headers.push(header);
            tensors.append(&mut placed);
        }
        check_list(&tensors)?;
        what.sources.add(what.from);
        let (others, skipped) = others(&what)?;
        let index = index(&what, &tensors)?
            .map(|(name, anew)| (name, verbatim.index(&tensors, |number| &what.shards[number].name).unwrap_or(anew)));
        let names: Vec<&OsStr> = (what.shards.iter().map(|shard| OsStr::new(&shard.name)))
            .chain(others.iter().map(|other| other.name.as_os_str()))
            .chain(what.others.iter().map(|(name, _)| OsStr::new(name)))
            .chain(index.iter().map(|(name, _)| name.as_os_str()))
            .collect();
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(**name)) {
            return Err(place::refused(&output.join(twice), "two files of the checkpoint have this name"));
        }
        let files = match &what.from.0.layout {
            Layout::File { .. } if names.len() > 1 => {
                return Err(place::refused(output, "a checkpoint that is one file makes one file"));
            }
            Layout::File { name } if is_folder(output) => {
                NewFiles::file(&output.join(name), &what.sources, force, unfinished)?
            }
            Layout::File { .. } => NewFiles::file(output, &what.sources, force, unfinished)?,
            Layout::Folder { .. } => NewFiles::folder(output, &names, &what.sources, force, unfinished)?,
        };
        let mut number = 0;
        let mut whole = |bytes: &[u8]| {
            number += 1;
            files.write_at(number - 1, 0, bytes)
        };
        headers.iter().try_for_each(|header| whole(header))?;
        let copied = headers.len()..headers.len() + others.len();
        for (number, other) in copied.clone().zip(&others) {
            let from = File::open(&other.real).map_err(Error::io("open", &other.real))?;
            let len = from.metadata().map_err(Error::io("read", &other.real))?.len();
            files.copy_range(number, 0, &from, 0..len, &other.real)?;
        }
        let given = what.others.iter().map(|(_, bytes)| bytes).chain(index.iter().map(|(_, bytes)| bytes));
        for (number, bytes) in (copied.end..).zip(given) {
            files.write_at(number, 0, bytes)?;
        }
        let written = tensors.iter().map(|_| AtomicU64::new(0)).collect();
        Ok(Self { files, from: what.from.clone(), tensors, written, skipped })
    }

    /// Begins a checkpoint that is one file at `output`, whatever `from` is, and writes all of it that is no tensor's.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_alone(
        from: &Checkpoint,
        mut sources: Sources,
        shard: &NewShard,
        output: &Path,
        force: bool,
        unfinished: &Unfinished,
    ) -> Result<Self> {
        let (header, tensors) = lay_out(shard, 0, output)?;
        check_list(&tensors)?;
        sources.add(from);
        let files = NewFiles::file(output, &sources, force, unfinished)?;
        files.write_at(0, 0, &header)?;
        let written = tensors.iter().map(|_| AtomicU64::new(0)).collect();
        Ok(Self { files, from: from.clone(), tensors, written, skipped: Vec::new() })
    }

    /// Its tensors, in the order in which they were given: shard after shard.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Writes `bytes` to tensor number `tensor`, from `offset` (counted from the tensor's start) on. Each byte is to be written
    /// once.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the range leaves the tensor, [`Error::Io`] if it cannot be written.
    pub fn write_at(&self, tensor: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let info = self.locate(tensor, offset, bytes.len() as u64)?;
        self.files.write_at(info.shard, info.range.start + offset, bytes)?;
        self.written[tensor].fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    /// Copies tensor number `number` of another checkpoint, which has as many bytes, and calls `on_bytes` with the bytes copied
    /// since its last call, of which there are at most 64 MiB.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the lengths differ or that checkpoint was replaced, [`Error::Io`] if it cannot be read or
    /// written, and those of `on_bytes`.
    pub fn copy(
        &self,
        tensor: usize,
        from: &Checkpoint,
        number: usize,
        on_bytes: &dyn Fn(u64) -> Result<()>,
    ) -> Result<()> {
        let (source, mut at) = from.locate(number, 0, 0)?;
        let info = self.locate(tensor, 0, source.bytes())?;
        let shard = &from.shards()[source.shard];
        // A handle of its own: copying moves its position.
        let file = shard.reopen()?;
        let mut to = info.range.start;
        while at < source.range.end {
            let len = COPY_CHUNK.min(source.range.end - at);
            self.files.copy_range(info.shard, to, &file, at..at + len, shard.path())?;
            self.written[tensor].fetch_add(len, Relaxed);
            (at, to) = (at + len, to + len);
            on_bytes(len)?;
        }
        Ok(())
    }

    fn locate(&self, tensor: usize, offset: u64, len: u64) -> Result<&TensorInfo> {
        let count = self.tensors.len();
        let refused = |shard: usize, problem| Error::Checkpoint { path: self.files.path(shard).to_owned(), problem };
        let Some(info) = self.tensors.get(tensor) else {
            return Err(refused(0, Problem::NoSuchTensor { index: tensor, count }));
        };
        if offset.checked_add(len).is_none_or(|end| end > info.bytes()) {
            let (tensor, whole) = (info.name.clone(), info.bytes());
            return Err(refused(info.shard, Problem::OutOfTensor { tensor, len: whole, offset, wanted: len }));
        }
        Ok(info)
    }

    /// Syncs everything, and gives all files their names: shards, other files, the index last.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if a tensor is not written in full or the input has changed, and as [`NewFiles::commit`].
    pub fn commit(self) -> Result<Committed> {
        for (info, written) in self.tensors.iter().zip(&self.written) {
            let (written, len) = (written.load(Relaxed), info.bytes());
            if written != len {
                let path = self.files.path(info.shard).to_owned();
                let problem = Problem::Unwritten { tensor: info.name.clone(), written, len };
                return Err(Error::Checkpoint { path, problem });
            }
        }
        changed::check(&self.from)?;
        Ok(Committed { skipped: self.skipped, ..self.files.commit()? })
    }
}

/// Whether a file that goes there goes into it, under a name of its own.
pub(crate) fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().last().is_some_and(|b| std::path::is_separator(char::from(*b)))
}

/// The input folder's files that are copied, and the names of what in it is none.
fn others(what: &FreshDescriptor<'_>) -> Result<(Vec<OtherFile>, Vec<OsString>)> {
    let Layout::Folder { real, index, .. } = &what.from.0.layout else { return Ok((Vec::new(), Vec::new())) };
    let known: Vec<&OsStr> = (what.from.shards().iter().map(|shard| OsStr::new(&shard.name)))
        .chain(index.iter().map(|index| index.name.as_os_str()))
        .chain(what.others.iter().map(|(name, _)| OsStr::new(name)))
        .collect();
    folder::others(real, &known)
}
