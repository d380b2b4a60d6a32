//! What neurons that go gave on average, folded into the bias behind the tensor that takes them.
//!
//! With `y = W x + b` and inputs of mean `μ`, leaving out the inputs `r` and adding `W_r μ_r` to `b` leaves an error whose mean
//! over the data is 0. What is left is `W_r (x_r − μ_r)`: with inputs that do not vary together, its mean square is
//! `Σ_r ‖W_r‖² (mean x² − μ²)`; without the new bias it is `‖W_r μ_r‖²` more. Both are reported, as shares of the mean square
//! of `W x`. Means are of the model as it was: what layers before it lose is not in them.

use std::collections::HashMap;
use std::path::Path;

use half::{bf16, f16};

use super::coupling::bias_of;
use super::report::ConsumerReport;
use super::runs::Runs;
use super::score::{place_of, told, vector};
use super::tiles::{Grid, Scratch, Tile};
use super::{Couplings, Member, Place, Problem};
use crate::checkpoint::{Checkpoint, TensorInfo, quoted};
use crate::shared::{OnBytes, in_order};
use crate::{Dtype, Result};

/// New contents for biases.
#[derive(Debug, Default)]
pub(super) struct Biases {
    /// Of tensors that there are, by their number: all of it.
    pub changed: HashMap<usize, Vec<u8>>,
    /// Of tensors that there are not: with the tensor behind which it lies.
    pub added: Vec<(usize, TensorInfo, Vec<u8>)>,
    pub consumers: Vec<ConsumerReport>,
}

/// A tensor that takes units, with the means of its inputs.
struct Consumer<'a> {
    member: &'a Member,
    info: &'a TensorInfo,
    grid: Grid,
    bias: Option<usize>,
    means: Vec<f64>,
    variances: Vec<f64>,
    /// Inputs that go: 1, those that stay: 0.
    goes: Vec<f64>,
}

/// Sums over a row: what goes gave on average, what all gave, and their variances.
type RowSums = [f64; 4];

/// The biases that make up for units that go. `moments` is a safetensors file with a tensor `[2, inputs]` for each tensor that
/// takes units, under its name: the mean of each input, and the mean of its square.
///
/// # Errors
/// Those of reading; [`Problem::File`] where the file has not what is needed; [`Problem::Compensate`] where there is no bias
/// and no place for one.
pub(super) fn biases(
    checkpoint: &Checkpoint,
    couplings: &Couplings,
    kept: &[Vec<u64>],
    moments: &Path,
    on_bytes: OnBytes<'_>,
) -> Result<Biases> {
    let infos = checkpoint.tensors();
    let file = Checkpoint::open(moments)?;
    let names: HashMap<&str, usize> = infos.iter().enumerate().map(|(n, info)| (info.name.as_str(), n)).collect();
    let mut consumers = Vec::new();
    for (coupling, kept) in couplings.list.iter().zip(kept) {
        for member in coupling.members.iter().filter(|member| member.consumes) {
            let bias = member.bias.as_ref().and_then(|name| names.get(name.as_str()).copied());
            let may = bias.is_some() || member.bias.is_some() && couplings.new_biases.is_some();
            consumers.push(Consumer::new(infos, member, kept, (&file, moments), bias, may)?);
        }
    }
    let done = Default::default();
    let all = consumers.iter().map(|consumer| consumer.info.bytes()).sum();
    let mut biases = Biases::default();
    for consumer in &consumers {
        let sums = consumer.sums(checkpoint, &|bytes| told(on_bytes, &done, bytes, all))?;
        let bias = consumer.bias.map(|bias| &infos[bias]);
        if let Some(info) = bias.filter(|info| info.shape.iter().product::<u64>() != sums.len() as u64) {
            let (found, rows) = (info.shape.iter().product::<u64>(), sums.len());
            let problem = format!("it has {found} numbers for {rows} rows of {}", quoted(&consumer.info.name));
            return Err(Problem::Compensate { tensor: info.name.clone(), problem }.into());
        }
        let (dtype, old) = match (consumer.bias, bias) {
            (Some(number), Some(info)) => (number_type(info)?, read(checkpoint, number, number_type(info)?)?),
            _ => (number_type(consumer.info)?, vec![0.0; sums.len()]),
        };
        let new = old.iter().zip(&sums).map(|(old, sums)| old + sums[0]);
        let bytes: Vec<u8> = new.flat_map(|value| encoded(dtype, value)).collect();
        match (consumer.bias, &consumer.member.bias) {
            (Some(number), _) => drop(biases.changed.insert(number, bytes)),
            (None, Some(name)) => {
                let info = TensorInfo::new(name.clone(), consumer.info.dtype, [sums.len() as u64])?;
                biases.added.push((consumer.member.tensor, info, bytes));
            }
            (None, None) => {}
        }
        biases.consumers.push(consumer.report(&sums));
    }
    if !biases.added.is_empty() {
        add_zeros(infos, &names, couplings, kept, &mut biases)?;
    }
    Ok(biases)
}

/// Where an architecture has biases in some of its layers it has them in all: 0 where units are made.
fn add_zeros(
    infos: &[TensorInfo],
    names: &HashMap<&str, usize>,
    couplings: &Couplings,
    kept: &[Vec<u64>],
    biases: &mut Biases,
) -> Result<()> {
    for (coupling, kept) in couplings.list.iter().zip(kept) {
        for member in coupling.members.iter().filter(|member| !member.consumes) {
            let (info, Place::Rows(group)) = (&infos[member.tensor], member.place) else { continue };
            let Some(name) = bias_of(&info.name).filter(|name| !names.contains_key(name.as_str())) else { continue };
            let zeros = TensorInfo::new(name, info.dtype, [kept.len() as u64 * group])?;
            let bytes = vec![0; zeros.bytes() as usize];
            biases.added.push((member.tensor, zeros, bytes));
        }
    }
    Ok(())
}

