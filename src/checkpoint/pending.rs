//! Temporary files and how they get their final names.
//!
//! Guarantees: a temporary file that is not renamed is removed when dropped; its permissions are those of any new file
//! of this user; without `force` no rename replaces anything.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use super::file::Identity;
use super::folder::TEMPORARY;
use super::place;
use super::problem::CheckpointProblem as Problem;
use super::unfinished::{Made, Unfinished};
use crate::{Error, Result};

/// A temporary file and its final path.
#[derive(Debug)]
pub(super) struct Pending {
    temp: TempPath,
    identity: Identity,
    pub(super) to: PathBuf,
}

impl Pending {
    /// A handle of its own, with its own position.
    pub(super) fn reopen(&self) -> Result<File> {
        let file = OpenOptions::new().read(true).write(true).open(&self.temp).map_err(Error::io("open", &self.temp))?;
        let metadata = file.metadata().map_err(Error::io("open", &self.temp))?;
        if Identity::of(&metadata).differs(self.identity) {
            return Err(Error::Checkpoint { path: self.temp.to_path_buf(), problem: Problem::Replaced });
        }
        Ok(file)
    }
}

/// A new temporary file in `folder`, with the permissions that any new file of this user gets.
pub(super) fn new_file(folder: &Path, to: PathBuf, unfinished: &Unfinished) -> Result<(File, Pending)> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut made = unfinished.lock();
    let (file, temp) = builder.tempfile_in(folder).map(NamedTempFile::into_parts).map_err(Error::io("create", &to))?;
    made.files.push(temp.to_path_buf());
    let identity = Identity::of(&file.metadata().map_err(Error::io("create", &to))?);
    Ok((file, Pending { temp, identity, to }))
}

/// Of a copy, the operating system does not say which side failed: the error names both.
pub(super) fn copy_failed(from: &Path, to: &Path, e: io::Error) -> Error {
    let e = io::Error::new(e.kind(), format!("from {}: {e}", from.display()));
    Error::io("copy", to)(e)
}

/// Gives all files their final names, in order. If one fails, those before it are removed again unless `force`.
pub(super) fn rename_all(files: Vec<Pending>, force: bool, unfinished: &Unfinished) -> Result<()> {
    // Until all are renamed: half of a checkpoint is worse than none.
    let mut made = unfinished.lock();
    let mut renamed: Vec<PathBuf> = Vec::new();
    for Pending { temp, to, .. } in files {
        let done = if force { temp.persist(&to).map_err(|e| e.error) } else { rename_to_new(temp, &to) };
        if let Err(e) = done {
            if !force {
                renamed.iter().for_each(|path| drop(fs::remove_file(path)));
            }
            return Err(match e.kind() {
                io::ErrorKind::AlreadyExists => place::refused(&to, "it appeared while lopper ran"),
                _ => Error::io("rename", &to)(e),
            });
        }
        renamed.push(to);
    }
    *made = Made { placed: true, ..Made::default() };
    Ok(())
}

fn rename_to_new(temp: TempPath, to: &Path) -> io::Result<()> {
    match temp.persist_noclobber(to) {
        Ok(()) => Ok(()),
        // Some file systems (FAT, some of networks) know no rename that refuses to replace, and no hard links either.
        Err(e) if e.error.kind() != io::ErrorKind::AlreadyExists && fs::symlink_metadata(to).is_err() => {
            e.path.persist(to).map_err(|e| e.error)
        }
        Err(e) => Err(e.error),
    }
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
