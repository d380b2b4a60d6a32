//! What exists of an output before it is finished, for one who must end the process meanwhile.
//!
//! Guarantees: scaffolds and new folders are made, and all final names given, under one lock. So whoever holds it finds
//! an output that has none of its final names or all of them, and knows everything else that was made.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::journal;

/// The scaffolds and new folders of outputs that are being written. A clone stands for the same ones.
#[derive(Debug, Clone, Default)]
pub struct Unfinished(Arc<Mutex<Made>>);

#[derive(Debug, Default)]
pub(super) struct Made {
    scaffolds: Vec<Standing>,
    /// Parents first.
    pub(super) folders: Vec<PathBuf>,
    /// Whether the output that was begun last has its final names.
    pub(super) placed: bool,
    /// The scaffold that was left standing last.
    kept: Option<PathBuf>,
}

/// A scaffold, and whether it holds work that another run can go on from.
#[derive(Debug)]
struct Standing {
    path: PathBuf,
    lasts: bool,
}

/// What became of outputs that were abandoned.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Abandoned {
    /// Whether the output that was begun last had all its final names already; those stay.
    pub placed: bool,
    /// Where work was left that another run can go on from.
    pub kept: Option<PathBuf>,
}

impl Unfinished {
    pub(super) fn lock(&self) -> MutexGuard<'_, Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the last run that did not finish left work that another one can go on from.
    pub fn kept(&self) -> Option<PathBuf> {
        self.lock().kept.clone()
    }

    /// Removes what was made for outputs that are not finished, as far as the system lets it; work that another run can
    /// go on from stays, unless it is inside what goes.
    ///
    /// For a program that ends now and cannot wait for the threads that write: whichever of them creates, commits or
    /// drops an output after this waits for ever.
    pub fn abandon(&self) -> Abandoned {
        let mut made = self.lock();
        // Those first that may be inside another.
        for standing in std::mem::take(&mut made.scaffolds).into_iter().rev() {
            made.leave(standing);
        }
        for folder in made.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
        let abandoned = Abandoned { placed: made.placed, kept: made.kept.clone() };
        std::mem::forget(made);
        abandoned
    }
}

impl Made {
    /// Notes a scaffold. `lasts`: it holds the work of an earlier run.
    pub(super) fn build(&mut self, path: &Path, lasts: bool) {
        self.placed = false;
        self.kept = None;
        self.scaffolds.push(Standing { path: path.to_owned(), lasts });
    }

    /// From now on the scaffold stays when its output is dropped, or not.
    pub(super) fn last(&mut self, path: &Path, lasts: bool) {
        self.scaffolds.iter_mut().filter(|standing| standing.path == path).for_each(|standing| standing.lasts = lasts);
    }

    /// Forgets a scaffold, and removes it unless it lasts.
    pub(super) fn take_down(&mut self, path: &Path) {
        while let Some(at) = self.scaffolds.iter().position(|standing| standing.path == path) {
            let standing = self.scaffolds.remove(at);
            self.leave(standing);
        }
    }

    /// Whether a path is inside a scaffold: what is made on the way to an output, and goes with it.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.scaffolds.iter().any(|standing| path.starts_with(&standing.path))
    }

    fn leave(&mut self, Standing { path, lasts }: Standing) {
        if lasts {
            self.kept = Some(path);
        } else {
            // Its journal last: as long as that is there, another run knows what the rest is.
            for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                if entry.file_name() != journal::NAME {
                    let _ = fs::remove_file(entry.path());
                }
            }
            self.kept = self.kept.take().filter(|kept| !kept.starts_with(&path));
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::{NewFiles, Sources};
    use super::super::scaffold::Scaffold;
    use super::*;

    #[test]
    fn what_is_inside_a_scaffold_is_no_output_and_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let begin = || {
            let unfinished = Unfinished::default();
            let outer = Scaffold::new(&fs::canonicalize(folder.path()).unwrap(), &unfinished).unwrap();
            (unfinished, outer)
        };
        let (unfinished, outer) = begin();
        let files = NewFiles::file(&outer.path().join("dense"), &Sources::default(), false, &unfinished).unwrap();
        files.commit().unwrap();
        assert!(outer.path().join("dense").is_file());
        assert_eq!(unfinished.abandon(), Abandoned { placed: false, kept: None });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // To drop it would be to wait for ever.
        std::mem::forget(outer);

        let (unfinished, outer) = begin();
        let inner = Scaffold::new(outer.path(), &unfinished).unwrap();
        inner.lasts(true);
        assert_eq!(unfinished.abandon(), Abandoned { placed: false, kept: None });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        std::mem::forget((inner, outer));

        let (unfinished, outer) = begin();
        let inner = Scaffold::new(outer.path(), &unfinished).unwrap();
        inner.lasts(true);
        drop(inner);
        assert!(unfinished.kept().is_some());
        drop(outer);
        assert!(unfinished.kept().is_none() && fs::read_dir(folder.path()).unwrap().count() == 0);
    }
}
