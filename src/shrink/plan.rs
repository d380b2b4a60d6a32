//! What becomes of each tensor, decided before anything is written.

use std::borrow::Cow;
use std::sync::Arc;

use super::compensate::Biases;
use super::config::{self, Config, Sizes};
use super::gather::Gather;
use super::patterns::numbered;
use super::runs::Runs;
use super::{Couplings, Place};
use crate::Result;
use crate::checkpoint::{Checkpoint, NewShard, TensorInfo};

/// A smaller checkpoint, before it is written.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order of the checkpoint that it comes from.
    pub tensors: Vec<Planned>,
    /// The configuration, where it changes.
    config: Option<Config>,
}

/// A tensor of the smaller checkpoint.
#[derive(Debug)]
pub(super) struct Planned {
    pub info: TensorInfo,
    /// The one that it comes from; none where it is new.
    pub from: Option<usize>,
    pub content: Content,
}

/// Where what is in it comes from.
#[derive(Debug)]
pub(super) enum Content {
    /// All of a tensor.
    Copy(usize),
    /// Of a tensor what stays along its first and second dimension.
    Gather(usize, [Option<Arc<Runs>>; 2]),
    /// It is here.
    Bytes(Vec<u8>),
}

impl Plan {
    /// What comes of keeping these units of each coupling, and of these biases.
    ///
    /// # Errors
    /// [`Problem::Config`](super::Problem::Config) where the model's `config.json` cannot say it.
    pub fn new(
        couplings: &Couplings,
        kept: &[Vec<u64>],
        checkpoint: &Checkpoint,
        config: Option<&Config>,
        biases: Biases,
    ) -> Result<Self> {
        let infos = checkpoint.tensors();
        let mut ways: Vec<[Option<Arc<Runs>>; 2]> = infos.iter().map(|_| [None, None]).collect();
        let mut gone = vec![false; infos.len()];
        for (coupling, kept) in couplings.list.iter().zip(kept) {
            for member in &coupling.members {
                let (dimension, group) = match member.place {
                    Place::Rows(group) => (0, group),
                    Place::Columns(group) => (1, group),
                    Place::Whole(unit) => {
                        gone[member.tensor] = kept.binary_search(&unit).is_err();
                        continue;
                    }
                };
                if (kept.len() as u64) < coupling.units {
                    ways[member.tensor][dimension] = Some(Arc::new(Runs::of_units(kept, group)));
                }
            }
        }
        let Biases { mut changed, mut added, .. } = biases;
        added.sort_by_key(|(behind, ..)| *behind);
        let new_biases = (!added.is_empty()).then_some(couplings.new_biases).flatten();
        let mut added = added.into_iter().peekable();
        let mut tensors = Vec::new();
        for (from, (info, ways)) in infos.iter().zip(ways).enumerate() {
            if gone[from] {
                continue;
            }
            let mut shape = info.shape.clone();
            for (dimension, runs) in ways.iter().enumerate() {
                shape.iter_mut().skip(dimension).take(1).zip(runs).for_each(|(length, runs)| *length = runs.len());
            }
            let content = match (changed.remove(&from), ways) {
                (Some(bytes), [Some(rows), None]) => {
                    let row = bytes.len() as u64 / info.shape[0];
                    Content::Bytes(of_bytes(&bytes, &rows.times(row)))
                }
                (Some(bytes), _) => Content::Bytes(bytes),
                (None, [None, None]) => Content::Copy(from),
                (None, ways) => Content::Gather(from, ways),
            };
            let name = renumbered(&info.name, &couplings.sizes, kept).into_owned();
            let own = placed(TensorInfo::new(name, info.dtype, shape)?, info.shard);
            tensors.push(Planned { info: own, from: Some(from), content });
            while let Some((_, new, bytes)) = added.next_if(|(behind, ..)| *behind == from) {
                tensors.push(Planned { info: placed(new, info.shard), from: None, content: Content::Bytes(bytes) });
            }
        }
        let units: Vec<u64> = couplings.list.iter().map(|coupling| coupling.units).collect();
        let stay: Vec<&[u64]> = kept.iter().map(Vec::as_slice).collect();
        let shrunk = config.map(|config| config.shrunk(&couplings.sizes, &stay, &units)).transpose()?;
        let shrunk = shrunk.map(|mut shrunk| {
            new_biases.iter().for_each(|new| shrunk.set(new.key, &true.into()));
            shrunk
        });
        Ok(Self { tensors, config: shrunk.filter(|shrunk| Some(shrunk) != config) })
    }

    /// Bytes of all tensors together, headers apart.
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.info.bytes()).sum()
    }

    /// Bytes that are read to write it.
    pub fn bytes_read(&self, infos: &[TensorInfo]) -> u64 {
        let read = |tensor: &Planned| match &tensor.content {
            Content::Copy(from) => infos[*from].bytes(),
            Content::Gather(from, ways) => gather(&infos[*from], ways).bytes(),
            Content::Bytes(_) => 0,
        };
        self.tensors.iter().map(read).sum()
    }

    /// The shards, without those of which nothing is left, and numbers of the tensors in the order of these.
    ///
    /// # Errors
    /// Those of reading headers.
    pub fn shards(&self, checkpoint: &Checkpoint, entry: (&str, &str)) -> Result<(Vec<NewShard>, Vec<usize>)> {
        let (mut shards, mut order) = (Vec::new(), Vec::new());
        for (number, shard) in checkpoint.shards().iter().enumerate() {
            let own = || self.tensors.iter().enumerate().filter(|(_, tensor)| tensor.info.shard == number);
            if own().next().is_none() {
                continue;
            }
            let mut metadata = checkpoint.all_metadata(number)?;
            metadata.insert(entry.0.to_owned(), entry.1.to_owned());
            let tensors = own().map(|(_, tensor)| tensor.info.clone()).collect();
            order.extend(own().map(|(at, _)| at));
            shards.push(NewShard { name: shard.name.clone(), tensors, metadata });
        }
        Ok((shards, order))
    }

    /// Files of the folder that change.
    pub fn others(&self) -> Vec<(String, Vec<u8>)> {
        let file = |config: &Config| (config::NAME.to_owned(), config.text().as_bytes().to_vec());
        self.config.iter().map(file).collect()
    }
}

/// What stays of a tensor.
pub(super) fn gather(info: &TensorInfo, [rows, columns]: &[Option<Arc<Runs>>; 2]) -> Gather {
    let length = |dimension: usize| info.shape.get(dimension).copied().unwrap_or(1);
    let rows = rows.as_ref().map_or_else(|| Runs::all(length(0)), |rows| Runs::clone(rows));
    let row_bytes = info.bytes() / length(0).max(1);
    Gather::new(rows, row_bytes, columns.as_deref(), row_bytes / length(1).max(1))
}

fn placed(info: TensorInfo, shard: usize) -> TensorInfo {
    TensorInfo { shard, ..info }
}

fn of_bytes(bytes: &[u8], runs: &Runs) -> Vec<u8> {
    runs.iter().flat_map(|run| &bytes[run.start as usize..run.end as usize]).copied().collect()
}

/// The name with the number that its layer has now.
fn renumbered<'a>(name: &'a str, sizes: &Sizes, kept: &[Vec<u64>]) -> Cow<'a, str> {
    let Sizes::Depth { prefix } = sizes else { return name.into() };
    match numbered(name, prefix).and_then(|(layer, rest)| Some((kept[0].binary_search(&layer).ok()?, rest))) {
        Some((layer, rest)) => format!("{prefix}.{layer}.{rest}").into(),
        None => name.into(),
    }
}
