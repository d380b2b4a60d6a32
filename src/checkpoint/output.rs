//! The output of a run: written beside its final names, synced, then renamed into place.
//!
//! Guarantees:
//!
//! - Until [`Output::commit`], all that exists are files named `.lopper-…` in the output's folder. Dropping the output
//!   removes them, and the folders that were created for them; so does [`Unfinished::abandon`], for a process that
//!   cannot wait for that. (One that is killed leaves them behind; they are never taken for part of a checkpoint, and
//!   may be deleted.)
//! - `commit` renames nothing before everything is written and synced; the index comes last. Without `force` no file is
//!   replaced, not even one that appeared meanwhile.
//! - `commit` refuses an output that is not written in full.
//!
//! Memory: a few bytes per tensor. Writing and copying take `&self` and may be called from several threads at once.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::changed;
use super::file::{self, Handles, Identity};
use super::folder::{self, OtherFile};
use super::pending::{Pending, copy_failed, new_file, rename_all, sync_folder};
use super::place::{self, Created};
use super::problem::{CheckpointProblem as Problem, quoted};
use super::read::{Checkpoint, Layout};
use super::unfinished::Unfinished;
use crate::{Error, Result};

/// The most bytes that are copied between two calls of a progress function.
const COPY_CHUNK: u64 = 64 << 20;

/// A checkpoint that is being written.
#[derive(Debug)]
pub struct Output {
    input: Checkpoint,
    force: bool,
    handles: Handles,
    /// Bytes written to each tensor.
    written: Vec<AtomicU64>,
    /// Bytes written to each shard since it was last synced.
    unsynced: Vec<AtomicU64>,
    /// Once the rest was copied: which tensors are not part of it.
    not_copied: OnceLock<Vec<bool>>,
    shards: Vec<Pending>,
    others: Vec<OtherFile>,
    skipped: Vec<OsString>,
    folder: PathBuf,
    final_path: PathBuf,
    unfinished: Unfinished,
    /// Last, so that it is dropped when the temporary files are gone.
    created: Created,
}

/// What a finished output is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The output file, or the output folder.
    pub path: PathBuf,
    /// How many files were written: shards, index and others.
    pub files: usize,
    /// Their length in bytes.
    pub bytes: u64,
    /// What lies in the input's folder and was not copied: sub-folders, pipes, dangling links and links that lead out.
    pub skipped: Vec<OsString>,
}

impl Output {
    /// Prepares an output of the input's layout and sizes.
    ///
    /// For an input that is a single file, `output` is a file; if it is an existing folder or ends in a path separator,
    /// the file goes in it under the input's name. For an index or a folder, `output` is a folder, and every other
    /// regular file at the top of the input's folder is copied too (sub-folders are not). Missing folders are created.
    ///
    /// With `force`, files of the same names are replaced when the output is committed, one by one; other files in an
    /// output folder stay. A link is replaced itself, not what it leads to.
    ///
    /// # Errors
    /// [`Error::Output`] if the output is the input or inside it, under whichever name, or exists (a folder: is not
    /// empty) and `force` is false; [`Error::Io`] if files cannot be created.
    pub fn create(input: &Checkpoint, output: &Path, force: bool) -> Result<Self> {
        Self::create_noting(input, output, force, &Unfinished::default())
    }

    /// As [`create`](Self::create), and notes in `unfinished` what it makes, until it is committed.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_noting(input: &Checkpoint, output: &Path, force: bool, unfinished: &Unfinished) -> Result<Self> {
        let (folder, single) = place::find(input, output)?;
        place::check_folder(input, &folder, force)?;
        let inner = &input.0;
        let mut names: Vec<OsString> = match &single {
            Some(name) => vec![name.clone()],
            None => inner.shards.iter().map(|shard| OsString::from(&shard.name)).collect(),
        };
        let shard_count = names.len();
        let (mut others, mut skipped) = (Vec::new(), Vec::new());
        let mut identities: Vec<Identity> = inner.shards.iter().map(|s| s.identity).collect();
        if let Layout::Folder { real, index, .. } = &inner.layout {
            names.extend(index.iter().map(|index| index.name.clone()));
            identities.extend(index.iter().map(|index| index.identity));
            let known: Vec<_> = names.iter().map(OsString::as_os_str).collect();
            (others, skipped) = folder::others(real, &known)?;
            names.extend(others.iter().map(|other| other.name.clone()));
            identities.extend(others.iter().map(|other| other.identity));
        }
        let reals: Vec<&Path> =
            inner.shards.iter().map(|s| s.real.as_path()).chain(others.iter().map(|o| o.real.as_path())).collect();
        for name in &names {
            place::check_file(&folder, name, &identities, &reals, force)?;
        }

