// Scores weights by their magnitude times the scale of their column, as the bits of an f32: Wanda's score.
//
// The product is the one correctly rounded, subnormal or not, on every adapter: where operands and result are normal, the
// adapter's own; elsewhere adapters may flush to zero, and integers do it. Reads SIZE bytes per weight, writes 4.

override WORKGROUP: u32 = 256u;

struct Scale {
    column: u32, // of the view's first weight
    period: u32, // columns of the matrix
    spare0: u32,
    spare1: u32,
}

@group(0) @binding(3) var<uniform> rule: Scale;
@group(0) @binding(4) var<storage, read> scales: array<u32>;        // [period] bits of f32, finite, not negative
@group(0) @binding(5) var<storage, read_write> scores: array<u32>; // [rows][cols], without gaps

// Mantissa (24 bits, the top one set) and exponent of bits that are neither 0 nor infinite.
fn parts(bits: u32) -> vec2i {
    let exponent = bits >> 23u;
    let mantissa = bits & 0x7fffffu;
    if exponent > 0u { return vec2i(i32(mantissa | 0x800000u), i32(exponent)); }
    let shift = countLeadingZeros(mantissa) - 8u;
    return vec2i(i32(mantissa << shift), 1 - i32(shift));
}

// The product in integers, rounded half to even.
fn exact(a: u32, b: u32) -> u32 {
    let x = parts(a);
    let y = parts(b);
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
    let exponent = (a >> 23u) + (b >> 23u);
    if a >= NORMAL && b >= NORMAL && exponent > 129u && exponent < 380u {
        return bitcast<u32>(bitcast<f32>(a) * bitcast<f32>(b));
    }
    return exact(a, b);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let all = view.rows * view.cols;
    let begin = linear(id, ids) * view.span * 32u;
    let end = min(begin + view.span * 32u, all);
    for (var i = begin + local; i < end; i += WORKGROUP) {
        let row = i / view.cols;
        let key = key_at(view.first + row * view.stride + (i - row * view.cols));
        scores[i] = product(value(key), scales[(rule.column + i % rule.period) % rule.period]);
    }
}