impl<'a> Consumer<'a> {
    fn new(
        infos: &'a [TensorInfo],
        member: &'a Member,
        kept: &[u64],
        (file, path): (&Checkpoint, &Path),
        bias: Option<usize>,
        may: bool,
    ) -> Result<Self> {
        let info = &infos[member.tensor];
        let refused = |problem: String| Problem::Compensate { tensor: info.name.clone(), problem };
        if !may {
            let why = "it has no bias, and nothing is known of how it could get one: give --compensate none";
            return Err(refused(why.into()).into());
        }
        let (Place::Columns(group), [_, inputs]) = (member.place, &info.shape[..]) else {
            return Err(
                refused("only for inputs along the columns of a matrix is it known what they give".into()).into()
            );
        };
        number_type(info)?;
        let grid = Grid::new(member.tensor, info).ok_or_else(|| refused("it has no weights".into()))?;
        let bad = |problem: String| Problem::File { path: path.display().to_string(), problem };
        let place = place_of(file, &info.name);
        let place = place.ok_or_else(|| bad(format!("it has no moments for {}", quoted(&info.name))))?;
        let found = file.tensors()[place].shape.iter().product::<u64>();
        if inputs.checked_mul(2) != Some(found) {
            let name = quoted(&info.name);
            return Err(bad(format!("{found} numbers for {name}, which takes {inputs}: means and mean squares")).into());
        }
        let moments = vector(file, path, place)?;
        let (means, squares) = moments.split_at(*inputs as usize);
        let mut goes = vec![1.0; means.len()];
        Runs::of_units(kept, group).iter().for_each(|run| goes[run.start as usize..run.end as usize].fill(0.0));
        // A rounding below 0 is none.
        let variances = means.iter().zip(squares).map(|(mean, square)| (square - mean * mean).max(0.0)).collect();
        Ok(Self { member, info, grid, bias, means: means.to_vec(), variances, goes })
    }

    /// Sums of each row, in the order of columns.
    fn sums(&self, checkpoint: &Checkpoint, told: &(dyn Fn(u64) -> Result<()> + Sync)) -> Result<Vec<RowSums>> {
        let tiles: Vec<Tile> = self.grid.tiles().collect();
        let mut sums = vec![[0.0; 4]; self.info.shape[0] as usize];
        let each = |scratch: &mut Scratch, tile: u64| {
            let tile = &tiles[tile as usize];
            let cols = tile.cols.start as usize..tile.cols.end as usize;
            let (means, variances) = (&self.means[cols.clone()], &self.variances[cols.clone()]);
            let goes = &self.goes[cols];
            let mut found = Vec::new();
            self.grid.read(checkpoint, tile, scratch, |row| {
                let mut sums = [0.0; 4];
                for (((weight, mean), variance), goes) in row.iter().zip(means).zip(variances).zip(goes) {
                    let weight = f64::from(*weight);
                    let (mean, variance) = (weight * mean, weight * weight * variance);
                    for (sum, more) in sums.iter_mut().zip([mean * goes, mean, variance * goes, variance]) {
                        *sum += more;
                    }
                }
                found.push(sums);
            })?;
            told(self.grid.bytes(tile))?;
            Ok(found)
        };
        in_order(tiles.len() as u64, Scratch::default, each, |tile, found: Vec<RowSums>| {
            for (to, found) in sums[tiles[tile as usize].rows.start as usize..].iter_mut().zip(found) {
                to.iter_mut().zip(found).for_each(|(to, more)| *to += more);
            }
        })?;
        Ok(sums)
    }

    fn report(&self, rows: &[RowSums]) -> ConsumerReport {
        let sum = |of: fn(&RowSums) -> f64| rows.iter().map(of).sum::<f64>();
        let (gone, varied) = (sum(|row| row[0] * row[0]), sum(|row| row[2]));
        let whole = sum(|row| row[1] * row[1] + row[3]);
        let share = |square: f64| if whole > 0.0 { (square / whole).sqrt() } else { 0.0 };
        ConsumerReport {
            tensor: self.info.name.clone(),
            error: share(varied),
            error_uncompensated: share(varied + gone),
        }
    }
}

fn number_type(info: &TensorInfo) -> Result<Dtype, Problem> {
    let problem = || format!("it is {}: biases are F32, F16 or BF16", info.dtype);
    info.number().ok_or_else(|| Problem::Compensate { tensor: info.name.clone(), problem: problem() })
}

fn read(checkpoint: &Checkpoint, number: usize, dtype: Dtype) -> Result<Vec<f64>> {
    let mut bytes = vec![0; checkpoint.tensors()[number].bytes() as usize];
    checkpoint.read_at(number, 0, &mut bytes)?;
    Ok((0..bytes.len() / dtype.size()).map(|i| dtype.value(dtype.bits(&bytes, i)).into()).collect())
}

/// The nearest number of a type, ties to even.
fn encoded(dtype: Dtype, value: f64) -> Vec<u8> {
    match dtype {
        Dtype::F16 => f16::from_f64(value).to_le_bytes().to_vec(),
        Dtype::BF16 => bf16::from_f64(value).to_le_bytes().to_vec(),
        _ => (value as f32).to_le_bytes().to_vec(),
    }
}
