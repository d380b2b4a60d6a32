// The two f16 weights in a word, by integers: in place of unpack2x16float() where a driver has none, as llvmpipe without f16.

fn half_of(bits: u32) -> f32 {
    let magnitude = bits & 0x7fffu;
    var f = bitcast<u32>(f32(magnitude) * 5.9604645e-8); // subnormal: so many times 2^-24
    if magnitude >= 0x400u { f = (magnitude << 13u) + (112u << 23u); }
    if magnitude >= 0x7c00u { f = (magnitude << 13u) | 0x7f800000u; }
    return bitcast<f32>(f | ((bits & 0x8000u) << 16u));
}

fn halves_of(word: u32) -> vec2f { return vec2f(half_of(word & 0xffffu), half_of(word >> 16u)); }
