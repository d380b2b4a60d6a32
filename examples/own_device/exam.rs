//! What a network is worth, and what is left of it: the only place where anything is read back.

use anyhow::Result;
use lopper::record::Pruning;
use lopper::wgpu;

use super::data::{CLASSES, Images};
use super::host::{Host, record};
use super::mlp::{Forward, Mlp};

pub struct Exam {
    forward: Forward,
    labels: Vec<u32>,
}

impl Exam {
    pub fn new(host: &Host, mlp: &Mlp, images: Images) -> Self {
        let pixels = host.storage("test images", &images.pixels);
        Self { forward: mlp.forward(host, pixels, images.labels.len() as u32), labels: images.labels }
    }

    pub fn print_head() {
        println!("pruned        steps   accuracy    zeros  of weights    sparsity");
    }

    /// Submits, and prints how many test images are read correctly then, and what the last pruning left.
    pub fn print(
        &self,
        pruned: &str,
        steps: u32,
        host: &Host,
        mut encoder: wgpu::CommandEncoder,
        pruning: &Pruning,
    ) -> Result<()> {
        record(&mut encoder, &self.forward.kernels);
        let stats = pruning.stats(&mut encoder);
        let logits: Vec<f32> = host.submit_and_read(encoder, self.forward.logits())?;
        let stats = stats.wait(&host.device)?;
        let right = logits.chunks(CLASSES as usize).zip(&self.labels).filter(|&(l, &label)| largest(l) == label);
        let accuracy = 100.0 * right.count() as f64 / self.labels.len() as f64;

        let (all, sparsity) = (&stats.units[0], 100.0 * stats.sparsity()); // one unit: scope global
        println!("{pruned:12} {steps:>6} {accuracy:>8.1} % {:>8} {:>11} {sparsity:>9.4} %", all.zeros, all.weights);
        Ok(())
    }
}

/// Where the largest logit is.
fn largest(logits: &[f32]) -> u32 {
    let larger = |best, i| if logits[i as usize] > logits[best as usize] { i } else { best };
    (0..logits.len() as u32).fold(0, larger)
}
