//! Files of any kind that appear together under their final names, or not at all.
//!
//! Guarantees:
//!
//! - Until [`NewFiles::commit`], all that exists is one folder named `.lopper-…` where the files will be. Dropping the files
//!   removes it, and the folders that were created for it; so does [`Unfinished::abandon`].
//! - No final path is, under any name or through any link, one of the [`Sources`], or lies inside a folder of theirs.
//!   Without `force` no file is replaced, not even one that appeared meanwhile.
//! - `commit` renames nothing before everything is synced, and gives names in the order in which files were begun.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::file::{self, Handles, Identity};
use super::output::Committed;
use super::pending::{Pending, copy_failed, rename_all, sync_folder};
use super::place::{self, Created};
use super::read::{Checkpoint, Layout};
use super::scaffold::Scaffold;
use super::unfinished::Unfinished;
use crate::{Error, Result};

/// What new files are made from, and may not replace.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<(PathBuf, Identity)>,
    /// Folders whose insides are not written to: as they were given, and what they are.
    folders: Vec<(PathBuf, PathBuf)>,
}

impl Sources {
    /// A file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be looked at.
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        let real = std::fs::canonicalize(path).map_err(Error::io("open", path))?;
        let metadata = std::fs::metadata(&real).map_err(Error::io("open", path))?;
        self.files.push((real, Identity::of(&metadata)));
        Ok(())
    }

    /// All shards of a checkpoint, and the folder that it is.
    pub fn add(&mut self, checkpoint: &Checkpoint) {
        self.files.extend(checkpoint.shards().iter().map(|shard| (shard.real.clone(), shard.identity)));
        if let Layout::Folder { given, real, .. } = &checkpoint.0.layout {
            self.folders.push((given.clone(), real.clone()));
        }
    }

    /// Refuses an output for a checkpoint that [`Fresh::create`](super::Fresh::create) would refuse, as far as that can be told
    /// before it is known which files there will be.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub(crate) fn check_output(&self, from: &Checkpoint, output: &Path, force: bool) -> Result<()> {
        let (folder, name) = place::find(from, output)?;
        self.check_folder(&folder)?;
        match name {
            Some(name) => self.check_files(&folder, &[name], force),
            None => {
                place::check_empty(&folder, force)?;
                let shards: Vec<OsString> = from.shards().iter().map(|shard| OsString::from(&shard.name)).collect();
                self.check_files(&folder, &shards, force)
            }
        }
    }

    /// Refuses a folder that is one of them or inside one.
    fn check_folder(&self, folder: &Path) -> Result<()> {
        self.folders.iter().try_for_each(|(given, real)| place::check_outside(given, real, folder))
    }

    /// Refuses names that would replace one of them.
    fn check_files(&self, folder: &Path, names: &[OsString], force: bool) -> Result<()> {
        let identities: Vec<Identity> = self.files.iter().map(|(_, identity)| *identity).collect();
        let reals: Vec<&Path> = self.files.iter().map(|(real, _)| real.as_path()).collect();
        names.iter().try_for_each(|name| place::check_file(folder, name, &identities, &reals, force))
    }
}

/// Files that are being written. May be written to from several threads at once.
#[derive(Debug)]
pub struct NewFiles {
    force: bool,
    folder: PathBuf,
    final_path: PathBuf,
    files: Vec<Pending>,
    handles: Handles,
    /// The end of what was written to each.
    ends: Vec<AtomicU64>,
    unfinished: Unfinished,
    /// Last but one, so that it is removed when no file in it is open.
    scaffold: Scaffold,
    /// Last, so that it is removed when nothing is in it.
    created: Created,
}

impl NewFiles {
    /// Begins one file at `output`. Notes in `unfinished` what it makes, until it is committed.
    ///
    /// # Errors
    /// [`Error::Output`] if it is one of the sources, or exists and `force` is false; [`Error::Io`] if it cannot be created.
    pub fn file(output: &Path, sources: &Sources, force: bool, unfinished: &Unfinished) -> Result<Self> {
        let (folder, name) = place::find_file(output, None)?;
        let final_path = folder.join(&name);
        Self::begin(folder, final_path, vec![name], sources, force, unfinished)
    }

