//! Files beside checkpoints (`--report`, `--html`, a recipe): each appears whole or not at all, and never in place of a
//! checkpoint.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

use super::text;

/// The file, open beside its final name from the start: a long run does not fail at its last step.
pub struct NewFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl NewFile {
    /// Opens it.
    pub fn create(path: &Path, input: &Path, output: Option<&Path>) -> Result<Self> {
        let name = path.display();
        let place = resolve(path)?;
        // The index of a sharded checkpoint stands for its folder.
        let folder = input.extension().filter(|e| *e == "json").and(input.parent());
        for (what, forbidden) in [("input", Some(input)), ("input", folder), ("output", output)] {
            if let Some(forbidden) = forbidden
                && place.starts_with(resolve(forbidden)?)
            {
                bail!("will not write {name}: that is in the {what}; choose a place outside of it");
            }
        }
        Self::alone(path)
    }

    /// Refuses a path that is one of these files, which are read or belong to the output, under any name.
    pub fn check_none_of(path: &Path, files: &[PathBuf]) -> Result<()> {
        let place = resolve(path)?;
        for file in files {
            if place == resolve(file)? {
                let (name, file) = (path.display(), file.display());
                bail!("will not write {name}: {file} is read, or belongs to the output; choose another name");
            }
        }
        Ok(())
    }

    /// Opens it, unless it would take the place of one of these files, which belong to the input or the output.
    pub fn create_apart(path: &Path, input: &Path, output: Option<&Path>, files: &[PathBuf]) -> Result<Self> {
        Self::check_none_of(path, files)?;
        Self::create(path, input, output)
    }

    /// Opens it where there is no checkpoint.
    pub fn alone(path: &Path) -> Result<Self> {
        let (name, place) = (path.display(), resolve(path)?);
        if place.is_dir() || place.extension().is_some_and(|e| e == "safetensors") {
            bail!("will not write {name}: that is a folder, or the name of a checkpoint");
        }
        Self::open(place, path)
    }

    /// Opens a file that holds tensors: its name may be a checkpoint's, so it may not exist.
    pub fn create_tensors(path: &Path, input: &Path) -> Result<Self> {
        let (name, place) = (path.display(), resolve(path)?);
        if place.exists() {
            bail!("will not write {name}: it exists; choose another name, or delete it");
        }
        if input.is_dir() && place.starts_with(resolve(input)?) {
            bail!("will not write {name}: that is in the checkpoint's folder; choose a place outside of it");
        }
        Self::open(place, path)
    }

    fn open(place: PathBuf, path: &Path) -> Result<Self> {
        let name = path.display();
        let folder = place.parent().unwrap_or(Path::new("/"));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".lopper-new-").suffix(".tmp");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder).with_context(|| format!("cannot create {name}"))?;
        Ok(Self { path: place, file })
    }

    /// Where it lies until it is written.
    pub fn temporary(&self) -> &Path {
        self.file.path()
    }

    /// Writes it and gives it its name.
    pub fn write(mut self, contents: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        let name = self.path.display().to_string();
        let mut buffered = BufWriter::new(self.file.as_file_mut());
        let written = contents(&mut buffered).and_then(|()| buffered.flush());
        drop(buffered);
        written.and_then(|()| self.file.as_file().sync_all()).with_context(|| format!("cannot write {name}"))?;
        self.file.persist(&self.path).map_err(|e| e.error).with_context(|| format!("cannot write {name}"))?;
        Ok(())
    }
}

/// JSON and a line end.
pub fn json(value: &impl serde::Serialize) -> impl FnOnce(&mut dyn Write) -> io::Result<()> {
    move |mut to| text::json(value, &mut to)
}

/// The path without links, `.` and `..`, as far as it exists.
fn resolve(path: &Path) -> Result<PathBuf> {
    // The parent of a bare file name is an empty path.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let whole = absolute(path).with_context(|| format!("cannot tell where {} is", path.display()))?;
    for existing in whole.ancestors() {
        if let Ok(real) = fs::canonicalize(existing) {
            return Ok(match whole.strip_prefix(existing) {
                Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
                _ => real,
            });
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_may_not_lie_in_the_input_or_the_output() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("in")).unwrap();
        fs::write(at("m.safetensors"), "").unwrap();
        fs::write(at("in/model.safetensors.index.json"), "").unwrap();
        let refused = |report: &str, input: &str| {
            let made = NewFile::create(&at(report), &at(input), Some(&at("out")));
            made.map(|_| ()).unwrap_err().to_string()
        };
        assert!(refused("in/r.json", "in").contains("in the input"));
        assert!(refused("in/../in/r.json", "in").contains("in the input"));
        assert!(refused("in/r.json", "in/model.safetensors.index.json").contains("in the input"));
        assert!(refused("m.safetensors", "m.safetensors").contains("in the input"));
        assert!(refused("out/r.json", "in").contains("in the output"));
        assert!(refused("out", "in").contains("in the output"));
        assert!(refused("other.safetensors", "in").contains("the name of a checkpoint"));
        assert!(refused("missing/r.json", "in").contains("cannot create"));
        NewFile::create(&at("r.json"), &at("in"), Some(&at("out"))).unwrap();
        // Files that lie beside the input or the output.
        fs::write(at("weights.data"), "").unwrap();
        let apart = |report: &str| {
            let files = [at("weights.data"), at("new/weights.data")];
            let made = NewFile::create_apart(&at(report), &at("m.onnx"), Some(&at("new/m.onnx")), &files);
            made.map(|_| ()).map_err(|error| error.to_string())
        };
        assert!(apart("weights.data").unwrap_err().contains("is read, or belongs to the output"));
        assert!(apart("in/../weights.data").unwrap_err().contains("is read, or belongs to the output"));
        assert!(apart("new/weights.data").unwrap_err().contains("is read, or belongs to the output"));
        apart("r.json").unwrap();
        assert!(!at("r.json").exists(), "nothing is left of a report that was not written");
    }
}
