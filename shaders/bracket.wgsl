// Places the histogram's window around the cut, from a sample.
//
// `sample` takes the keys of `taken` weights, one at a hashed place in each of `taken` equal stretches of the view;
// `place` (one workgroup) finds the sample's keys of rank `low_rank` and `high_rank` by radix selection in workgroup
// memory, for both at once: three passes of 11, 10 and 10 bits for 32-bit weights, two of 9 and 6, or one of 7. The ranks lie three standard errors about the cut's, so
// the window misses the cut in fewer than 3 of 1,000 runs; the counts show it when it does, and `threshold.wgsl` falls
// back. The sample decides only how fast the cut is found, never where it is.

override WORKGROUP: u32 = 256u; // at most 256
override CAPACITY: u32 = 16384u;
override LIMIT: u32 = 0x80000000u; // one more than the largest key

struct Sample {
    taken: u32,     // of this view
    at: u32,        // where its keys go in `samples`
    all: u32,       // in `samples`, once every view has been sampled
    low_rank: u32,  // 0: the window starts at key 0
    high_rank: u32, // `all` or more: it ends with the largest key
    spare0: u32,
    spare1: u32,
    spare2: u32,
}

@group(0) @binding(3) var<uniform> plan: Sample;
@group(0) @binding(4) var<storage, read_write> samples: array<u32>;
@group(0) @binding(5) var<storage, read_write> window: Window;

fn hash(x: u32) -> u32 {
    var h = x * 747796405u + 2891336453u;
    h = ((h >> ((h >> 28u) + 4u)) ^ h) * 277803737u;
    return (h >> 22u) ^ h;
}

@compute @workgroup_size(WORKGROUP)
fn sample(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear(id, ids) * WORKGROUP + local;
    if i >= plan.taken { return; }
    // Stretch i of the groups; weights = 32 * groups may pass 2^32, groups do not.
    let stretch = max(view.groups / plan.taken, 1u);
    let random = hash(i ^ (plan.at * 0x9e3779b9u));
    let group = min(u32(f32(i) / f32(plan.taken) * f32(view.groups)) + (random >> 5u) % stretch, view.groups - 1u);
    let word = group % view.groups_per_row;
    samples[plan.at + i] = key_of(group / view.groups_per_row, 32u * word + (random & 31u) % count_in_row(word));
}

const PARTS: u32 = 64u;

var<workgroup> bins: array<atomic<u32>, 2048>;
var<workgroup> parts: array<u32, 128>;  // [2 ranks][PARTS]
var<workgroup> chosen: array<vec2u, 2>; // for each rank: the key's bits found so far, and the rank inside them

// Finds, for both ranks, the next `bits` bits of the key at that rank. `other` is where the second rank's table starts:
// 0 in the first pass, where both ranks look into the same one.
fn refine(local: u32, shift: u32, bits: u32, other: u32) {
    for (var b = local; b < 2048u; b += WORKGROUP) { atomicStore(&bins[b], 0u); }
    let low = workgroupUniformLoad(&chosen[0]).x;
    let high = workgroupUniformLoad(&chosen[1]).x;
    for (var i = local; i < plan.all; i += WORKGROUP) {
        let rest = samples[i] >> shift;
        let digit = rest & ((1u << bits) - 1u);
        if rest >> bits == low { atomicAdd(&bins[digit], 1u); }
        if other != 0u && rest >> bits == high { atomicAdd(&bins[other + digit], 1u); }
    }
    workgroupBarrier();
    let per = (1u << bits) / PARTS;
    for (var p = local; p < 2u * PARTS; p += WORKGROUP) {
        var sum = 0u;
        let begin = (p / PARTS) * other + (p % PARTS) * per;
        for (var b = begin; b < begin + per; b++) { sum += atomicLoad(&bins[b]); }
        parts[p] = sum;
    }
    workgroupBarrier();
    if local < 2u {
        let state = chosen[local];
        var left = state.y;
        var part = 0u;
        while part < PARTS - 1u && left >= parts[local * PARTS + part] {
            left -= parts[local * PARTS + part];
            part += 1u;
        }
        var digit = part * per;
        let last = digit + per - 1u;
        while digit < last && left >= atomicLoad(&bins[local * other + digit]) {
            left -= atomicLoad(&bins[local * other + digit]);
            digit += 1u;
        }
        chosen[local] = vec2u((state.x << bits) | digit, left);
    }
    workgroupBarrier();
}

fn first_choice(local: u32) -> vec2u {
    return vec2u(0u, min(select(plan.high_rank, plan.low_rank, local == 0u), plan.all - 1u));
}

// From one choice to the other.
fn set_window() {
    let low = select(chosen[0].x, 0u, plan.low_rank == 0u);
    let keys = select(chosen[1].x + 1u, LIMIT, plan.high_rank >= plan.all) - low;
    var shift = 0u;
    while ((keys - 1u) >> shift) >= CAPACITY { shift += 1u; }
    window = Window(low, shift, ((keys - 1u) >> shift) + 1u, 0u);
}

@compute @workgroup_size(WORKGROUP)
fn place(@builtin(local_invocation_index) local: u32) {
    if local < 2u { chosen[local] = first_choice(local); }
    workgroupBarrier();
    if SIZE == 4u {
        refine(local, 20u, 11u, 0u);
        refine(local, 10u, 10u, 1024u);
        refine(local, 0u, 10u, 1024u);
    } else if SIZE == 2u {
        refine(local, 6u, 9u, 0u);
        refine(local, 0u, 6u, 1024u);
    } else {
        refine(local, 0u, 7u, 0u);
    }
    if local == 0u { set_window(); }
}
