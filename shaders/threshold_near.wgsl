// Part of `threshold.wgsl`: the same for GPUs, where neighbouring threads read neighbouring counts, all copies at once.
//
// Sums of stretches of 1,024 bins say in which of them the cut lies, and only its bins are looked at one by one. Where there may be
// many bins, `histogram_near.wgsl` has summed the stretches, and `clear` clears them with the bins.

override COARSE: u32 = 0u; // word of the counts from which on these sums lie, or 0
override WORDS: u32 = 4u;  // that `clear` clears

const STRETCH: u32 = 256u; // bins, in fours

var<workgroup> stretches: array<atomic<u32>, 1024>; // so many stretches at most
var<workgroup> summed: array<atomic<u32>, 1024>;    // bins of one
var<workgroup> ends: array<atomic<u32>, 2>;         // reached, not zero

fn add_stretch(i: u32, all: u32, quads: u32) {
    if i >= all { return; }
    let four = counts[HEADS / 2u + i];
    atomicAdd(&stretches[i % quads / STRETCH], four.x + four.y + four.z + four.w);
}

@compute @workgroup_size(256)
fn near(@builtin(local_invocation_index) local: u32) {
    if local == 0u { rule = window; }
    let now = workgroupUniformLoad(&rule);
    if now.done != 0u { return; }

    let quads = pitch(now.bins) / 4u;
    let copied = copies(now.bins);
    let all = copied * quads;
    let count = (quads + STRETCH - 1u) / STRETCH;
    for (var i = local; i < 1024u; i += 256u) {
        atomicStore(&stretches[i], 0u);
        atomicStore(&summed[i], 0u);
    }
    if local < 2u { atomicStore(&ends[local], 0u); }
    workgroupBarrier();
    if local < HEADS / 2u {
        let two = counts[local];
        atomicAdd(&ends[0], two.x + two.z);
        atomicAdd(&ends[1], two.y + two.w);
    }
    if COARSE > 0u && now.bins > 2048u {
        for (var i = local; i < count; i += 256u) { atomicStore(&stretches[i], counts[(COARSE + i) / 4u][i & 3u]); }
    } else if count > 1u {
        for (var i = local; i < all; i += 1024u) {
            add_stretch(i, all, quads);
            add_stretch(i + 256u, all, quads);
            add_stretch(i + 512u, all, quads);
            add_stretch(i + 768u, all, quads);
        }
    }
    workgroupBarrier();

    let reached = atomicLoad(&ends[0]);
    let zeros = quota.weights - atomicLoad(&ends[1]);
    // `reached` counts non-zero keys; a window that starts at 0 holds the zeros too, in its first bin.
    let below = select(quota.weights - reached, 0u, now.low == 0u);
    let zeros_inside = select(0u, zeros, now.low == 0u);
    var total = below + zeros_inside;
    var stretch = 0u;
    var before = below;
    for (var s = 0u; s + 1u < count; s++) {
        total += atomicLoad(&stretches[s]);
        if quota.k > total {
            stretch = s + 1u;
            before = total;
        }
    }
    total += atomicLoad(&stretches[count - 1u]);

    let first = stretch * STRETCH;
    let width = min(quads - first, STRETCH);
    for (var i = local; i < copied * width; i += 256u) {
        let copy = i / width;
        let q = i - copy * width;
        let four = counts[HEADS / 2u + copy * quads + first + q];
        atomicAdd(&summed[4u * q], four.x);
        atomicAdd(&summed[4u * q + 1u], four.y);
        atomicAdd(&summed[4u * q + 2u], four.z);
        atomicAdd(&summed[4u * q + 3u], four.w);
    }
    workgroupBarrier();
    var four = vec4u(atomicLoad(&summed[4u * local]), atomicLoad(&summed[4u * local + 1u]),
        atomicLoad(&summed[4u * local + 2u]), atomicLoad(&summed[4u * local + 3u]));
    if stretch == 0u && local == 0u { four.x += zeros_inside; }
    let mine = four.x + four.y + four.z + four.w;
    sums[local] = mine;
    workgroupBarrier();
    for (var by = 1u; by < 256u; by *= 2u) {
        var more = 0u;
        if local >= by { more = sums[local - by]; }
        workgroupBarrier();
        sums[local] += more;
        workgroupBarrier();
    }
    before += sums[local] - mine;
    if count == 1u { total = below + sums[255]; }

    let decided = decide_outside(local, now, Counted(zeros, below, total));
    if !decided && before < quota.k && quota.k <= before + mine {
        // Only one thread holds the bin.
        let ends_at = vec4u(before) + vec4u(four.x, four.x + four.y, four.x + four.y + four.z, mine);
        let j = 4u - dot(vec4u(1u), select(vec4u(0u), vec4u(1u), vec4u(quota.k) <= ends_at));
        let here = select(select(four.x, four.y, j == 1u), select(four.z, four.w, j == 3u), j > 1u);
        let until = select(select(ends_at.x, ends_at.y, j == 1u), select(ends_at.z, ends_at.w, j == 3u), j > 1u);
        let low = now.low + ((4u * (first + local) + j) << now.shift);
        if now.shift == 0u { found(low, here, quota.k - (until - here), zeros, quota.k); } else { narrow(low, 1u << now.shift); }
    }

    if COARSE > 0u { return; }
    // All counts have been read.
    storageBarrier();
    workgroupBarrier();
    for (var i = local; i < HEADS / 2u + all; i += 256u) { counts[i] = vec4u(0u); }
}

@compute @workgroup_size(256)
fn clear(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let all = ids.x * ids.y * 256u;
    for (var i = (id.y * ids.x + id.x) * 256u + local; i < WORDS / 4u; i += all) { counts[i] = vec4u(0u); }
}
