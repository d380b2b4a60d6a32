// Turns a sparsity that lies in a buffer of the caller's into what the other kernels are asked for: how many weights
// go, and between which ranks of the sample the cut is looked for.
//
// One thread. k = round-half-even(sparsity * n) of the exact product: a 24-bit mantissa times 32 bits, in integers.

struct Ask {
    n: u32,       // weights that compete: of the matrix, the row or the set
    weights: u32, // in all
    taken: u32,   // sampled of them
    at: u32,      // word of `sparsities`
    spread: u32,  // handed on to the row kernel
    spare0: u32,
    spare1: u32,
    spare2: u32,
}

@group(0) @binding(0) var<uniform> ask: Ask;
@group(0) @binding(1) var<storage, read> sparsities: array<f32>; // 0 to 1; what lies outside is taken for the nearer one, NaN for 0
@group(0) @binding(2) var<storage, read_write> asked: array<u32>; // `Sample` from word 0, `Quota` from 64, `Rows` from 128

// m * n as (low, high) words, for m of at most 24 bits.
fn product(m: u32, n: u32) -> vec2u {
    let low = (m & 0xffffu) * (n & 0xffffu);
    let middle = (m & 0xffffu) * (n >> 16u) + (low >> 16u);
    let rest = (middle & 0xffffu) + (m >> 16u) * (n & 0xffffu);
    return vec2u((low & 0xffffu) | (rest << 16u), (m >> 16u) * (n >> 16u) + (middle >> 16u) + (rest >> 16u));
}

fn quota_of(sparsity: f32, n: u32) -> u32 {
    let bits = bitcast<u32>(sparsity);
    let exponent = (bits >> 23u) & 0xffu;
    if bits >= 0x7f800001u || exponent < 93u { return 0u; } // NaN, negative, or less than half a weight of 2^32
    if bits >= 0x3f800000u { return n; }
    let p = product((bits & 0x7fffffu) | 0x800000u, n);
    let shift = 150u - exponent; // 24 to 57
    var whole: u32;
    var rest: vec2u; // (low, high) words of what is shifted out
    var half: vec2u;
    if shift < 32u {
        whole = (p.y << (32u - shift)) | (p.x >> shift);
        rest = vec2u(p.x & ((1u << shift) - 1u), 0u);
        half = vec2u(1u << (shift - 1u), 0u);
    } else {
        let more = shift - 32u;
        whole = p.y >> more;
        rest = vec2u(p.x, p.y & ((1u << more) - 1u));
        half = select(vec2u(0u, (1u << more) >> 1u), vec2u(0x80000000u, 0u), more == 0u);
    }
    let above = rest.y > half.y || rest.y == half.y && rest.x > half.x;
    if above || all(rest == half) && (whole & 1u) == 1u { whole += 1u; }
    return whole;
}

@compute @workgroup_size(1)
fn main() {
    let sparsity = sparsities[ask.at];
    let k = quota_of(sparsity, ask.n);
    // Only speed depends on the ranks. As `SamplePlan::new`.
    let share = f32(k) / f32(max(ask.n, 1u));
    let taken = f32(ask.taken);
    let margin = 3.0 * sqrt(share * (1.0 - share) * taken);
    asked[0] = ask.taken;
    asked[1] = 0u;
    asked[2] = ask.taken;
    asked[3] = u32(max(share * taken - margin - 1.0, 0.0));
    asked[4] = u32(min(share * taken + margin + 1.0, taken));
    asked[64] = ask.weights;
    asked[65] = k;
    asked[128] = k;
    asked[129] = ask.spread;
}
