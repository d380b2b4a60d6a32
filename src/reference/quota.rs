/// `round-half-even(sparsity × n)` of the exact product, for a sparsity of 24 bits. What lies outside of 0 to 1 is taken
/// for the nearer one, NaN for 0. Twin of `shaders/quota.wgsl`.
///
/// Below 2²⁹ weights this is [`crate::quota`] of the same number as `f64`, whose product may be rounded beyond.
pub fn quota(sparsity: f32, n: u32) -> u32 {
    if sparsity.is_nan() || sparsity < f32::MIN_POSITIVE {
        return 0;
    }
    if sparsity >= 1.0 {
        return n;
    }
    let bits = sparsity.to_bits();
    // The product has 56 bits; shifted by more than 60 it is nothing.
    let shift = (150 - (bits >> 23)).min(60);
    let product = u64::from(bits & 0x7f_ffff | 0x80_0000) * u64::from(n);
    let (whole, rest, half) = ((product >> shift) as u32, product & ((1 << shift) - 1), 1 << (shift - 1));
    whole + u32::from(rest > half || rest == half && whole % 2 == 1)
}
