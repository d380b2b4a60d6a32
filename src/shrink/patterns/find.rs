//! Looks for patterns among a checkpoint's names, and holds each layer against them.

use std::collections::{BTreeMap, HashSet};

use super::known::{LAYERS, PATTERNS};
use super::{Along, Pattern, Per, Sized};
use crate::checkpoint::TensorInfo;
use crate::shrink::config::{Config, Sizes};
use crate::shrink::coupling::{NewBiases, bias_of};
use crate::shrink::{Coupling, Couplings, Kind, Member, Place, Problem};

/// The couplings of a kind that are known by names.
///
/// # Errors
/// [`Problem::Unknown`] where there are none, [`Problem::Missing`] and [`Problem::Stranger`] where a layer is not like the
/// others, [`Problem::Config`] where `config.json` is needed and says something else; those of [`Coupling::new`].
pub fn find(kind: Kind, tensors: &[TensorInfo], config: Option<&Config>) -> Result<Couplings, Problem> {
    if kind == Kind::Layer {
        return layers(tensors, config);
    }
    let known = PATTERNS.iter().filter(|pattern| pattern.kind == kind);
    let ends: Vec<&str> = known.clone().map(|pattern| pattern.parts[0].name).collect();
    let (prefix, end) = the_only(tensors, &ends, kind)?;
    let pattern = known.into_iter().find(|pattern| pattern.parts[0].name == end).expect("one of these ends was found");
    let model = Model::new(&prefix, tensors)?;
    let heads = match pattern.config {
        Sized::Width(_) => Heads { dim: 1, per_group: 1 },
        Sized::Heads | Sized::PrunedHeads => Heads::of(pattern, config, &model)?,
    };
    let list = (0..model.depth).map(|layer| coupling(pattern, &model, layer, heads)).collect::<Result<Vec<_>, _>>()?;
    let mut found = Couplings::new(format!("{}, by their names", pattern.name), kind, list, tensors)?;
    match pattern.config {
        Sized::Width(key) => {
            let width = found.list[0].units;
            let name = tensors[found.list[0].members[0].tensor].name.clone();
            if let Some(said) = config.map(|config| config.needed(key)).transpose()?.filter(|said| *said != width) {
                return Err(Problem::Config { problem: format!("`{key}` is {said}, and {name} has {width} rows") });
            }
            (found.sizes, found.uniform) = (Sizes::Width(key), Some(format!("`{key}` of config.json is one for all")));
        }
        Sized::Heads => {
            found.sizes = Sizes::Heads { per_group: heads.per_group, dim: heads.dim };
            found.uniform = Some("`num_attention_heads` of config.json is one for all layers".into());
        }
        Sized::PrunedHeads => found.sizes = Sizes::PrunedHeads,
    }
    let architecture = config.and_then(|config| config.value("model_type"));
    if let Some((key, _)) = pattern.new_biases.filter(|(_, of)| architecture.as_ref().is_some_and(|a| a == of)) {
        found.new_biases = Some(NewBiases { key });
    }
    if let (Some(why), Some(other)) = (&found.uniform, found.list.iter().find(|c| c.units != found.list[0].units)) {
        let (first, first_kept) = (found.list[0].name.clone(), found.list[0].units);
        let (second, second_kept) = (other.name.clone(), other.units);
        return Err(Problem::Differ { first, first_kept, second, second_kept, why: why.clone() });
    }
    Ok(found)
}

/// Whole layers.
fn layers(tensors: &[TensorInfo], config: Option<&Config>) -> Result<Couplings, Problem> {
    let (prefix, _) = the_only(tensors, &LAYERS, Kind::Layer)?;
    let model = Model::new(&prefix, tensors)?;
    if let Some(said) = config.map(|config| config.needed("num_hidden_layers")).transpose()?
        && said != model.depth
    {
        let problem = format!("`num_hidden_layers` is {said}, and the checkpoint has {} layers", model.depth);
        return Err(Problem::Config { problem });
    }
    let members =
        model.layers.iter().map(|((layer, _), tensor)| Member::makes(*tensor, Place::Whole(*layer))).collect();
    let coupling = Coupling::whole(prefix.clone(), model.depth, members);
    let mut found = Couplings::new("layers, by their names".into(), Kind::Layer, vec![coupling], tensors)?;
    found.sizes = Sizes::Depth { prefix };
    Ok(found)
}

