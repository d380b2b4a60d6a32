//! The words of a recipe and of the command line, and what is said where one is not known.

use super::{ScoreWord, UnitWord};
use crate::checkpoint::quoted;
use crate::pruner::{Compat, Layout};
use crate::{Norm, Scope};

pub const SCOPES: [(&str, Scope); 3] =
    [(Scope::Tensor.name(), Scope::Tensor), (Scope::Row.name(), Scope::Row), (Scope::Global.name(), Scope::Global)];

pub const NORMS: [(&str, Norm); 5] = [
    (Norm::L1.name(), Norm::L1),
    (Norm::L2.name(), Norm::L2),
    (Norm::Linf.name(), Norm::Linf),
    ("max", Norm::Linf),
    (Norm::Mean.name(), Norm::Mean),
];

pub const SCORES: [(&str, ScoreWord); 6] = [
    ("magnitude", ScoreWord::Magnitude),
    ("random", ScoreWord::Random),
    ("wanda", ScoreWord::Wanda),
    ("activation", ScoreWord::Activation),
    ("file", ScoreWord::File),
    ("signed-file", ScoreWord::SignedFile),
];

pub const LAYOUTS: [(&str, Layout); 2] = [(Layout::OutIn.name(), Layout::OutIn), (Layout::InOut.name(), Layout::InOut)];

pub const COMPATS: [(&str, Compat); 6] = [
    (Compat::Torch.name(), Compat::Torch),
    (Compat::Tfmot.name(), Compat::Tfmot),
    (Compat::Wanda.name(), Compat::Wanda),
    (Compat::WandaMagnitude.name(), Compat::WandaMagnitude),
    (Compat::LlmCompressor.name(), Compat::LlmCompressor),
    (Compat::Lopper.name(), Compat::Lopper),
];

pub const UNITS: [(&str, UnitWord); 5] = [
    ("weight", UnitWord::Weight),
    ("nm", UnitWord::Nm),
    ("kernel", UnitWord::Kernel),
    ("row", UnitWord::Row),
    ("column", UnitWord::Column),
];

/// What the word stands for.
pub fn one_of<T: Copy>(what: &str, text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let known = || words.iter().map(|(word, _)| *word);
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, meaning)) => Ok(*meaning),
        None => Err(format!("unknown {what} {}: {}", quoted(text), suggestion(text, known()))),
    }
}

/// A word for a unit, or `BxC`: rows and columns of a block.
pub fn unit(text: &str) -> Result<UnitWord, String> {
    let block = text.split_once('x').and_then(|(rows, cols)| Some((digits(rows)?, digits(cols)?)));
    match (block, text) {
        (Some((rows, cols)), _) if rows > 0 && cols > 0 => Ok(UnitWord::Block { rows, cols }),
        (Some(_), _) => Err(format!("a block of {} has no weights: give at least 1x1", quoted(text))),
        (None, "block") => Err("a block needs its rows and columns: give `4x4`, or what they are".into()),
        (None, _) => one_of("unit", text, &UNITS)
            .map_err(|why| if why.ends_with('?') { why } else { why + ", or a block such as `4x4`" }),
    }
}

/// A plain number: no sign, no spaces.
fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What may have been meant; where nothing is near, all that there is.
pub fn suggestion<'a>(text: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let text: String = text.chars().take(40).flat_map(char::to_lowercase).collect();
    let near = known.clone().map(|word| (strsim::osa_distance(word, &text), word));
    match near.min().filter(|(distance, word)| *distance <= (word.len() / 3).max(1)) {
        Some((_, word)) => format!("did you mean `{word}`?"),
        None => {
            let all: Vec<String> = known.map(|word| format!("`{word}`")).collect();
            format!("give one of {}", all.join(", "))
        }
    }
}