    /// Begins files of these names, which are numbers 0 and up, in the folder of `output`, and `output` itself as the last.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn beside(
        output: &Path,
        names: &[&OsStr],
        sources: &Sources,
        force: bool,
        unfinished: &Unfinished,
    ) -> Result<Self> {
        let (folder, name) = place::find_file(output, None)?;
        let final_path = folder.join(&name);
        if names.contains(&name.as_os_str()) {
            return Err(place::refused(&final_path, "another file of the same output has this name"));
        }
        let names = names.iter().map(|name| (*name).to_owned()).chain([name]).collect();
        Self::begin(folder, final_path, names, sources, force, unfinished)
    }

    /// Begins files of these names in the folder `output`, which is created, or is empty, or is forced.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn folder(
        output: &Path,
        names: &[&OsStr],
        sources: &Sources,
        force: bool,
        unfinished: &Unfinished,
    ) -> Result<Self> {
        let folder = place::resolve(output)?;
        sources.check_folder(&folder)?;
        place::check_empty(&folder, force)?;
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self::begin(folder.clone(), folder, names, sources, force, unfinished)
    }

    fn begin(
        folder: PathBuf,
        final_path: PathBuf,
        names: Vec<OsString>,
        sources: &Sources,
        force: bool,
        unfinished: &Unfinished,
    ) -> Result<Self> {
        let plain = |name: &OsStr| Path::new(name).file_name() == Some(name);
        if let Some(name) = names.iter().find(|name| !plain(name)) {
            return Err(place::refused(&folder.join(name), "it is no plain file name"));
        }
        sources.check_folder(&folder)?;
        sources.check_files(&folder, &names, force)?;
        let created = Created::folder(&folder, unfinished)?;
        let scaffold = Scaffold::new(&folder, unfinished)?;
        let files = names
            .iter()
            .enumerate()
            .map(|(number, name)| Ok(scaffold.new_file(&number.to_string(), folder.join(name))?.1))
            .collect::<Result<Vec<Pending>>>()?;
        let ends = files.iter().map(|_| AtomicU64::new(0)).collect();
        let (handles, unfinished) = (Handles::default(), unfinished.clone());
        Ok(Self { force, folder, final_path, files, handles, ends, unfinished, scaffold, created })
    }

    /// Writes `bytes` to file number `number`, from byte `at` on. What is never written is zeros.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn write_at(&self, number: usize, at: u64, bytes: &[u8]) -> Result<()> {
        let file = self.writable(number)?;
        file::write_all_at(&file, bytes, at).map_err(Error::io("write", &self.files[number].to))?;
        self.ends[number].fetch_max(at + bytes.len() as u64, Relaxed);
        Ok(())
    }

    /// Copies a range of another file, called `path`, to byte `at` of file number `number`. On Linux the bytes do not leave
    /// the kernel. Moves the position of `from`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, has become shorter, or cannot be written.
    pub fn copy_range(&self, number: usize, at: u64, from: &File, range: Range<u64>, path: &Path) -> Result<()> {
        // A handle of its own: copying moves its position.
        let (to, end) = (self.files[number].reopen()?, at + (range.end - range.start));
        file::copy_range(from, range, &to, at).map_err(|e| copy_failed(path, &self.files[number].to, e))?;
        self.ends[number].fetch_max(end, Relaxed);
        Ok(())
    }

    /// Reads back what was written to file number `number`, from byte `at` on.
    ///
    /// # Errors
    /// [`Error::Io`] if there is less, or it cannot be read.
    pub fn read_at(&self, number: usize, at: u64, buf: &mut [u8]) -> Result<()> {
        let file = self.writable(number)?;
        file::read_exact_at(&file, buf, at).map_err(Error::io("read", &self.files[number].to))
    }

    /// Where file number `number` will be.
    pub fn path(&self, number: usize) -> &Path {
        &self.files[number].to
    }

    fn writable(&self, number: usize) -> Result<Arc<File>> {
        let pending = &self.files[number];
        let (file, evicted) = self.handles.get(number, || pending.reopen())?;
        if let Some(evicted) = evicted {
            // Some systems report a failed write only to handles that were open at the time.
            evicted.sync_data().map_err(Error::io("sync", &self.folder))?;
        }
        Ok(file)
    }

    /// Syncs all files, and renames them into place, in order.
    ///
    /// If a rename fails, those before it are undone, except with `force`: what was replaced is gone.
    ///
    /// # Errors
    /// [`Error::Output`] if a file has appeared where one was to go, [`Error::Io`] if the operating system refuses something.
    pub fn commit(self) -> Result<Committed> {
        for (number, pending) in self.files.iter().enumerate() {
            self.writable(number)?.sync_all().map_err(Error::io("sync", &pending.to))?;
        }
        // The first of these bindings, so the last to be dropped if something fails: folders are removed only when empty.
        let (created, _scaffold) = (self.created, self.scaffold);
        let Self { force, folder, final_path: path, files, handles, ends, unfinished, .. } = self;
        drop(handles);
        let (count, bytes) = (files.len(), ends.iter().map(|end| end.load(Relaxed)).sum());
        rename_all(files, force, &unfinished)?;
        sync_folder(&folder)?;
        for parent in created.keep().iter().filter_map(|made| made.parent()) {
            sync_folder(parent)?;
        }
        Ok(Committed { path, files: count, bytes, skipped: Vec::new() })
    }
}
