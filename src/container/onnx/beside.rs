//! Files beside a model: which they are, and that they are there.

use std::path::{Component, Path, PathBuf};

/// Files beside a model: their names there, and their numbers.
pub(super) struct Beside {
    pub folder: PathBuf,
    pub known: Vec<(String, usize)>,
}

impl Beside {
    /// Those of the model at this path.
    pub(super) fn of(model: &Path) -> Self {
        let folder = model.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self { folder: folder.unwrap_or(Path::new(".")).to_owned(), known: Vec::new() }
    }
}

/// A file in the folder, or below it; or why it is none.
pub(super) fn inside(folder: &Path, location: &str) -> Result<PathBuf, String> {
    let path = Path::new(location);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if location.is_empty() || !plain || location.contains(['\\', '\0', ':']) {
        return Err("which is not a file in the model's folder: nothing outside of it is opened".into());
    }
    let path = folder.join(path);
    let real = |path: &Path| std::fs::canonicalize(path).map_err(|e| format!("which cannot be opened: {e}"));
    if !real(&path)?.starts_with(real(folder)?) {
        return Err("a link that leads out of the model's folder: put the file itself there".into());
    }
    Ok(path)
}

/// A `StringStringEntryProto`.
pub(super) fn entry(bytes: &[u8]) -> Option<(String, String)> {
    let (mut key, mut value, mut rest) = (None, None, bytes);
    while let Some((tag, after)) = rest.split_first() {
        let (mut len, mut shift, mut after) = (0usize, 0, after);
        loop {
            let (byte, next) = after.split_first()?;
            after = next;
            len |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if *byte < 0x80 {
                break;
            }
            if shift > 21 {
                return None;
            }
        }
        if len > after.len() {
            return None;
        }
        let text = std::str::from_utf8(&after[..len]).ok()?.to_owned();
        rest = &after[len..];
        match tag {
            0x0a => key = Some(text),
            0x12 => value = Some(text),
            _ => return None,
        }
    }
    Some((key?, value?))
}
