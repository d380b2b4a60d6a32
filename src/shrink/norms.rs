//! One pass over the tensors of couplings, on the CPU: norms of rows, columns and whole tensors, unit by unit.
//!
//! A tensor is read once, in tiles, also where both its rows and its columns are looked at. Sums are in `f64`, and the tiles'
//! are added in the order of the tiles: the same scores on every machine, whatever the number of threads. Each of these takes
//! about 12 MiB, whatever the size of a tensor; sums take 8 bytes for each unit and tensor.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::AtomicU64;

use super::score::{Combine, Side, larger, told};
use super::tiles::{Grid, Scratch, Tile};
use super::{Coupling, Couplings, Place, Problem};
use crate::checkpoint::{Checkpoint, TensorInfo, quoted};
use crate::shared::{OnBytes, in_order};
use crate::{Norm, Result};

/// A tensor, and who asks for sums of it.
struct Job {
    grid: Grid,
    asked: Vec<Asked>,
}

#[derive(Clone, Copy)]
struct Asked {
    coupling: usize,
    member: usize,
    place: Place,
}

/// Sums of a tile: of its rows, and of its columns, if someone asks for them.
struct Sums {
    rows: Vec<f64>,
    cols: Vec<f64>,
}

/// For each coupling and member, a sum for each unit; one for a whole tensor, none for what is not looked at.
type AllSums = Vec<Vec<Vec<f64>>>;

/// A score for each unit of each coupling.
pub(super) fn scores(
    checkpoint: &Checkpoint,
    couplings: &Couplings,
    (norm, combine, side): (Norm, Combine, Side),
    on_bytes: OnBytes<'_>,
) -> Result<Vec<Vec<f64>>> {
    let infos = checkpoint.tensors();
    let jobs = jobs(infos, couplings, side)?;
    let tiles: Vec<(&Job, Tile)> = jobs.iter().flat_map(|job| job.grid.tiles().map(move |tile| (job, tile))).collect();
    let all = tiles.iter().map(|(job, tile)| job.grid.bytes(tile)).sum();
    let mut sums: AllSums = couplings.list.iter().map(|c| vec![Vec::new(); c.members.len()]).collect();
    for asked in jobs.iter().flat_map(|job| &job.asked) {
        let units = if let Place::Whole(_) = asked.place { 1 } else { couplings.list[asked.coupling].units };
        sums[asked.coupling][asked.member] = vec![0.0; units as usize];
    }
    couplings.list.iter().zip(&sums).try_for_each(|(coupling, sums)| all_have_norms(coupling, infos, sums))?;
    let done = AtomicU64::new(0);
    let each = |scratch: &mut Scratch, number: u64| {
        let (job, tile) = &tiles[number as usize];
        let found = job.sums(checkpoint, tile, norm, scratch)?;
        told(on_bytes, &done, job.grid.bytes(tile), all)?;
        Ok(found)
    };
    in_order(tiles.len() as u64, Scratch::default, each, |number, found| {
        let (job, tile) = &tiles[number as usize];
        job.asked.iter().for_each(|asked| asked.take(norm, job.grid.inner, tile, &found, &mut sums));
    })?;
    let all = couplings.list.iter().zip(&sums);
    Ok(all.map(|(coupling, sums)| combined(coupling, infos, sums, norm, combine)).collect())
}

/// Each tensor that is looked at, once.
fn jobs(tensors: &[TensorInfo], couplings: &Couplings, side: Side) -> Result<Vec<Job>, Problem> {
    let mut jobs: Vec<Option<Job>> = (0..tensors.len()).map(|_| None).collect();
    for (coupling, members) in couplings.list.iter().map(|coupling| &coupling.members).enumerate() {
        for (number, member) in members.iter().enumerate() {
            let info = &tensors[member.tensor];
            let whole = matches!(member.place, Place::Whole(_));
            if info.shape.len() < 2 || !side.has(member.consumes) && !whole {
                continue;
            }
            if jobs[member.tensor].is_none() {
                let grid = Grid::new(member.tensor, info);
                if grid.is_none() && info.prunable().is_none() && !whole {
                    let problem = format!("it is {}, of which there are no norms: give --score file", info.dtype);
                    return Err(Problem::NoNorm { tensor: info.name.clone(), problem });
                }
                jobs[member.tensor] = grid.map(|grid| Job { grid, asked: Vec::new() });
            }
            if let Some(job) = &mut jobs[member.tensor] {
                job.asked.push(Asked { coupling, member: number, place: member.place });
            }
        }
    }
    Ok(jobs.into_iter().flatten().collect())
}

