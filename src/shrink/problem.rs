//! What stands in the way of shrinking a model.

use crate::checkpoint::quoted;

/// Why a checkpoint cannot be shrunk as asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum Problem {
    /// No pattern knows the tensors.
    #[error(
        "nothing is known of how its tensors hang together: {kind}s are found by names such as {names}; name a network with \
         --network, or give a recipe with [[couple]]"
    )]
    Unknown { kind: &'static str, names: String },
    /// Several patterns, or one in several places, know them.
    #[error(
        "both {} and {} are there: a recipe with [[couple]] says which is meant",
        quoted(.first), quoted(.second)
    )]
    Ambiguous { first: String, second: String },
    /// A layer lacks what the others have.
    #[error("{have} of {of} layers have {}, but {} is missing", quoted(.found), quoted(.missing))]
    Missing { found: String, missing: String, have: usize, of: u64 },
    /// A tensor lies among those that hang together, and no one knows how.
    #[error("tensor {} lies beside {}, and nothing is known of how they hang together", quoted(.tensor), quoted(.beside))]
    Stranger { tensor: String, beside: String },
    /// A tensor that is left alone would have to change too.
    #[error("tensor {} has {len} places, and only one of {needed}, as long as a head, stays right", quoted(.tensor))]
    Extra { tensor: String, len: u64, needed: u64 },
    /// Coupled tensors do not have as many units.
    #[error(
        "tensor {} has {units} units and {}, which hangs together with it, has {others}",
        quoted(.first), quoted(.second)
    )]
    Sizes { first: String, units: u64, second: String, others: u64 },
    /// A tensor does not divide into units.
    #[error("tensor {} has {len} {places}, no multiple of the {group} that a unit has", quoted(.tensor))]
    Uneven { tensor: String, places: String, len: u64, group: u64 },
    /// A tensor has too few dimensions.
    #[error("tensor {} has {rank} dimensions, {needed} are needed", quoted(.tensor))]
    Rank { tensor: String, rank: usize, needed: usize },
    /// Elements are no whole bytes.
    #[error("tensor {} is {dtype}, whose elements are no whole bytes", quoted(.tensor))]
    Bits { tensor: String, dtype: String },
    /// A tensor has no norms.
    #[error("tensor {}: {problem}", quoted(.tensor))]
    NoNorm { tensor: String, problem: String },
    /// A coupling without a tensor along whose rows or columns units lie.
    #[error("the coupling {} has no tensors", quoted(.coupling))]
    NoMembers { coupling: String },
    /// A coupling that no tensor takes from, or none makes.
    #[error("the coupling {} has no tensor that {role} its units", quoted(.coupling))]
    OneSided { coupling: String, role: &'static str },
    /// One tensor has two roles.
    #[error(
        "the {places} of tensor {} are both in {} and in {}: tied weights cannot shrink",
        quoted(.tensor), quoted(.first), quoted(.second)
    )]
    Tied { tensor: String, places: String, first: String, second: String },
    /// A layer of a network is also another one.
    #[error("tensor {} is both in layer {first} and in layer {second} of the network: tied weights cannot shrink", quoted(.tensor))]
    TwoLayers { tensor: String, first: usize, second: usize },
    /// A network with one layer.
    #[error("the network has one layer, whose outputs are its own: there are no neurons between layers")]
    OneLayer,
    /// A name is none of the checkpoint's.
    #[error("the checkpoint has no tensor {}", quoted(.tensor))]
    NoTensor { tensor: String },
    /// A glob matches nothing, or not once for each coupling.
    #[error("{}: {problem}", quoted(.glob))]
    Glob { glob: String, problem: String },
    /// Nothing would be left.
    #[error("{} would keep none of its {units} {kind}s", quoted(.coupling))]
    Emptied { coupling: String, kind: &'static str, units: u64 },
    /// More than there is.
    #[error("{} has {units} {kind}s, {width} cannot stay", quoted(.coupling))]
    Wider { coupling: String, kind: &'static str, units: u64, width: u64 },
    /// More than there is in all couplings.
    #[error("all {couplings} couplings together have {units} {kind}s, {width} cannot stay")]
    WiderTogether { couplings: usize, kind: &'static str, units: u64, width: u64 },
    /// The width is no multiple of what it must be one of.
    #[error("a width of {width} is no multiple of {of}, {why}")]
    Multiple { width: u64, of: u64, why: &'static str },
    /// No multiple of `--round-to` lies between what is to stay and what there is.
    #[error("{} is to keep {kept} of {units}, and no multiple of {of} lies between", quoted(.coupling))]
    NoMultiple { coupling: String, kept: u64, units: u64, of: u64 },
    /// Couplings may not compete.
    #[error("couplings cannot compete for a place, for {why}")]
    Uniform { why: String },
    /// Widths would differ where the architecture has one.
    #[error("{} would keep {first_kept}, and {} {second_kept}, but {why}", quoted(.first), quoted(.second))]
    Differ { first: String, first_kept: u64, second: String, second_kept: u64, why: String },
    /// `config.json` is missing or says something else.
    #[error("config.json: {problem}")]
    Config { problem: String },
    /// A file of scores or moments has not what is needed.
    #[error("{path}: {problem}")]
    File { path: String, problem: String },
    /// There is nowhere to put what compensates.
    #[error("{}: {problem}", quoted(.tensor))]
    Compensate { tensor: String, problem: String },
}
