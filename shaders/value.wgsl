// From a key to the magnitude it stands for, as the bits of an f32: what `Dtype::common_key` says. Exact for every type.

override DTYPE: u32 = 0u; // in the order of `Dtype::ALL`: F32, F16, BF16, F8_E4M3, F8_E5M2

const INFINITY: u32 = 0x7f800000u;
const NAN: u32 = 0x7fc00000u;
const NORMAL: u32 = 0x00800000u; // the smallest f32 that no adapter flushes to zero

// A type of `bits` mantissa bits and this bias; no infinities and no NaN.
fn minifloat(keys: vec4u, bits: u32, bias: u32) -> vec4u {
    let normal = (keys << vec4u(23u - bits)) + vec4u((127u - bias) << 23u);
    // Of a subnormal these are one more exponent's worth short: with it added, and taken away as a float, exactly.
    let least = (128u - bias) << 23u;
    let subnormal = bitcast<vec4f>(normal + vec4u(1u << 23u)) - vec4f(bitcast<f32>(least));
    return select(normal, bitcast<vec4u>(subnormal), keys < vec4u(1u << bits));
}

fn values(keys: vec4u) -> vec4u {
    if DTYPE == 1u {
        let special = vec4u(INFINITY) | ((keys & vec4u(0x3ffu)) << vec4u(13u));
        return select(minifloat(keys, 10u, 15u), special, keys >= vec4u(0x7c00u));
    }
    if DTYPE == 2u { return keys << vec4u(16u); }
    if DTYPE == 3u { return select(minifloat(keys, 3u, 7u), vec4u(NAN), keys == vec4u(0x7fu)); }
    if DTYPE == 4u {
        let special = vec4u(INFINITY) | ((keys & vec4u(3u)) << vec4u(21u));
        return select(minifloat(keys, 2u, 15u), special, keys >= vec4u(0x7cu));
    }
    return keys;
}

fn value(key: u32) -> u32 { return values(vec4u(key)).x; }
