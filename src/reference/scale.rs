use super::Matrix;

/// The bits of each weight's magnitude times the scale of its column, in `f32`: subnormals are kept, NaN is one NaN. The
/// matrix is a stretch of one with as many columns as there are scales, from weight `first` of that on.
/// Twin of `shaders/scale.wgsl`.
///
/// # Panics
/// If there are no scales.
pub fn scale(matrix: Matrix<'_>, scales: &[f32], first: u64) -> Vec<u32> {
    let scale = |i: u64| scales[((first + i) % scales.len() as u64) as usize];
    let scored = |(key, i): (u32, u64)| {
        let product = f32::from_bits(matrix.dtype.common_key(key)) * scale(i);
        if product.is_nan() { 0x7fc0_0000 } else { product.to_bits() }
    };
    matrix.keys().zip(0..).map(scored).collect()
}
