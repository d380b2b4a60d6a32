//! What lies beside tensors: a header's `__metadata__`, and the folder's other files.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;

use super::file;
use super::folder::{self, Lead};
use super::metadata;
use super::problem::CheckpointProblem as Problem;
use super::read::{Checkpoint, Layout, Shard};
use crate::{Error, Result};

impl Shard {
    /// All of its header's `__metadata__`.
    ///
    /// # Errors
    /// [`Error::Io`] if the header cannot be read again, [`Error::Checkpoint`] if it is another by now.
    pub fn metadata(&self) -> Result<BTreeMap<String, String>> {
        Ok(metadata::all(&self.header_text()?))
    }
}

impl Checkpoint {
    /// All of a file in its folder that is no shard, such as `config.json`; none where there is no such file, or the checkpoint
    /// is no folder. A link is followed only as far as shards' are.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] where it is longer than `most` bytes or no regular file, [`Error::Io`] if it cannot be read.
    pub fn read_other(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let Layout::Folder { given, real, .. } = &self.0.layout else { return Ok(None) };
        let path = given.join(name);
        let refused = |problem| Error::Checkpoint { path: path.clone(), problem };
        let place = match folder::follow(real, OsStr::new(name))? {
            Lead::File(place) => place,
            Lead::Nothing => return Ok(None),
            Lead::Other => return Err(refused(Problem::NotAFile)),
            Lead::Out(target) => return Err(refused(Problem::LinkLeadsOut { name: name.to_owned(), target })),
        };
        let file = File::open(&place).map_err(Error::io("open", &path))?;
        let len = file.metadata().map_err(Error::io("read", &path))?.len();
        if len > most {
            return Err(refused(Problem::OtherTooLarge { len, most }));
        }
        let mut bytes = vec![0; len as usize];
        file::read_exact_at(&file, &mut bytes, 0).map_err(Error::io("read", &path))?;
        Ok(Some(bytes))
    }
}
