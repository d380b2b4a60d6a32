//! What hangs together: tensors of which the same units go at once.

use std::collections::HashMap;
use std::fmt;

use super::Problem;
use super::config::Sizes;
use crate::checkpoint::TensorInfo;

/// What goes as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// A neuron between two layers of an MLP: its rows, its biases, and the columns that take it.
    #[default]
    Neuron,
    /// Attention heads: those that share a key and a value head go together with it.
    Head,
    /// A whole layer; those behind it move up.
    Layer,
}

impl Kind {
    /// `neuron`, `head` or `layer`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Neuron => "neuron",
            Kind::Head => "head",
            Kind::Layer => "layer",
        }
    }
}

/// Where in a tensor the units lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Along the first dimension, so many of its places for each unit.
    Rows(u64),
    /// Along the second dimension, so many of its places for each unit.
    Columns(u64),
    /// All of the tensor is of this one unit.
    Whole(u64),
}

/// Its name: `rows`, `columns` or `whole`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Rows(_) => "rows",
            Place::Columns(_) => "columns",
            Place::Whole(_) => "whole",
        })
    }
}

/// A tensor of a coupling.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its number among the checkpoint's tensors.
    pub tensor: usize,
    /// Where its units lie.
    pub place: Place,
    /// Whether it takes what the units give; the others make them.
    pub consumes: bool,
    /// The name of the bias that is added behind it, whether the checkpoint has it or not; of one that takes units.
    pub bias: Option<String>,
}

impl Member {
    /// One that makes units.
    pub fn makes(tensor: usize, place: Place) -> Self {
        Self { tensor, place, consumes: false, bias: None }
    }

    /// One that takes them.
    pub fn takes(tensor: usize, place: Place, bias: Option<String>) -> Self {
        Self { tensor, place, consumes: true, bias }
    }

    /// How many units lie in it, and of how many places each; none where it is whole.
    fn units(&self, info: &TensorInfo) -> Result<Option<u64>, Problem> {
        let (dimension, group) = match self.place {
            Place::Rows(group) => (0, group),
            Place::Columns(group) => (1, group),
            Place::Whole(_) => return Ok(None),
        };
        let tensor = || info.name.clone();
        let Some(len) = info.shape.get(dimension).copied() else {
            return Err(Problem::Rank { tensor: tensor(), rank: info.shape.len(), needed: dimension + 1 });
        };
        if !info.dtype.bitsize().is_multiple_of(8) {
            return Err(Problem::Bits { tensor: tensor(), dtype: info.dtype.to_string() });
        }
        match group {
            0 => Err(Problem::Uneven { tensor: tensor(), places: self.place.to_string(), len, group }),
            group if len % group != 0 => {
                Err(Problem::Uneven { tensor: tensor(), places: self.place.to_string(), len, group })
            }
            group => Ok(Some(len / group)),
        }
    }
}

/// The name of the bias that belongs to a weight, as torch has it.
pub(super) fn bias_of(weight: &str) -> Option<String> {
    Some(format!("{}.bias", weight.strip_suffix(".weight")?))
}

/// Tensors of which the same units go at once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Coupling {
    /// What it is called: by the part of the model that it is, or by its first tensor.
    pub name: String,
    /// How many units there are.
    pub units: u64,
    /// The tensors, those that make the units first.
    pub members: Vec<Member>,
}

impl Coupling {
    /// Tensors that hang together by units that lie along their rows and columns.
    ///
    /// # Errors
    /// [`Problem::Sizes`] where two do not have as many units, [`Problem::Uneven`], [`Problem::Rank`] and [`Problem::Bits`]
    /// where a tensor has no such units.
    pub fn new(name: String, tensors: &[TensorInfo], members: Vec<Member>) -> Result<Self, Problem> {
        let mut first: Option<(u64, usize)> = None;
        for member in &members {
            let Some(units) = member.units(&tensors[member.tensor])? else { continue };
            match first {
                None => first = Some((units, member.tensor)),
                Some((known, other)) if known != units => {
                    let (first, second) = (tensors[other].name.clone(), tensors[member.tensor].name.clone());
                    return Err(Problem::Sizes { first, units: known, second, others: units });
                }
                Some(_) => {}
            }
        }
        let (units, _) = first.ok_or_else(|| Problem::NoMembers { coupling: name.clone() })?;
        Ok(Self { name, units, members })
    }

    /// Units each of which is some whole tensors.
    pub(super) fn whole(name: String, units: u64, members: Vec<Member>) -> Self {
        Self { name, units, members }
    }
}

/// All couplings of a model of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Couplings {
    /// Who says so: a pattern, a network, a recipe.
    pub by: String,
    /// What goes as a whole.
    pub kind: Kind,
    /// In the order of the model.
    pub list: Vec<Coupling>,
    /// Why all must keep as many units, if they must.
    pub uniform: Option<String>,
    /// What of the model's `config.json` depends on how many there are.
    pub(super) sizes: Sizes,
    /// How biases are added where there are none.
    pub(super) new_biases: Option<NewBiases>,
}

/// Biases that an architecture has if its `config.json` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewBiases {
    /// What it says then.
    pub key: &'static str,
}

impl Couplings {
    /// Couplings whose widths are free, and of which no `config.json` knows.
    ///
    /// # Errors
    /// [`Problem::Tied`] where the same rows or columns of a tensor are in two couplings, or twice in one.
    pub fn new(by: String, kind: Kind, list: Vec<Coupling>, tensors: &[TensorInfo]) -> Result<Self, Problem> {
        let mut known: HashMap<(usize, u8), &str> = HashMap::new();
        for coupling in &list {
            for member in &coupling.members {
                let dimension = match member.place {
                    Place::Rows(_) => 0,
                    Place::Columns(_) => 1,
                    Place::Whole(_) => 2,
                };
                if let Some(first) = known.insert((member.tensor, dimension), &coupling.name) {
                    let (tensor, places) = (tensors[member.tensor].name.clone(), member.place.to_string());
                    let (first, second) = (first.to_owned(), coupling.name.clone());
                    return Err(Problem::Tied { tensor, places, first, second });
                }
            }
        }
        Ok(Self { by, kind, list, uniform: None, sizes: Sizes::Nothing, new_biases: None })
    }

    /// How many of what a user counts are in a unit: query heads in a group, else 1.
    pub fn per_unit(&self) -> u64 {
        match self.sizes {
            Sizes::Heads { per_group, .. } => per_group,
            _ => 1,
        }
    }
}
