//! How many outliers there are among the scores of each layer, which OWL decides by (Yin et al., "Outlier Weighed Layerwise
//! Sparsity", 2023).

use std::path::Path;

use super::arrange::Axes;
use super::scores::Scores;
use super::{Layout, Plan, Rule, Score, Target};
use crate::checkpoint::{Checkpoint, TensorInfo};
use crate::scheduler::Scoring;
use crate::{Dtype, Result};

/// For each tensor that the plan prunes, in the checkpoint's order: the share of its layer's scores that are more than
/// `times` their mean. Scores are Wanda's: magnitude times the norm of the input, from the file `activations`. A layer is all
/// such tensors whose names have the same first number, and the same text before it (`model.layers.7.`); a tensor whose
/// name has no number is one by itself. The paper takes 5 times the mean.
///
/// Reads what is pruned twice, 1 MiB at a time; `progress` is told bytes done and bytes in all.
///
/// # Errors
/// Those of reading, and of an activations file that does not fit.
pub fn outlier_shares(
    checkpoint: &Checkpoint,
    activations: &Path,
    plan: &Plan,
    times: f64,
    progress: &dyn Fn(u64, u64),
) -> Result<Vec<f64>> {
    let score = Score::Wanda { activations: activations.to_owned() };
    let scores = Scores::open(&Rule { score, ..Rule::new(Target::Sparsity(0.0)) })?;
    let infos = checkpoint.tensors();
    let mut tensors = Vec::new();
    for (number, planned) in plan.tensors.iter().enumerate() {
        let (Some(dtype), info) = (planned.dtype, &infos[number]) else { continue };
        let Axes { inputs, kernel, .. } = Axes::new(&info.shape, Layout::OutIn);
        let mut norms = vec![0.0; inputs as usize];
        let weights = planned.shape.weights();
        if let Some((found, Scoring::Scaled)) = scores.find(info, weights, inputs)? {
            scores.read(found, 0, &mut norms)?;
        }
        tensors.push(Tensor { number, info, dtype, norms, kernel });
    }
    let all = 2 * tensors.iter().map(|tensor| tensor.info.bytes()).sum::<u64>();
    let mut done = 0;
    let mut shares = Vec::with_capacity(tensors.len());
    let mut layer = 0;
    while layer < tensors.len() {
        let of = layer_of(&tensors[layer].info.name);
        let end = tensors[layer..].iter().take_while(|t| layer_of(&t.info.name) == of).count().max(1) + layer;
        let members = &tensors[layer..end];
        let mut on_bytes = |bytes| {
            done += bytes;
            progress(done, all);
        };
        let (mut sum, mut count, mut outliers) = (0.0, 0u64, 0u64);
        for tensor in members {
            tensor.scores(checkpoint, &mut on_bytes, |score| (sum, count) = (sum + score, count + 1))?;
        }
        let most = times * sum / count.max(1) as f64;
        for tensor in members {
            tensor.scores(checkpoint, &mut on_bytes, |score| outliers += u64::from(score > most))?;
        }
        shares.extend(members.iter().map(|_| outliers as f64 / count.max(1) as f64));
        layer = end;
    }
    Ok(shares)
}

struct Tensor<'a> {
    number: usize,
    info: &'a TensorInfo,
    dtype: Dtype,
    norms: Vec<f32>,
    kernel: u64,
}

impl Tensor<'_> {
    fn scores(&self, checkpoint: &Checkpoint, on_bytes: &mut dyn FnMut(u64), mut each: impl FnMut(f64)) -> Result<()> {
        let (size, mut at, mut place) = (self.dtype.size(), 0, 0u64);
        let row = self.norms.len() as u64 * self.kernel;
        let mut block = Vec::new();
        while at < self.info.bytes() {
            block.resize((self.info.bytes() - at).min(1 << 20) as usize, 0);
            checkpoint.read_at(self.number, at, &mut block)?;
            for i in 0..block.len() / size {
                let magnitude = self.dtype.magnitude(self.dtype.key(&block, i)) as f32;
                each((magnitude * self.norms[(place / self.kernel) as usize]).into());
                place = if place + 1 == row { 0 } else { place + 1 };
            }
            at += block.len() as u64;
            on_bytes(block.len() as u64);
        }
        Ok(())
    }
}

/// The name up to its first number between dots.
fn layer_of(name: &str) -> &str {
    let mut end = 0;
    for part in name.split_inclusive('.') {
        end += part.len();
        let number = part.trim_end_matches('.');
        if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) {
            return &name[..end];
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_what_shares_the_first_number() {
        assert_eq!(layer_of("model.layers.7.mlp.up_proj.weight"), "model.layers.7.");
        assert_eq!(layer_of("h.0.attn.3.weight"), "h.0.");
        assert_eq!(layer_of("conv1.weight"), "conv1.weight");
    }
}
