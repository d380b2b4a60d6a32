//! Couplings that are known by names: a pattern is data, and one function looks for all of them.

mod find;
mod known;

pub use find::find;
pub(super) use find::numbered;

use super::Kind;

/// Tensors of each layer of a model that hang together, by the ends of their names.
struct Pattern {
    /// What it is called.
    name: &'static str,
    kind: Kind,
    /// The tensors, that by which a layer is known first.
    parts: &'static [Part],
    /// What else may lie beside them, and does not change.
    beside: &'static [Beside],
    /// Where in a layer nothing else may lie: what is not known there might hang together with them too.
    own: &'static [&'static str],
    config: Sized,
    /// A key of `config.json` that gives all of its layers biases, and the `model_type` that has it.
    new_biases: Option<(&'static str, &'static str)>,
}

/// A tensor of a pattern.
struct Part {
    /// The end of its name, behind the layer's number.
    name: &'static str,
    along: Along,
    per: Per,
    /// Whether each layer has it.
    needed: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Along {
    /// Its rows make the units.
    Rows,
    /// Its columns take them.
    Columns,
}

/// Places of a tensor that a unit has.
#[derive(Clone, Copy)]
enum Per {
    One,
    /// A key and value head.
    Head,
    /// The query heads that share one.
    Group,
}

/// A tensor that stays as it is.
struct Beside {
    name: &'static str,
    /// It must be as long as a head: one for all heads.
    head: bool,
}

/// What `config.json` says of the units.
#[derive(Clone, Copy, PartialEq)]
enum Sized {
    /// So many under this key, for all layers.
    Width(&'static str),
    /// Heads, key and value heads, and their length.
    Heads,
    /// BERT's heads.
    PrunedHeads,
}
