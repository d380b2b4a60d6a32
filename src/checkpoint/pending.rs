//! Files in a scaffold, and how they get their final names.
//!
//! Guarantees: without `force` no rename replaces anything.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::file::Identity;
use super::place;
use super::problem::CheckpointProblem as Problem;
use super::unfinished::Unfinished;
use crate::{Error, Result};

/// A file in a scaffold, and its final path.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) temp: PathBuf,
    pub(super) identity: Identity,
    pub(super) to: PathBuf,
}

impl Pending {
    /// A handle of its own, with its own position.
    pub(super) fn reopen(&self) -> Result<File> {
        let file = OpenOptions::new().read(true).write(true).open(&self.temp).map_err(Error::io("open", &self.temp))?;
        let metadata = file.metadata().map_err(Error::io("open", &self.temp))?;
        if Identity::of(&metadata).differs(self.identity) {
            return Err(Error::Checkpoint { path: self.temp.clone(), problem: Problem::Replaced });
        }
        Ok(file)
    }
}

/// Of a copy, the operating system does not say which side failed: the error names both.
pub(super) fn copy_failed(from: &Path, to: &Path, e: io::Error) -> Error {
    let e = io::Error::new(e.kind(), format!("from {}: {e}", from.display()));
    Error::io("copy", to)(e)
}

/// Gives all files their final names, in order. If one fails, those before it go back unless `force`.
pub(super) fn rename_all(files: Vec<Pending>, force: bool, unfinished: &Unfinished) -> Result<()> {
    // Until all are renamed: half of a checkpoint is worse than none.
    let mut made = unfinished.lock();
    let mut renamed: Vec<(PathBuf, PathBuf)> = Vec::new();
    for Pending { temp: path, to, .. } in files {
        let temp = TempPath::try_from_path(&path).map_err(Error::io("rename", &to))?;
        let done = if force { rename(temp, &to) } else { rename_to_new(temp, &to) };
        if let Err(e) = done {
            if !force {
                renamed.iter().for_each(|(path, to)| drop(fs::rename(to, path)));
            }
            return Err(match e.kind() {
                io::ErrorKind::AlreadyExists => place::refused(&to, "it appeared while lopper ran"),
                _ => Error::io("rename", &to)(e),
            });
        }
        renamed.push((path, to));
    }
    made.placed = !renamed.iter().any(|(_, to)| made.holds(to));
    made.folders.clear();
    Ok(())
}

fn rename_to_new(temp: TempPath, to: &Path) -> io::Result<()> {
    match temp.persist_noclobber(to) {
        Ok(()) => Ok(()),
        // Some file systems (FAT, some of networks) know no rename that refuses to replace, and no hard links either.
        Err(e) if e.error.kind() != io::ErrorKind::AlreadyExists && fs::symlink_metadata(to).is_err() => {
            rename(e.path, to)
        }
        Err(e) => {
            // Otherwise it would be deleted.
            let _ = e.path.keep();
            Err(e.error)
        }
    }
}

fn rename(temp: TempPath, to: &Path) -> io::Result<()> {
    temp.persist(to).map_err(|e| {
        let _ = e.path.keep();
        e.error
    })
}

/// Makes the renames in a folder last.
#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems cannot sync a folder.
        Err(e) if !matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Err(Error::io("sync", folder)(e))
        }
        _ => Ok(()),
    }
}

/// Windows writes renames to its journal by itself.
#[cfg(not(unix))]
pub(super) fn sync_folder(_: &Path) -> Result<()> {
    Ok(())
}