/// The names behind one prefix: `prefix.LAYER.rest`.
struct Model<'a> {
    prefix: &'a str,
    tensors: &'a [TensorInfo],
    layers: BTreeMap<(u64, &'a str), usize>,
    /// What is behind the number of any layer.
    ends: HashSet<&'a str>,
    depth: u64,
}

impl<'a> Model<'a> {
    fn new(prefix: &'a str, tensors: &'a [TensorInfo]) -> Result<Self, Problem> {
        let mut layers = BTreeMap::new();
        let mut first = BTreeMap::new();
        for (number, info) in tensors.iter().enumerate() {
            if let Some((layer, rest)) = numbered(&info.name, prefix) {
                layers.insert((layer, rest), number);
                first.entry(layer).or_insert(rest);
            }
        }
        let depth = first.len() as u64;
        // The first number that is not where it would be, if there is one.
        if let Some((at, (_, rest))) = (0..).zip(&first).find(|(at, (layer, _))| at != *layer) {
            let (found, missing) = (format!("{prefix}.*.{rest}"), format!("{prefix}.{at}.{rest}"));
            return Err(Problem::Missing { found, missing, have: first.len(), of: depth + 1 });
        }
        let ends = layers.keys().map(|(_, end)| *end).collect();
        Ok(Self { prefix, tensors, layers, ends, depth })
    }

    fn tensor(&self, layer: u64, end: &str) -> Option<usize> {
        self.layers.get(&(layer, end)).copied()
    }

    fn info(&self, layer: u64, end: &str) -> Option<&'a TensorInfo> {
        self.tensor(layer, end).map(|number| &self.tensors[number])
    }
}

/// The layer's number, and what is behind it.
pub(in crate::shrink) fn numbered<'a>(name: &'a str, prefix: &str) -> Option<(u64, &'a str)> {
    let (number, rest) = name.strip_prefix(prefix)?.strip_prefix('.')?.split_once('.')?;
    // Not `007`: that would be a second name for layer 7.
    let plain = number.bytes().all(|b| b.is_ascii_digit()) && (number == "0" || !number.starts_with('0'));
    Some((number.parse().ok().filter(|_| plain)?, rest))
}

/// The one prefix, and the one end, of names `prefix.LAYER.end`.
fn the_only<'e>(tensors: &[TensorInfo], ends: &[&'e str], kind: Kind) -> Result<(String, &'e str), Problem> {
    let mut found: Option<(String, &str)> = None;
    for info in tensors {
        for end in ends {
            let Some(layer) = info.name.strip_suffix(end).and_then(|start| start.strip_suffix('.')) else { continue };
            let Some((prefix, _)) = layer.rsplit_once('.') else { continue };
            if numbered(&info.name, prefix).is_none() {
                continue;
            }
            match &found {
                None => found = Some((prefix.into(), end)),
                Some((known, with)) if known == prefix && with == end => {}
                Some((known, with)) => {
                    let (first, second) = (format!("{known}.*.{with}"), format!("{prefix}.*.{end}"));
                    return Err(Problem::Ambiguous { first, second });
                }
            }
        }
    }
    let names = || ends.iter().map(|end| format!("`layers.0.{end}`")).collect::<Vec<_>>().join(" or ");
    found.ok_or_else(|| Problem::Unknown { kind: kind.name(), names: names() })
}

#[derive(Clone, Copy)]
struct Heads {
    /// Places of a head.
    dim: u64,
    /// Query heads that share a key and a value head.
    per_group: u64,
}

