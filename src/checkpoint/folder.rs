//! What a checkpoint's folder holds, and which of its symbolic links are followed.
//!
//! A folder may come from anywhere, with links in it that someone else made. One that led to a private file would put
//! that file's bytes into the output, and from there on the web. So a link is followed only to a file inside the
//! folder, or in the Hugging Face cache, where a snapshot is nothing but links:
//! `<repo>/snapshots/<revision>/model.safetensors` leads to `<repo>/blobs/<hash>`. A path that the user gave is
//! followed wherever it leads.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::file::Identity;
use crate::{Error, Result};

/// Lopper's own temporary files begin with this.
pub(super) const TEMPORARY: &str = ".lopper-";

/// Where a name in a folder leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// To this regular file, all links followed.
    File(PathBuf),
    /// To nothing.
    Nothing,
    /// To a folder, a pipe or a device.
    Other,
    /// Out of the folder, by links.
    Out(PathBuf),
}

/// Where `name` in `folder`, whose own links have been followed, leads.
pub(super) fn follow(folder: &Path, name: &OsStr) -> Result<Lead> {
    let path = folder.join(name);
    let real = match fs::canonicalize(&path) {
        Ok(real) => real,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Lead::Nothing),
        Err(e) => return Err(Error::io("read", &path)(e)),
    };
    if !real.starts_with(folder) && !in_cache_of(folder, &real) {
        return Ok(Lead::Out(real));
    }
    let metadata = fs::metadata(&real).map_err(Error::io("read", &path))?;
    Ok(if metadata.is_file() { Lead::File(real) } else { Lead::Other })
}

/// Whether the file is a blob of the Hugging Face cache that the folder is a snapshot in.
fn in_cache_of(folder: &Path, file: &Path) -> bool {
    let Some(blobs) = file.parent() else { return false };
    blobs.file_name() == Some(OsStr::new("blobs"))
        && blobs.parent().is_some_and(|repo| folder.starts_with(repo.join("snapshots")))
}

/// The names of all that is in a folder, sorted; lopper's own temporary files, left by a killed run, left out.
pub(super) fn names(folder: &Path) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        if !name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A file that belongs to a checkpoint but holds no tensors of it: a configuration, a tokenizer.
#[derive(Debug)]
pub(super) struct OtherFile {
    pub(super) name: OsString,
    pub(super) real: PathBuf,
    pub(super) identity: Identity,
}

/// The regular files of a folder but those named in `known`, and the names of what is none (folders, pipes, dangling
/// links, links that lead out).
pub(super) fn others(folder: &Path, known: &[&OsStr]) -> Result<(Vec<OtherFile>, Vec<OsString>)> {
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    for name in names(folder)? {
        if known.contains(&name.as_os_str()) {
            continue;
        }
        match follow(folder, &name)? {
            Lead::File(real) => {
                let identity = Identity::of(&fs::metadata(&real).map_err(Error::io("read", &real))?);
                files.push(OtherFile { name, real, identity });
            }
            Lead::Nothing | Lead::Other | Lead::Out(_) => skipped.push(name),
        }
    }
    Ok((files, skipped))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_lead_inside_or_into_the_cache() {
        let temp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(temp.path()).unwrap();
        let (repo, other) = (root.join("models--x"), root.join("models--y"));
        let folder = repo.join("snapshots/main/unet");
        for dir in [&folder, &repo.join("blobs"), &other.join("blobs"), &root.join("blobs")] {
            fs::create_dir_all(dir).unwrap();
            fs::write(dir.join("file"), "x").unwrap();
        }
        let lead = |target: &str| {
            let link = folder.join("link");
            let _ = fs::remove_file(&link);
            symlink(target, &link).unwrap();
            follow(&folder, OsStr::new("link")).unwrap()
        };
        assert_eq!(lead("file"), Lead::File(folder.join("file")));
        assert_eq!(lead("../../../blobs/file"), Lead::File(repo.join("blobs/file")));
        assert_eq!(lead("missing"), Lead::Nothing);
        assert_eq!(lead("../unet"), Lead::Other);
        for out in [root.join("blobs/file"), other.join("blobs/file"), "/etc/hostname".into(), "/".into()] {
            assert!(!out.exists() || lead(out.to_str().unwrap()) == Lead::Out(fs::canonicalize(&out).unwrap()));
        }
    }
}
