//! The folder in which an output is made: `.lopper-` and random characters, beside where its files will be.
//!
//! ```text
//! .lopper-x7Kq2f/   only its user may enter it
//!   0, 1, …         the shards, at their full length from the start
//!   index, other-0, …   once all shards are done: the index, the other files
//!   journal         what the run is, and what of it is done: see `journal.rs`
//!   counts          what has been counted, as far as that is not done
//! ```
//!
//! Guarantees: nothing in it is reached through a link; files in it have the permissions that any new file of this user
//! gets. It is removed when dropped, unless it holds work that another run can go on from.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::file::Identity;
use super::folder::TEMPORARY;
use super::pending::Pending;
use super::place::{refused, resolve};
use super::unfinished::Unfinished;
use crate::{Error, Result};

/// Names of the index and of another file in it.
pub(super) const INDEX: &str = "index";
pub(super) fn other(number: usize) -> String {
    format!("other-{number}")
}

#[derive(Debug)]
pub(crate) struct Scaffold {
    path: PathBuf,
    unfinished: Unfinished,
}

impl Scaffold {
    /// A new one in the folder where `beside` will be, or else in the nearest that exists, for files that are made on the way to
    /// an output; they count as none.
    pub(crate) fn on_the_way(beside: &Path, unfinished: &Unfinished) -> Result<Self> {
        let path = resolve(beside.parent().unwrap_or(beside))?;
        let folder = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(&path);
        Self::new(folder, unfinished)
    }

    /// A new one in `folder`.
    pub(super) fn new(folder: &Path, unfinished: &Unfinished) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let mut made = unfinished.lock();
        // Under a name that no one can guess, made by this call or not at all.
        let built = builder.tempdir_in(folder);
        let path = built.map_err(Error::io("create a folder in", folder))?.keep();
        made.build(&path, false);
        Ok(Self { path, unfinished: unfinished.clone() })
    }

    /// One that an earlier run left, with work in it.
    pub(super) fn adopt(path: PathBuf, unfinished: &Unfinished) -> Self {
        unfinished.lock().build(&path, true);
        Self { path, unfinished: unfinished.clone() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it stays when it is dropped.
    pub(super) fn lasts(&self, lasts: bool) {
        self.unfinished.lock().last(&self.path, lasts);
    }

    /// A new file in it, and where it will go. One that an earlier run left there is written anew.
    pub(super) fn new_file(&self, name: &str, to: PathBuf) -> Result<(File, Pending)> {
        let temp = self.path.join(name);
        match fs::remove_file(&temp) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io("replace", &temp)(e)),
            _ => {}
        }
        let mut new = OpenOptions::new();
        let file = new.read(true).write(true).create_new(true).open(&temp).map_err(Error::io("create", &to))?;
        let identity = Identity::of(&file.metadata().map_err(Error::io("create", &to))?);
        Ok((file, Pending { temp, identity, to }))
    }

    /// Whether a file is in it.
    pub(super) fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path.join(name)).is_ok()
    }

    /// A file that an earlier run left in it; none if there is nothing.
    pub(super) fn old_file(&self, name: &str, len: u64, to: PathBuf) -> Result<Option<Pending>> {
        let temp = self.path.join(name);
        match fs::symlink_metadata(&temp) {
            Ok(metadata) if metadata.is_file() && metadata.len() == len => {
                Ok(Some(Pending { identity: Identity::of(&metadata), temp, to }))
            }
            Ok(metadata) => {
                let have = metadata.len();
                Err(refused(&to, &format!("{} is no file of {len} bytes (it has {have}): {ANEW}", temp.display())))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read", &temp)(e)),
        }
    }

    /// Replaces a small file: whoever reads it finds the old contents or the new ones.
    pub(super) fn replace(&self, name: &str, contents: &[u8]) -> Result<()> {
        let (path, beside) = (self.path.join(name), self.path.join(format!("{name}.new")));
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(contents)?;
            fs::rename(&beside, &path)
        };
        write().map_err(Error::io("write", &path))
    }

    /// A small file's contents; none if there is nothing.
    pub(super) fn contents(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(contents) => Ok(Some(contents)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read", &path)(e)),
        }
    }
}

/// What to do where an earlier run's work is of no use.
pub(super) const ANEW: &str = "begin anew with `--restart` (`Earlier::Restart`), which deletes it";

impl Drop for Scaffold {
    fn drop(&mut self) {
        self.unfinished.lock().take_down(&self.path);
    }
}

/// The scaffolds that runs of this user left in a folder; no links to such, and none that someone else made there.
pub(super) fn left_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list", folder)(e)),
    };
    let mut left = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", folder))?;
        let ours = entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes());
        // Of an entry that is a link, this is the link's own metadata.
        if ours && let Some(metadata) = entry.metadata().ok().filter(fs::Metadata::is_dir) {
            left.push((entry.path(), metadata));
        }
    }
    if !left.is_empty() {
        // Whose files are ours is told by one that we make.
        let own = tempfile::tempfile_in(folder).and_then(|file| file.metadata()).map_err(Error::io("write", folder))?;
        left.retain(|(_, metadata)| is_private(metadata, &own));
    }
    let mut left: Vec<PathBuf> = left.into_iter().map(|(path, _)| path).collect();
    left.sort_unstable();
    Ok(left)
}

/// No one else can have put anything into it: it is ours, and only we may enter.
#[cfg(unix)]
fn is_private(folder: &fs::Metadata, own: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    folder.mode() & 0o077 == 0 && folder.uid() == own.uid()
}

#[cfg(not(unix))]
fn is_private(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}
