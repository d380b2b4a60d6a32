//! The output of a run: written beside its final names, synced, then renamed into place.
//!
//! Guarantees:
//!
//! - Until [`Output::commit`], all that exists is one folder named `.lopper-…` in the output's folder. Dropping the
//!   output removes it, and the folders that were created for it; so does [`Unfinished::abandon`], for a process that
//!   cannot wait for that. (One that is killed leaves it behind; it is never taken for part of a checkpoint, and may be
//!   deleted.) It stays if it holds work that another run can go on from.
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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

use super::changed;
use super::file::{self, Handles};
use super::folder::OtherFile;
use super::header::MAX_HEADER_BYTES;
use super::journal::{Journal, Line};
use super::metadata;
use super::pending::{Pending, copy_failed, rename_all, sync_folder};
use super::place::Created;
use super::problem::{CheckpointProblem as Problem, quoted};
use super::read::{Checkpoint, Layout, Shard};
use super::scaffold::{self, INDEX, Scaffold};
use super::unfinished::Unfinished;
use crate::{Error, Result};

/// The most bytes that are copied between two calls of a progress function.
const COPY_CHUNK: u64 = 64 << 20;

/// A checkpoint that is being written.
#[derive(Debug)]
pub struct Output {
    pub(super) input: Checkpoint,
    pub(super) force: bool,
    /// All was written by an earlier run, which had begun to give files their final names.
    pub(super) placing: bool,
    pub(super) handles: Handles,
    /// Bytes written to each tensor.
    pub(super) written: Vec<AtomicU64>,
    /// Bytes written to each shard since it was last synced.
    pub(super) unsynced: Vec<AtomicU64>,
    /// Up to which byte what is copied of each shard lies there.
    pub(super) copied: Vec<AtomicU64>,
    /// Once the rest was copied: which tensors are not part of it.
    pub(super) not_copied: OnceLock<Vec<bool>>,
    pub(super) shards: Vec<Pending>,
    /// What is added to the headers.
    pub(super) entry: Option<Entry>,
    /// Where the data of each shard begins.
    pub(super) data_starts: Vec<u64>,
    pub(super) others: Vec<OtherFile>,
    pub(super) skipped: Vec<OsString>,
    pub(super) folder: PathBuf,
    pub(super) final_path: PathBuf,
    /// Lines for the journal about what may not be on disk yet.
    pub(super) notes: Mutex<Vec<Line>>,
    /// Held while what was written is made to last.
    pub(super) settling: Mutex<()>,
    pub(super) sync_failed: AtomicBool,
    pub(super) journal: Option<Journal>,
    pub(super) unfinished: Unfinished,
    /// Last but one, so that it is removed when no file in it is open.
    pub(super) scaffold: Scaffold,
    /// Last, so that it is removed when nothing is in it.
    pub(super) created: Created,
}

