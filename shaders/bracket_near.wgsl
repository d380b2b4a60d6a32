// Part of `bracket.wgsl`: `place` for GPUs, where waiting for one sample at a time is what takes long. Of its 256 threads, half
// look for each rank.

const EACH: u32 = 128u; // threads for a rank

var<workgroup> through: array<u32, 256>;

// What `refine` counts of a sample.
fn count_digit(sample: u32, exists: bool, shift: u32, bits: u32, other: u32, high_bits: vec2u) {
    let rest = sample >> shift;
    let digit = rest & ((1u << bits) - 1u);
    if exists && rest >> bits == high_bits.x { atomicAdd(&bins[digit], 1u); }
    if exists && other != 0u && rest >> bits == high_bits.y { atomicAdd(&bins[other + digit], 1u); }
}

// The same as `refine`.
fn refine_near(local: u32, shift: u32, bits: u32, other: u32) {
    for (var b = local; b < 2048u; b += 256u) { atomicStore(&bins[b], 0u); }
    let known = vec2u(workgroupUniformLoad(&chosen[0]).x, workgroupUniformLoad(&chosen[1]).x);
    let last = plan.all - 1u;
    for (var i = local; i < plan.all; i += 2048u) {
        let a = vec4u(samples[i], samples[min(i + 256u, last)], samples[min(i + 512u, last)], samples[min(i + 768u, last)]);
        let b = vec4u(samples[min(i + 1024u, last)], samples[min(i + 1280u, last)], samples[min(i + 1536u, last)],
            samples[min(i + 1792u, last)]);
        count_digit(a.x, true, shift, bits, other, known);
        count_digit(a.y, i + 256u <= last, shift, bits, other, known);
        count_digit(a.z, i + 512u <= last, shift, bits, other, known);
        count_digit(a.w, i + 768u <= last, shift, bits, other, known);
        count_digit(b.x, i + 1024u <= last, shift, bits, other, known);
        count_digit(b.y, i + 1280u <= last, shift, bits, other, known);
        count_digit(b.z, i + 1536u <= last, shift, bits, other, known);
        count_digit(b.w, i + 1792u <= last, shift, bits, other, known);
    }
    workgroupBarrier();
    let rank = local / EACH;
    let lane = local % EACH;
    let per = max((1u << bits) / EACH, 1u);
    let begin = min(lane * per, 1u << bits);
    let end = min(begin + per, 1u << bits);
    var mine = 0u;
    for (var b = begin; b < end; b++) { mine += atomicLoad(&bins[rank * other + b]); }
    through[local] = mine;
    workgroupBarrier();
    for (var by = 1u; by < EACH; by *= 2u) {
        var more = 0u;
        if lane >= by { more = through[local - by]; }
        workgroupBarrier();
        through[local] += more;
        workgroupBarrier();
    }
    let state = chosen[rank];
    workgroupBarrier();
    let before = through[local] - mine;
    if state.y >= before && state.y < before + mine {
        // One thread for each rank.
        var left = state.y - before;
        var digit = begin;
        while left >= atomicLoad(&bins[rank * other + digit]) {
            left -= atomicLoad(&bins[rank * other + digit]);
            digit += 1u;
        }
        chosen[rank] = vec2u((state.x << bits) | digit, left);
    }
    workgroupBarrier();
}

@compute @workgroup_size(256)
fn place_near(@builtin(local_invocation_index) local: u32) {
    if local < 2u { chosen[local] = first_choice(local); }
    workgroupBarrier();
    if SIZE == 4u {
        refine_near(local, 20u, 11u, 0u);
        refine_near(local, 10u, 10u, 1024u);
        refine_near(local, 0u, 10u, 1024u);
    } else if SIZE == 2u {
        refine_near(local, 6u, 9u, 0u);
        refine_near(local, 0u, 6u, 1024u);
    } else {
        refine_near(local, 0u, 7u, 0u);
    }
    if local == 0u { set_window(); }
}
