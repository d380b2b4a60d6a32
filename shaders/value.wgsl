// From a key to the magnitude it stands for, as the bits of an f32: what `Dtype::common_key` says. Exact for every type.

override DTYPE: u32 = 0u; // in the order of `Dtype::ALL`: F32, F16, BF16, F8_E4M3, F8_E5M2

const INFINITY: u32 = 0x7f800000u;
const NAN: u32 = 0x7fc00000u;
const NORMAL: u32 = 0x00800000u; // the smallest f32 that no adapter flushes to zero

// A type of `bits` mantissa bits and this bias; `key` is no infinity and no NaN.
fn minifloat(key: u32, bits: u32, bias: u32) -> u32 {
    let normal = (key << (23u - bits)) + ((127u - bias) << 23u);
    // A subnormal is a small integer, which a float holds exactly, times a power of two.
    let subnormal = bitcast<u32>(f32(key)) - ((bias + bits - 1u) << 23u);
    return select(select(normal, subnormal, key < (1u << bits)), 0u, key == 0u);
}

fn value(key: u32) -> u32 {
    if DTYPE == 1u { return select(minifloat(key, 10u, 15u), INFINITY | ((key & 0x3ffu) << 13u), key >= 0x7c00u); }
    if DTYPE == 2u { return key << 16u; }
    if DTYPE == 3u { return select(minifloat(key, 3u, 7u), NAN, key == 0x7fu); }
    if DTYPE == 4u { return select(minifloat(key, 2u, 15u), INFINITY | ((key & 3u) << 21u), key >= 0x7cu); }
    return key;
}
