// Draws a score for each place: pcg4d of seed and place (Jarzynski and Olano, "Hash Functions for GPU Rendering", 2020),
// so it depends on neither adapter nor chunk. 30 bits: a finite positive f32.

override WORKGROUP: u32 = 256u;

struct Random {
    seed_low: u32,
    seed_high: u32,
    first_low: u32, // the first place
    first_high: u32,
    count: u32,
    spare0: u32,
    spare1: u32,
    spare2: u32,
}

@group(0) @binding(0) var<uniform> rule: Random;
@group(0) @binding(1) var<storage, read_write> keys: array<u32>; // [count]

fn pcg4d(seed: vec4u) -> vec4u {
    var v = seed * 1664525u + 1013904223u;
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    v ^= v >> vec4u(16u);
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    return v;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (id.y * ids.x + id.x) * WORKGROUP + local;
    if i >= rule.count { return; }
    let low = rule.first_low + i;
    let high = rule.first_high + select(0u, 1u, low < i);
    keys[i] = pcg4d(vec4u(low, high, rule.seed_low, rule.seed_high)).x >> 2u;
}
