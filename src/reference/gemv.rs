use super::Matrix;
use crate::Activation;

/// `activation(W · x + bias)`, summed in `f64` and rounded once. Twin of `shaders/gemv.wgsl`, which sums in
/// `f32`: results agree within rounding.
///
/// # Panics
/// If `x` or `bias` are shorter than a row or a column.
pub fn gemv(matrix: Matrix<'_>, x: &[f32], bias: Option<&[f32]>, activation: Activation) -> Vec<f32> {
    (0..matrix.shape.rows as usize)
        .map(|row| {
            let start = row * matrix.stride;
            let weight = |col| f64::from(matrix.dtype.value(matrix.dtype.bits(matrix.bytes, start + col)));
            let sum = (0..matrix.shape.cols as usize).map(|col| weight(col) * f64::from(x[col])).sum::<f64>();
            activate((sum + bias.map_or(0.0, |bias| f64::from(bias[row]))) as f32, activation)
        })
        .collect()
}

/// The activation of one number.
pub fn activate(v: f32, activation: Activation) -> f32 {
    match activation {
        Activation::None => v,
        Activation::Relu if v <= 0.0 => 0.0,
        Activation::Relu => v,
        Activation::Gelu => 0.5 * v * (1.0 + erf(v * std::f32::consts::FRAC_1_SQRT_2)),
        Activation::Silu => v / (1.0 + (-v).exp()),
    }
}

/// Abramowitz and Stegun 7.1.26: within 1.5e-7.
fn erf(v: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.327_591_1 * v.abs());
    let p = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_8) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    v.signum() * (1.0 - p * (-v * v).exp())
}