impl Heads {
    fn of(pattern: &Pattern, config: Option<&Config>, model: &Model<'_>) -> Result<Self, Problem> {
        let bad = |problem: String| Problem::Config { problem };
        let config = config.ok_or_else(|| {
            bad("there is none, and only it says how many heads there are: give the checkpoint's folder".into())
        })?;
        let heads = config.needed("num_attention_heads")?;
        let shared = match pattern.config {
            Sized::Heads => config.number("num_key_value_heads")?.unwrap_or(heads),
            _ => heads,
        };
        if heads % shared != 0 {
            return Err(bad(format!("{heads} heads are no multiple of {shared} key and value heads")));
        }
        if pattern.config == Sized::PrunedHeads && config.value("pruned_heads").is_some_and(|old| !is_empty(&old)) {
            return Err(bad("`pruned_heads` says that heads are gone already: shrink the original instead".into()));
        }
        let end = pattern.parts[0].name;
        let query = model.info(0, end).ok_or_else(|| missing(pattern, model, 0, end))?;
        let rows = query.shape.first().copied().unwrap_or(0);
        if rows == 0 || rows % heads != 0 {
            let name = &query.name;
            return Err(bad(format!(
                "`num_attention_heads` is {heads}, and {name} has {rows} rows, no multiple of it"
            )));
        }
        let dim = rows / heads;
        match config.number("head_dim")? {
            Some(said) if said != dim => {
                Err(bad(format!("`head_dim` is {said}, and {} has {rows} rows for {heads} heads", query.name)))
            }
            _ => Ok(Self { dim, per_group: heads / shared }),
        }
    }
}

fn is_empty(value: &serde_json::Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// How many layers have it, and that this one has not.
fn missing(pattern: &Pattern, model: &Model<'_>, layer: u64, end: &str) -> Problem {
    let have = |end: &str| (0..model.depth).filter(|layer| model.tensor(*layer, end).is_some()).count();
    // Where only one layer lacks all of it, that it lacks the first says most.
    let end = if model.tensor(layer, pattern.parts[0].name).is_none() { pattern.parts[0].name } else { end };
    let (found, missing) = (format!("{}.*.{end}", model.prefix), format!("{}.{layer}.{end}", model.prefix));
    Problem::Missing { found, missing, have: have(end), of: model.depth }
}

fn coupling(pattern: &Pattern, model: &Model<'_>, layer: u64, heads: Heads) -> Result<Coupling, Problem> {
    let mut members = Vec::new();
    for part in pattern.parts {
        let group = match part.per {
            Per::One => 1,
            Per::Head => heads.dim,
            Per::Group => heads.dim * heads.per_group,
        };
        let needed = part.needed || model.ends.contains(part.name);
        match model.tensor(layer, part.name) {
            Some(tensor) if part.along == Along::Rows => members.push(Member::makes(tensor, Place::Rows(group))),
            Some(tensor) => {
                let bias = bias_of(&model.tensors[tensor].name);
                members.push(Member::takes(tensor, Place::Columns(group), bias));
            }
            None if needed => return Err(missing(pattern, model, layer, part.name)),
            None => {}
        }
    }
    for ((_, end), tensor) in model.layers.range((layer, "")..(layer + 1, "")) {
        let own = pattern.own.iter().any(|own| end.starts_with(own));
        if !own || pattern.parts.iter().any(|part| part.name == *end) {
            continue;
        }
        let info = &model.tensors[*tensor];
        match pattern.beside.iter().find(|beside| beside.name == *end) {
            None => {
                let beside = format!("{}.{layer}.{}", model.prefix, pattern.parts[0].name);
                return Err(Problem::Stranger { tensor: info.name.clone(), beside });
            }
            Some(beside) if beside.head && info.shape != [heads.dim] => {
                let len = info.shape.iter().product();
                return Err(Problem::Extra { tensor: info.name.clone(), len, needed: heads.dim });
            }
            Some(_) => {}
        }
    }
    let own = pattern.own[0].trim_end_matches('.');
    Coupling::new(format!("{}.{layer}.{own}", model.prefix), model.tensors, members)
}
