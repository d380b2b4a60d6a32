//! What the tests of products share: every way to carry one out, and the product in f64.

use lopper::gpu::Tuning;
use lopper::kernels::Kernels;
use lopper::reference::Matrix;
use lopper::{Dtype, wgpu};

use super::{Random, gpu, read_words};

/// What products take.
pub const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::BF16];

/// Every way in which a product may be carried out here.
pub fn all_kernels() -> Vec<(String, Kernels)> {
    let mut all = Vec::new();
    for (name, tuning) in
        [("CPU", Tuning::CPU), ("GPU", Tuning::GPU), ("GPU of 32 lanes", Tuning { lanes: 32, ..Tuning::GPU })]
    {
        let kernels = Kernels::new(gpu().device(), tuning);
        all.push((format!("{name}, as it is"), kernels.clone()));
        all.push((format!("{name}, without subgroups"), kernels.without_subgroups()));
    }
    all
}

/// Vectors, one behind the other.
pub fn vectors(n: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..n).map(|_| random.normal() as f32).collect()
}

pub fn floats(buffer: &wgpu::Buffer) -> Vec<f32> {
    read_words(buffer).into_iter().map(f32::from_bits).collect()
}

/// Whatever wgpu had to say.
pub fn check() {
    gpu().check().expect("wgpu has no objections");
}

/// The product of the stored values in f64.
pub fn exact(matrix: Matrix<'_>, x: &[f32], bias: Option<&[f32]>) -> Vec<f64> {
    let (rows, cols) = (matrix.shape.rows as usize, matrix.shape.cols as usize);
    let weight = |at| f64::from(matrix.dtype.value(matrix.dtype.bits(matrix.bytes, at)));
    let weights: Vec<f64> =
        (0..rows).flat_map(|row| (0..cols).map(move |c| row * matrix.stride + c)).map(weight).collect();
    let mut y = Vec::new();
    for x in x.chunks_exact(cols) {
        for (row, weights) in weights.chunks_exact(cols).enumerate() {
            let sum: f64 = weights.iter().zip(x).map(|(w, &x)| w * f64::from(x)).sum();
            y.push(sum + bias.map_or(0.0, |bias| f64::from(bias[row])));
        }
    }
    y
}

/// ‖got − want‖ / ‖want‖.
pub fn distance(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let apart = norm(&mut got.iter().zip(want).map(|(&g, &w)| f64::from(g) - w));
    let all = norm(&mut want.iter().copied());
    if all == 0.0 { apart } else { apart / all }
}

/// Whether a number is finite, and if not, what it is.
pub fn kind(v: f32) -> &'static str {
    match v {
        v if v.is_nan() => "NaN",
        f32::INFINITY => "+Inf",
        f32::NEG_INFINITY => "-Inf",
        _ => "finite",
    }
}
