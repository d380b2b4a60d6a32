//! Where the output goes, and whether it may.
//!
//! Guarantees: no path that is returned is, under any name or through any link, a file of the input or inside its
//! folder; without `force` nothing exists there. (Outside of unix, hard links to the input are not recognised. They do
//! it no harm: the output is renamed into place, never written through an existing name.)

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::file::Identity;
use super::folder;
use super::read::{Checkpoint, Layout};
use super::unfinished::Unfinished;
use crate::{Error, Result};

/// The folder that an output goes to, as an absolute path without links, and the name in it if the output is one file.
pub(super) fn find(input: &Checkpoint, output: &Path) -> Result<(PathBuf, Option<OsString>)> {
    match &input.0.layout {
        Layout::File { name } => find_file(output, Some(name)).map(|(folder, name)| (folder, Some(name))),
        Layout::Folder { .. } => Ok((resolve(output)?, None)),
    }
}

/// The folder that one file goes to, and its name there: `inner` where the output is a folder.
pub(super) fn find_file(output: &Path, inner: Option<&OsStr>) -> Result<(PathBuf, OsString)> {
    let text = output.as_os_str().as_encoded_bytes();
    if output.is_dir() || text.last().is_some_and(|b| std::path::is_separator(char::from(*b))) {
        let name = inner.ok_or_else(|| refused(output, "it is a folder: give the name of a file"))?;
        return Ok((resolve(output)?, name.to_owned()));
    }
    match output.file_name() {
        Some(name) => Ok((resolve(output.parent().unwrap_or(Path::new("")))?, name.to_owned())),
        None => Err(refused(output, "it names no file: give one, such as `pruned.safetensors`")),
    }
}

/// The path without links, of which the last parts need not exist.
pub(super) fn resolve(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(if path.as_os_str().is_empty() { Path::new(".") } else { path })
        .map_err(Error::io("find", path))?;
    let mut missing = Vec::new();
    for existing in absolute.ancestors() {
        match fs::canonicalize(existing) {
            Ok(real) => return Ok(missing.iter().rev().fold(real, |path, part| path.join(part))),
            Err(e) if e.kind() == ErrorKind::NotFound && fs::symlink_metadata(existing).is_err() => {
                match existing.components().next_back() {
                    Some(Component::Normal(part)) => missing.push(part),
                    _ => return Err(refused(path, "it has `..` behind a folder that does not exist")),
                }
            }
            Err(e) => return Err(Error::io("find", existing)(e)),
        }
    }
    Err(refused(path, "no part of it exists"))
}

/// Refuses a folder that is the input's or inside it, or is not empty and not forced.
pub(super) fn check_folder(input: &Checkpoint, output: &Path, force: bool) -> Result<()> {
    let Layout::Folder { given, real, .. } = &input.0.layout else { return Ok(()) };
    check_outside(given, real, output)?;
    check_empty(output, force)
}

/// Refuses a folder that is an input's or inside it; `given` is what the user calls that, `real` what it is.
pub(super) fn check_outside(given: &Path, real: &Path, output: &Path) -> Result<()> {
    let inside = |place: &Path| {
        place == real
            || matches!((fs::metadata(place), fs::metadata(real)),
                (Ok(a), Ok(b)) if Identity::of(&a).is(Identity::of(&b)))
    };
    if output.ancestors().any(inside) {
        return Err(refused(output, &format!("it is inside the input, {}: choose another folder", given.display())));
    }
    Ok(())
}

/// Refuses a folder that is none, or is not empty and not forced.
pub(super) fn check_empty(output: &Path, force: bool) -> Result<()> {
    match fs::metadata(output) {
        Ok(metadata) if !metadata.is_dir() => {
            Err(refused(output, "it is a file, and a checkpoint that is a folder needs a folder"))
        }
        Ok(_) if !force && !folder::names(output)?.is_empty() => Err(refused(
            output,
            "the folder is not empty: choose another, or force files of the same name to be replaced",
        )),
        _ => Ok(()),
    }
}

/// Refuses a final path that is a file of the input, no regular file, or exists and is not forced.
pub(super) fn check_file(folder: &Path, name: &OsStr, inputs: &[Identity], reals: &[&Path], force: bool) -> Result<()> {
    let path = folder.join(name);
    if reals.contains(&path.as_path()) {
        return Err(refused(&path, "it is a file of the input, which is never written to"));
    }
    if fs::symlink_metadata(&path).is_err_and(|e| e.kind() == ErrorKind::NotFound) {
        return Ok(());
    }
    match fs::metadata(&path) {
        Ok(metadata) => {
            let same = inputs.iter().any(|i| i.is(Identity::of(&metadata)));
            // Where identities are not known, at least links are.
            if same || fs::canonicalize(&path).is_ok_and(|real| reals.contains(&real.as_path())) {
                return Err(refused(&path, "it is a file of the input under another name: choose another"));
            }
            if !metadata.is_file() {
                return Err(refused(&path, "something that is not a regular file is there"));
            }
        }
        // A dangling link is like any existing file: replaced itself, if forced.
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io("read", &path)(e)),
    }
    if force { Ok(()) } else { Err(refused(&path, "it exists: choose another name, or force it to be replaced")) }
}

pub(super) fn refused(path: &Path, reason: &str) -> Error {
    Error::Output { path: path.to_owned(), reason: reason.to_owned() }
}

/// Folders that were created for an output; removed again when dropped, as far as they are empty.
#[derive(Debug)]
pub(super) struct Created {
    folders: Vec<PathBuf>,
    unfinished: Unfinished,
}

impl Created {
    /// Creates a folder and its parents, as far as they are missing.
    pub(super) fn folder(path: &Path, unfinished: &Unfinished) -> Result<Self> {
        let mut created = Self { folders: Vec::new(), unfinished: unfinished.clone() };
        let missing: Vec<&Path> = path.ancestors().take_while(|p| !p.exists()).collect();
        // Taken after `created` is made, so released before that is dropped.
        let mut made = unfinished.lock();
        made.placed = false;
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) => {
                    created.folders.push(folder.to_owned());
                    made.folders.push(folder.to_owned());
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
                Err(e) => return Err(Error::io("create", folder)(e)),
            }
        }
        drop(made);
        Ok(created)
    }

    /// Lets them stay.
    pub(super) fn keep(mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.folders)
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        let _made = self.unfinished.lock();
        for folder in self.folders.iter().rev() {
            // Fails where something else has been put there meanwhile, which is as it should be.
            let _ = fs::remove_dir(folder);
        }
    }
}
