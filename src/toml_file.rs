//! Reading the TOML files that people write: small, and UTF-8.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

/// Bytes that are read at most: 1 MiB.
pub const MAX_BYTES: u64 = 1 << 20;

/// The text of a file.
///
/// # Errors
/// [`Error::Io`]; [`Error::Recipe`] with the path where it is longer than [`MAX_BYTES`] or no UTF-8.
pub fn read(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    let wrong = |error| in_file(error, path);
    check_length(bytes.len()).map_err(wrong)?;
    let text = String::from_utf8(bytes);
    text.map_err(|_| wrong(Error::Recipe { path: None, line: None, problem: "it is not UTF-8".into() }))
}

/// Whether a text is short enough.
///
/// # Errors
/// [`Error::Recipe`] where it is not.
pub fn check_length(bytes: usize) -> Result<()> {
    if bytes as u64 <= MAX_BYTES {
        return Ok(());
    }
    let problem = format!("it is longer than {MAX_BYTES} bytes, which is the most that is read: is it the right file?");
    Err(Error::Recipe { path: None, line: None, problem })
}

/// The error, with the file that it is in.
pub fn in_file(error: Error, path: &Path) -> Error {
    match error {
        Error::Recipe { line, problem, .. } => Error::Recipe { path: Some(path.to_path_buf()), line, problem },
        other => other,
    }
}