/// Refuses units of which no tensor is looked at: they would all be worth 0, and the first of them go.
fn all_have_norms(coupling: &Coupling, infos: &[TensorInfo], sums: &[Vec<f64>]) -> Result<(), Problem> {
    let mut without: BTreeMap<u64, usize> = BTreeMap::new();
    let mut with: HashSet<u64> = HashSet::new();
    for (member, sums) in coupling.members.iter().zip(sums) {
        match (member.place, sums.is_empty()) {
            (Place::Whole(unit), false) => drop(with.insert(unit)),
            (Place::Whole(unit), true) => drop(without.entry(unit).or_insert(member.tensor)),
            (_, false) => return Ok(()),
            (_, true) => drop(without.entry(0).or_insert(member.tensor)),
        }
    }
    match without.into_iter().find(|(unit, _)| !with.contains(unit)) {
        None => Ok(()),
        Some((unit, tensor)) => {
            let (info, name) = (&infos[tensor], quoted(&coupling.name));
            let problem = format!(
                "it is {} of {} dimensions, and no tensor of unit {unit} of {name} that is looked at has norms: give --score file",
                info.dtype,
                info.shape.len()
            );
            Err(Problem::NoNorm { tensor: info.name.clone(), problem })
        }
    }
}

impl Job {
    fn sums(&self, checkpoint: &Checkpoint, tile: &Tile, norm: Norm, scratch: &mut Scratch) -> Result<Sums> {
        let along = |is: fn(&Place) -> bool| self.asked.iter().any(|asked| is(&asked.place));
        let by_column = along(|place| matches!(place, Place::Columns(_)));
        let by_row = along(|place| !matches!(place, Place::Columns(_)));
        let cols = if by_column { tile.cols.end - tile.cols.start } else { 0 };
        let mut sums = Sums { rows: Vec::new(), cols: vec![0.0; cols as usize] };
        self.grid.read(checkpoint, tile, scratch, |values| {
            if by_row {
                sums.rows.push(along_row(norm, values));
            }
            if by_column {
                along_columns(norm, values, &mut sums.cols);
            }
        })?;
        Ok(sums)
    }
}

impl Asked {
    fn take(&self, norm: Norm, inner: u64, tile: &Tile, found: &Sums, sums: &mut AllSums) {
        let to = &mut sums[self.coupling][self.member];
        let mut add = |unit: u64, sum: f64| {
            let to = &mut to[unit as usize];
            *to = if norm == Norm::Linf { larger(*to, sum) } else { *to + sum };
        };
        match self.place {
            Place::Rows(group) => (tile.rows.start..).zip(&found.rows).for_each(|(row, sum)| add(row / group, *sum)),
            Place::Columns(group) => {
                (tile.cols.start..).zip(&found.cols).for_each(|(col, sum)| add(col / inner / group, *sum));
            }
            Place::Whole(_) => found.rows.iter().for_each(|sum| add(0, *sum)),
        }
    }
}

/// The scores of a coupling's units.
fn combined(coupling: &Coupling, infos: &[TensorInfo], sums: &[Vec<f64>], norm: Norm, combine: Combine) -> Vec<f64> {
    let norm_of = |tensor: usize, sum: f64, units: u64| match norm {
        Norm::L1 | Norm::Linf => sum,
        Norm::L2 => sum.sqrt(),
        Norm::Mean => sum / (infos[tensor].shape.iter().product::<u64>() / units) as f64,
    };
    let mut norms: Vec<Vec<f64>> = vec![Vec::new(); coupling.units as usize];
    for (member, sums) in coupling.members.iter().zip(sums).filter(|(_, sums)| !sums.is_empty()) {
        match member.place {
            Place::Whole(unit) => norms[unit as usize].push(norm_of(member.tensor, sums[0], 1)),
            _ => {
                let own = sums.iter().map(|sum| norm_of(member.tensor, *sum, coupling.units));
                norms.iter_mut().zip(own).for_each(|(norms, norm)| norms.push(norm));
            }
        }
    }
    norms.into_iter().map(|norms| combine.of(norms.into_iter())).collect()
}

/// Eight sums at a time, as processors add.
fn by_eight(values: &[f32], each: impl Fn(f64, f32) -> f64) -> [f64; 8] {
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0f64; 8];
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, value)| *sum = each(*sum, *value));
    }
    sums.iter_mut().zip(rest).for_each(|(sum, value)| *sum = each(*sum, *value));
    sums
}

fn along_row(norm: Norm, values: &[f32]) -> f64 {
    match norm {
        Norm::L1 | Norm::Mean => by_eight(values, |sum, value| sum + f64::from(value.abs())).iter().sum(),
        Norm::L2 => by_eight(values, |sum, value| sum + f64::from(value) * f64::from(value)).iter().sum(),
        Norm::Linf => by_eight(values, |most, value| larger(most, value.abs().into())).into_iter().fold(0.0, larger),
    }
}

fn along_columns(norm: Norm, values: &[f32], sums: &mut [f64]) {
    let pairs = sums.iter_mut().zip(values);
    match norm {
        Norm::L1 | Norm::Mean => pairs.for_each(|(sum, value)| *sum += f64::from(value.abs())),
        Norm::L2 => pairs.for_each(|(sum, value)| *sum += f64::from(*value) * f64::from(*value)),
        Norm::Linf => pairs.for_each(|(most, value)| *most = larger(*most, value.abs().into())),
    }
}
