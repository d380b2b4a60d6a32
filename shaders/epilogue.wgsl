// What is done to a sum before it is written: bias, then activation.

override BIAS: bool = false;
override ACTIVATION: u32 = 0u; // in the order of `Activation`: none, ReLU, GELU, SiLU

@group(0) @binding(5) var<storage, read> bias: array<f32>;    // [rows]; any buffer if there is none
@group(0) @binding(6) var<storage, read_write> y: array<f32>; // [columns][rows]

// Abramowitz and Stegun 7.1.26: within 1.5e-7 of erf.
fn erf(v: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.3275911 * abs(v));
    let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return sign(v) * (1.0 - p * exp(-v * v));
}

fn epilogue(sum: f32, row: u32) -> f32 {
    var v = sum;
    if BIAS { v += bias[row]; }
    // Not max(), which may lose a NaN.
    if ACTIVATION == 1u { v = select(v, 0.0, v <= 0.0); }
    if ACTIVATION == 2u { v = 0.5 * v * (1.0 + erf(v * 0.70710678)); }
    if ACTIVATION == 3u { v = v / (1.0 + exp(-v)); }
    return v;
}
