//! The list of tensors that a reader makes.

use std::collections::HashSet;

use safetensors::Dtype;

use super::files::Cursor;
use super::place::Place;
use super::problem::ContainerProblem as Problem;
use crate::checkpoint::TensorInfo;
use crate::{Error, Result};

/// The most tensors that are listed. Models have thousands.
pub(super) const MOST_TENSORS: u64 = 1 << 20;

/// Something in a file that is no tensor of a type that lopper knows, though its format says that it is one. It is kept by a
/// program that writes the file anew with other tensors changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Other {
    /// Its name.
    pub name: String,
    /// What it is, such as `GGUF type Q4_K`.
    pub what: String,
}

/// A tensor as it was found.
pub(super) struct Found {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    pub place: Place,
}

/// All that were found so far.
#[derive(Debug, Default)]
pub(super) struct List {
    pub tensors: Vec<TensorInfo>,
    pub places: Vec<Place>,
    pub others: Vec<Other>,
    pub(super) names: HashSet<String>,
}

impl List {
    /// Takes a tensor whose place was checked. The cursor is for messages.
    pub fn push(&mut self, cursor: &Cursor<'_>, found: Found) -> Result<()> {
        let Found { name, dtype, shape, place } = found;
        self.name(&name).map_err(|problem| cursor.problem(problem))?;
        let info = TensorInfo::new(name, dtype, shape).map_err(|error| match error {
            Error::Tensor { problem } => cursor.malformed(problem.to_string()),
            other => other,
        })?;
        self.tensors.push(info);
        self.places.push(place);
        Ok(())
    }

    /// Takes what is no tensor of a known type.
    pub fn other(&mut self, cursor: &Cursor<'_>, name: &str, what: String) -> Result<()> {
        self.name(name).map_err(|problem| cursor.problem(problem))?;
        self.others.push(Other { name: name.to_owned(), what });
        Ok(())
    }

    fn name(&mut self, name: &str) -> Result<(), Problem> {
        if !self.names.insert(name.to_owned()) {
            return Err(Problem::Duplicate { name: name.to_owned() });
        }
        let count = self.names.len() as u64;
        if count > MOST_TENSORS {
            return Err(Problem::TooMany { what: "tensors".into(), count, max: MOST_TENSORS });
        }
        Ok(())
    }
}
