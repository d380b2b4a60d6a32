//! Reading the JSON files that lopper writes for itself: results of a benchmark, tables of tunings.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// What is in a file of at most `most` bytes; `what` says what it should be.
///
/// # Errors
/// [`Error::Io`]; [`Error::Data`] where the file is longer, or something else.
pub fn read<T: DeserializeOwned>(path: &Path, most: u64, what: &str) -> Result<T> {
    let bad = |problem: String| Error::Data { path: path.into(), tensor: None, problem };
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if bytes.len() as u64 > most {
        return Err(bad(format!("it is longer than {most} bytes, which {what} never is")));
    }
    serde_json::from_slice(&bytes).map_err(|error| bad(format!("this is not {what}: {error}")))
}