/// An entry of `__metadata__`.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: &'static str,
    pub value: String,
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
    /// Writes `bytes` to tensor number `tensor`, from `offset` (counted from the tensor's start) on.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the range leaves the tensor, [`Error::Io`] if it cannot be written.
    pub fn write_at(&self, tensor: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let (info, at) = self.input.locate(tensor, offset, bytes.len() as u64)?;
        let pending = &self.shards[info.shard];
        let (file, at) = (self.writable(info.shard)?, self.place(info.shard, at));
        let about = |e: io::Error| io::Error::new(e.kind(), format!("tensor {}: {e}", quoted(&info.name)));
        file::write_all_at(&file, bytes, at).map_err(|e| Error::io("write", &pending.to)(about(e)))?;
        self.written[tensor].fetch_add(bytes.len() as u64, Relaxed);
        self.unsynced[info.shard].fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    /// Writes the headers, and copies every tensor for which `written` is false, from the input.
    ///
    /// Calls `on_bytes` with the bytes copied since its last call, of which there are at most 64 MiB.
    ///
    /// # Errors
    /// [`Error::Io`] if something cannot be read or written, [`Error::Checkpoint`] if the input was replaced.
    pub fn copy_rest(&self, written: &dyn Fn(usize) -> bool, on_bytes: &dyn Fn(u64)) -> Result<()> {
        self.try_copy_rest(written, &|_, bytes| {
            on_bytes(bytes);
            Ok(())
        })
    }

    /// As [`copy_rest`](Self::copy_rest), but tells `on_bytes` the number of the shard too, and stops with its error if it
    /// returns one.
    ///
    /// # Errors
    /// As [`copy_rest`](Self::copy_rest), and those of `on_bytes`.
    pub fn try_copy_rest(
        &self,
        written: &dyn Fn(usize) -> bool,
        on_bytes: &dyn Fn(usize, u64) -> Result<()>,
    ) -> Result<()> {
        let written: Vec<bool> = (0..self.written.len()).map(written).collect();
        for (number, (shard, pending)) in self.input.shards().iter().zip(&self.shards).enumerate() {
            if self.placing {
                break;
            }
            // Handles of their own: copying moves a handle's position.
            let (from, to) = (shard.reopen()?, pending.reopen()?);
            self.write_header(number, &to)?;
            on_bytes(number, shard.data_start)?;
            for range in self.rest(number, &written) {
                // What an earlier run has copied is done.
                let mut start = self.copied[number].load(Relaxed).clamp(range.start, range.end);
                on_bytes(number, start - range.start)?;
                while start < range.end {
                    let end = range.end.min(start + COPY_CHUNK);
                    let at = self.place(number, start);
                    file::copy_range(&from, start..end, &to, at)
                        .map_err(|e| copy_failed(&shard.path, &pending.to, e))?;
                    self.unsynced[number].fetch_add(end - start, Relaxed);
                    self.copied[number].store(end, Relaxed);
                    self.note_line(Line::Copied { shard: number, end });
                    on_bytes(number, end - start)?;
                    start = end;
                }
            }
        }
        // A second call has copied at least what it says, so the first call's answer stays valid.
        let _ = self.not_copied.set(written);
        Ok(())
    }

    /// Where byte `at` of an input shard's data lies in the output.
    fn place(&self, shard: usize, at: u64) -> u64 {
        at - self.input.shards()[shard].data_start + self.data_starts[shard]
    }

    fn write_header(&self, number: usize, to: &File) -> Result<()> {
        let text = header(&self.input.shards()[number], self.entry.as_ref())?;
        let bytes = [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        file::write_all_at(to, &bytes, 0).map_err(Error::io("write", &self.shards[number].to))?;
        self.unsynced[number].fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    /// What is to be copied of a shard's data: all but the tensors that are written otherwise.
    fn rest(&self, shard: usize, written: &[bool]) -> Vec<Range<u64>> {
        let (mut ranges, mut start) = (Vec::new(), self.input.shards()[shard].data_start);
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
    /// [`Error::Checkpoint`] if the output is not written in full or the input has changed, [`Error::Output`] if a file
    /// has appeared where one was to go, [`Error::Io`] if the operating system refuses something.
    pub fn commit(self) -> Result<Committed> {
        self.check_complete()?;
        self.settle()?;
        for (number, pending) in self.shards.iter().enumerate().filter(|_| !self.placing) {
            self.writable(number)?.sync_all().map_err(Error::io("sync", &pending.to))?;
        }
        // The first of these bindings, so the last to be dropped if something fails: folders are removed only when
        // empty.
        let (created, scaffold) = (self.created, self.scaffold);
        let Self { input, force, placing, handles, shards: mut files, data_starts, others, skipped, .. } = self;
        let Self { folder, final_path, journal, unfinished, .. } = self;
        drop(handles);
        let lengths =
            input.shards().iter().zip(&data_starts).map(|(shard, start)| start + shard.len - shard.data_start);
        let mut bytes: u64 = lengths.sum();
        // An earlier run that was interrupted here may have given some files their names.
        let placed = |name: &str| placing && !scaffold.has(name);
        for (number, other) in others.into_iter().enumerate() {
            let (to, name) = (folder.join(&other.name), scaffold::other(number));
            if placed(&name) {
                continue;
            }
            let from = File::open(&other.real).map_err(Error::io("open", &other.real))?;
            let len = from.metadata().map_err(Error::io("read", &other.real))?.len();
            let (file, pending) = scaffold.new_file(&name, to)?;
            file::copy_range(&from, 0..len, &file, 0)
                .and_then(|()| file.sync_all())
                .map_err(|e| copy_failed(&other.real, &pending.to, e))?;
            bytes += len;
            files.push(pending);
        }
        if let Layout::Folder { index: Some(index), .. } = &input.0.layout
            && !placed(INDEX)
        {
            let (mut file, pending) = scaffold.new_file(INDEX, folder.join(&index.name))?;
            file.write_all(&index.bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", &pending.to))?;
            bytes += index.bytes.len() as u64;
            files.push(pending);
        }
        // Another run would not go on from what was read of another input.
        changed::check(&input).inspect_err(|_| scaffold.lasts(false))?;
        let count = files.len();
        if let Some(journal) = &journal {
            journal.append(&[Line::Placing])?;
            scaffold.lasts(true);
        }
        files.retain(|file| !placing || file.temp.exists());
        rename_all(files, force, &unfinished)?;
        scaffold.lasts(false);
        sync_folder(&folder)?;
        for parent in created.keep().iter().filter_map(|made| made.parent()) {
            sync_folder(parent)?;
        }
        drop(journal);
        Ok(Committed { path: final_path, files: count, bytes, skipped })
    }

    fn check_complete(&self) -> Result<()> {
        let refused = |path: &Path, problem| Error::Checkpoint { path: path.to_owned(), problem };
        if self.placing {
            return Ok(());
        }
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
    pub(super) fn writable(&self, shard: usize) -> Result<std::sync::Arc<File>> {
        let (file, evicted) = self.handles.get(shard, || self.shards[shard].reopen())?;
        if let Some(evicted) = evicted {
            // Some systems report a failed write only to handles that were open at the time.
            self.sync(&evicted, &self.folder)?;
        }
        Ok(file)
    }
}

/// The text of a shard's header in the output.
pub(super) fn header(shard: &Shard, entry: Option<&Entry>) -> Result<String> {
    let text = shard.header_text()?;
    let Some(entry) = entry else { return Ok(text) };
    let text = metadata::with_entry(&text, entry.key, &entry.value);
    let (header, max) = (text.len() as u64, MAX_HEADER_BYTES);
    if header > max {
        let problem = Problem::HeaderGrows { key: entry.key, header, max };
        return Err(Error::Checkpoint { path: shard.path.clone(), problem });
    }
    Ok(text)
}
