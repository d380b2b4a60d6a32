//! A chain of layers in TOML.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::checkpoint::quoted;
use crate::{Activation, Error, Result, toml_file};

/// Layers at most.
const MOST: usize = 4096;

/// One layer, by names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The tensor of its weights: `[outputs, inputs]`.
    pub weight: String,
    /// The tensor of its bias, if it has one: `[outputs]`.
    pub bias: Option<String>,
    /// Its activation.
    pub activation: Activation,
}

/// Layers in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The checkpoint that has its tensors, if the chain names one.
    pub checkpoint: Option<PathBuf>,
    /// One at least.
    pub layers: Vec<Layer>,
}

impl Chain {
    /// Reads a chain from a file; the path of its checkpoint starts from the file's folder.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::Recipe`] as [`Chain::from_toml`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = toml_file::read(path)?;
        let mut chain = Self::from_toml(&text).map_err(|error| toml_file::in_file(error, path))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        chain.checkpoint = chain.checkpoint.map(|checkpoint| folder.join(checkpoint));
        Ok(chain)
    }

    /// Reads a chain: a list `[[layer]]` of tables with `weight`, and `bias` and `activation` if there are any; before it
    /// `checkpoint`, the path of the file or folder that has these tensors, if it is to be named.
    ///
    /// # Errors
    /// [`Error::Recipe`] with the line, the layer, and what is wrong with it.
    pub fn from_toml(text: &str) -> Result<Self> {
        let line = |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
        let wrong = |at: usize, problem: String| Error::Recipe { path: None, line: Some(line(at)), problem };
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            wrong(at, format!("it is no TOML: {}", error.message().escape_debug()))
        })?;
        let (mut layers, mut checkpoint) = (Vec::new(), None);
        for (key, value) in table.get_ref() {
            let at = key.span().start;
            if key.get_ref() == "checkpoint" {
                let path = value.get_ref().as_str().filter(|path| !path.is_empty());
                checkpoint = Some(path.ok_or_else(|| wrong(at, "`checkpoint` is to be a path".into()))?.into());
                continue;
            }
            let list = value.get_ref().as_array().filter(|_| key.get_ref() == "layer");
            let Some(list) = list else {
                return Err(wrong(
                    at,
                    format!("{}: a chain is a list of `[[layer]]`, and before it `checkpoint`", quoted(key.get_ref())),
                ));
            };
            if list.len() > MOST {
                return Err(wrong(at, format!("it has {} layers, {MOST} is the most", list.len())));
            }
            for item in list.iter() {
                let at = item.span().start;
                let n = layers.len() + 1;
                let layer = item.get_ref().as_table().ok_or_else(|| "it is no table: write `[[layer]]`".into());
                layers.push(layer.and_then(read).map_err(|why: String| wrong(at, format!("layer {n}: {why}")))?);
            }
        }
        match layers.is_empty() {
            true => Err(wrong(0, "it has no layers: each begins with `[[layer]]`".into())),
            false => Ok(Self { checkpoint, layers }),
        }
    }
}

fn read(table: &DeTable<'_>) -> Result<Layer, String> {
    let (mut weight, mut bias, mut activation) = (None, None, Activation::None);
    for (key, value) in table {
        let word = || match value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            _ => Err(format!("{} is to be a word", quoted(key.get_ref()))),
        };
        match key.get_ref().as_ref() {
            "weight" => weight = Some(word()?),
            "bias" => bias = Some(word()?),
            "activation" => {
                let word = word()?;
                let known = Activation::ALL.into_iter().find(|known| known.name() == word);
                activation = known
                    .ok_or_else(|| format!("unknown activation {}: give none, relu, gelu or silu", quoted(&word)))?;
            }
            other => return Err(format!("unknown key {}: give weight, bias or activation", quoted(other))),
        }
    }
    Ok(Layer { weight: weight.ok_or("it has no `weight`")?, bias, activation })
}
