//! What exists of an output before it is finished, for one who must end the process meanwhile.
//!
//! Guarantees: temporary files and new folders are made, and all final names given, under one lock. So whoever holds it
//! finds an output that has none of its final names or all of them, and knows everything else that was made.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The temporary files and new folders of outputs that are being written. A clone stands for the same ones.
#[derive(Debug, Clone, Default)]
pub struct Unfinished(Arc<Mutex<Made>>);

#[derive(Debug, Default)]
pub(super) struct Made {
    /// Some may be gone meanwhile: a name like theirs is not given twice.
    pub(super) files: Vec<PathBuf>,
    /// Parents first.
    pub(super) folders: Vec<PathBuf>,
    /// Whether the output that was begun last has its final names.
    pub(super) placed: bool,
}

impl Unfinished {
    pub(super) fn lock(&self) -> MutexGuard<'_, Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the temporary files, and the folders that were made for them if nothing else is in them, as far as the
    /// system lets it. Returns whether the output that was begun last had all its final names already; those stay.
    ///
    /// For a program that ends now and cannot wait for the threads that write: whichever of them creates, commits or
    /// drops an output after this waits for ever.
    pub fn abandon(&self) -> bool {
        let made = self.lock();
        for file in &made.files {
            let _ = fs::remove_file(file);
        }
        for folder in made.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
        let placed = made.placed;
        std::mem::forget(made);
        placed
    }
}