        let created = Created::folder(&folder, unfinished)?;
        let mut shards = Vec::new();
        for (name, shard) in names.iter().take(shard_count).zip(&inner.shards) {
            let to = folder.join(name);
            let (file, pending) = new_file(&folder, to, unfinished)?;
            file.set_len(shard.len).map_err(Error::io("write", &pending.to))?;
            shards.push(pending);
        }
        Ok(Self {
            input: input.clone(),
            force,
            handles: Handles::default(),
            written: inner.tensors.iter().map(|_| AtomicU64::new(0)).collect(),
            unsynced: inner.shards.iter().map(|_| AtomicU64::new(0)).collect(),
            not_copied: OnceLock::new(),
            shards,
            others,
            skipped,
            final_path: single.map_or_else(|| folder.clone(), |name| folder.join(name)),
            folder,
            unfinished: unfinished.clone(),
            created,
        })
    }

    /// Writes `bytes` to tensor number `tensor`, from `offset` (counted from the tensor's start) on.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the range leaves the tensor, [`Error::Io`] if it cannot be written.
    pub fn write_at(&self, tensor: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let (info, at) = self.input.locate(tensor, offset, bytes.len() as u64)?;
        let pending = &self.shards[info.shard];
        let file = self.writable(info.shard)?;
        let about = |e: io::Error| io::Error::new(e.kind(), format!("tensor {}: {e}", quoted(&info.name)));
        file::write_all_at(&file, bytes, at).map_err(|e| Error::io("write", &pending.to)(about(e)))?;
        self.written[tensor].fetch_add(bytes.len() as u64, Relaxed);
        self.unsynced[info.shard].fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    /// Syncs shards of which at least `least` bytes have been written since they were last synced; says whether there
    /// were any. Called beside the writing, it leaves [`commit`](Self::commit) little to wait for, and keeps the system
    /// from holding a whole checkpoint in memory that is not on disk yet.
    ///
    /// # Errors
    /// [`Error::Io`] if the data cannot be written out.
    pub fn sync_ahead(&self, least: u64) -> Result<bool> {
        let mut any = false;
        for (number, unsynced) in self.unsynced.iter().enumerate() {
            if unsynced.load(Relaxed) >= least {
                unsynced.store(0, Relaxed);
                self.writable(number)?.sync_data().map_err(Error::io("sync", &self.shards[number].to))?;
                any = true;
            }
        }
        Ok(any)
    }

    /// Copies the headers, and every tensor for which `written` is false, from the input.
    ///
    /// Calls `on_bytes` with the bytes copied since its last call, of which there are at most 64 MiB.
    ///
    /// # Errors
    /// [`Error::Io`] if something cannot be read or written, [`Error::Checkpoint`] if the input was replaced.
    pub fn copy_rest(&self, written: &dyn Fn(usize) -> bool, on_bytes: &dyn Fn(u64)) -> Result<()> {
        self.try_copy_rest(written, &|bytes| {
            on_bytes(bytes);
            Ok(())
        })
    }

    /// As [`copy_rest`](Self::copy_rest), but stops with the error of `on_bytes` if it returns one.
    ///
    /// # Errors
    /// As [`copy_rest`](Self::copy_rest), and those of `on_bytes`.
    pub fn try_copy_rest(&self, written: &dyn Fn(usize) -> bool, on_bytes: &dyn Fn(u64) -> Result<()>) -> Result<()> {
        let written: Vec<bool> = (0..self.written.len()).map(written).collect();
        for (number, (shard, pending)) in self.input.shards().iter().zip(&self.shards).enumerate() {
            // Handles of their own: copying moves a handle's position.
            let (from, to) = (shard.reopen()?, pending.reopen()?);
            for range in self.rest(number, &written) {
                let mut start = range.start;
                while start < range.end {
                    let end = range.end.min(start + COPY_CHUNK);
                    file::copy_range(&from, &to, start..end).map_err(|e| copy_failed(&shard.path, &pending.to, e))?;
                    self.unsynced[number].fetch_add(end - start, Relaxed);
                    on_bytes(end - start)?;
                    start = end;
                }
            }
        }
        // A second call has copied at least what it says, so the first call's answer stays valid.
        let _ = self.not_copied.set(written);
        Ok(())
    }

    /// What is to be copied of a shard: the file less the tensors that are written otherwise.
    fn rest(&self, shard: usize, written: &[bool]) -> Vec<Range<u64>> {
        let (mut ranges, mut start) = (Vec::new(), 0);
        for (info, _) in self.input.tensors().iter().zip(written).filter(|(t, written)| t.shard == shard && **written) {
            ranges.push(start..info.range.start);
            start = info.range.end;
        }
        ranges.push(start..self.input.shards()[shard].len);
        ranges.retain(|range| !range.is_empty());
        ranges
    }

    /// Syncs everything, copies the other files, and renames all into place: shards, other files, the index last.
    ///
    /// If a rename fails, those before it are undone, except with `force`: what was replaced is gone.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the output is not written in full or the input has changed, [`Error::Output`] if a file has appeared where one
    /// was to go, [`Error::Io`] if the operating system refuses something.
    pub fn commit(self) -> Result<Committed> {
        self.check_complete()?;
        for (number, pending) in self.shards.iter().enumerate() {
            self.writable(number)?.sync_all().map_err(Error::io("sync", &pending.to))?;
        }
        // The first of these bindings, so the last to be dropped if something fails: folders are removed only when
        // empty.
        let created = self.created;
        let Self { input, force, handles, shards: mut files, others, skipped, folder, final_path, unfinished, .. } =
            self;
        drop(handles);
        let mut bytes = input.total_bytes();
        for other in others {
            let to = folder.join(&other.name);
            let from = File::open(&other.real).map_err(Error::io("open", &other.real))?;
            let len = from.metadata().map_err(Error::io("read", &other.real))?.len();
            let (file, pending) = new_file(&folder, to, &unfinished)?;
            file::copy_range(&from, &file, 0..len)
                .and_then(|()| file.sync_all())
                .map_err(|e| copy_failed(&other.real, &pending.to, e))?;
            bytes += len;
            files.push(pending);
        }
        if let Layout::Folder { index: Some(index), .. } = &input.0.layout {
            let (mut file, pending) = new_file(&folder, folder.join(&index.name), &unfinished)?;
            file.write_all(&index.bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", &pending.to))?;
            bytes += index.bytes.len() as u64;
            files.push(pending);
        }
        changed::check(&input)?;
        let count = files.len();
        rename_all(files, force, &unfinished)?;
        sync_folder(&folder)?;
        for parent in created.keep().iter().filter_map(|made| made.parent()) {
            sync_folder(parent)?;
        }
        Ok(Committed { path: final_path, files: count, bytes, skipped })
    }

    fn check_complete(&self) -> Result<()> {
        let refused = |path: &Path, problem| Error::Checkpoint { path: path.to_owned(), problem };
        let Some(not_copied) = self.not_copied.get() else {
            return Err(refused(&self.final_path, Problem::RestNotCopied));
        };
        for ((info, written), _) in
            self.input.tensors().iter().zip(&self.written).zip(not_copied).filter(|(_, not_copied)| **not_copied)
        {
            let (written, len) = (written.load(Relaxed), info.bytes());
            if written < len {
                let problem = Problem::Unwritten { tensor: info.name.clone(), written, len };
                return Err(refused(&self.shards[info.shard].to, problem));
            }
        }
        Ok(())
    }

    /// A handle for positioned writes.
    fn writable(&self, shard: usize) -> Result<std::sync::Arc<File>> {
        let (file, evicted) = self.handles.get(shard, || self.shards[shard].reopen())?;
        if let Some(evicted) = evicted {
            // Some systems report a failed write only to handles that were open at the time.
            evicted.sync_data().map_err(Error::io("sync", &self.folder))?;
        }
        Ok(file)
    }
}
