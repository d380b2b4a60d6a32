// Products of two magnitudes that are not negative, as the bits of an f32: the one correctly rounded, subnormal or not, on every
// adapter. Where operands and result are normal that is the adapter's own; elsewhere adapters may flush to zero, and integers do
// it. Behind `value.wgsl`.

// Mantissa (24 bits, the top one set) and exponent of bits that are neither 0 nor infinite.
fn mantissa_exponent(bits: u32) -> vec2i {
    let exponent = bits >> 23u;
    let mantissa = bits & 0x7fffffu;
    if exponent > 0u { return vec2i(i32(mantissa | 0x800000u), i32(exponent)); }
    let shift = countLeadingZeros(mantissa) - 8u;
    return vec2i(i32(mantissa << shift), 1 - i32(shift));
}

// The product in integers, rounded half to even.
fn exact(a: u32, b: u32) -> u32 {
    let x = mantissa_exponent(a);
    let y = mantissa_exponent(b);
    let m = u32(x.x);
    let n = u32(y.x);
    // 48 bits: the upper and the lower 24.
    let middle = (m >> 12u) * (n & 0xfffu) + (m & 0xfffu) * (n >> 12u) + (((m & 0xfffu) * (n & 0xfffu)) >> 12u);
    var high = (m >> 12u) * (n >> 12u) + (middle >> 12u);
    var low = ((middle & 0xfffu) << 12u) | (((m & 0xfffu) * (n & 0xfffu)) & 0xfffu);
    var exponent = x.y + y.y - 127;
    // The leading bit is 47 or 46; make it 47, so that `high` is the mantissa and `low` the rest.
    if high >= 0x800000u {
        exponent += 1;
    } else {
        high = (high << 1u) | (low >> 23u);
        low = (low << 1u) & 0xffffffu;
    }
    if exponent >= 255 { return INFINITY; }
    // Down into the subnormals, what is shifted out leaving a trace.
    let shift = u32(clamp(1 - exponent, 0, 25));
    let lost = low != 0u;
    if shift == 0u {
        let half = low >= 0x800000u;
        let more = (low & 0x7fffffu) != 0u;
        let up = half && (more || (high & 1u) == 1u);
        return (u32(exponent - 1) << 23u) + high + select(0u, 1u, up);
    }
    let kept = select(high >> shift, 0u, shift > 24u);
    let out = high & ((1u << shift) - 1u);
    let half = 1u << (shift - 1u);
    let up = out > half || (out == half && (lost || (kept & 1u) == 1u));
    return kept + select(0u, 1u, up);
}

fn product(a: u32, b: u32) -> u32 {
    if a > INFINITY || (a == INFINITY && b == 0u) { return NAN; }
    if a == 0u || b == 0u { return 0u; }
    if a == INFINITY { return INFINITY; }
    return exact(a, b);
}

fn products(a: vec4u, b: vec4u) -> vec4u { return bitcast<vec4u>(bitcast<vec4f>(a) * bitcast<vec4f>(b)); }

// Where an adapter's product may not be the one. Of flushed operands it is 0.
fn doubtful(a: vec4u, b: vec4u, product: vec4u) -> vec4<bool> {
    let bits = bitcast<vec4i>(product);
    let normal = (bits >= vec4i(2 * i32(NORMAL))) & (bits < vec4i(i32(INFINITY)));
    return (bitcast<vec4i>(a) >= vec4i(i32(INFINITY))) | !(normal | (min(a, b) == vec4u(0u)));
}
