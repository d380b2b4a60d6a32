// Counts keys: how many lie below the window, how many in each of its bins, and how many are not zero.
//
// Reads every weight once. A window of at most 7 bins of one key each is counted by comparing (8 comparisons per 32
// weights, in registers, no atomics): all it takes for 16-bit weights near the cut. A wider window pays one atomic per
// weight inside it; the sample that placed the window keeps those to a percent or two. Zeros are counted by comparing,
// never in a bin: an already sparse matrix would make one bin of most weights.
// Few bins are kept in up to 64 copies, one per workgroup modulo 64, so that workgroups do not contend.
// Counts add up over chunks until they are cleared. u32: at most 2^32 - 1 weights between two clears.

override WORKGROUP: u32 = 256u;

@group(0) @binding(3) var<storage, read_write> window: Window;
// [64][2]: non-zero weights with a key of at least `low`, non-zero weights; then [copies][pitch]
@group(0) @binding(4) var<storage, read_write> counts: array<atomic<u32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    if window.done != 0u { return; }
    let workgroup = linear(id, ids);
    let begin = min(workgroup * view.span, view.groups);
    let end = min(begin + view.span, view.groups);
    let low = window.low;
    let head = 2u * (workgroup % HEADS);
    let base = 2u * HEADS + (workgroup % copies(window.bins)) * pitch(window.bins);

    if window.shift == 0u && window.bins <= 7u {
        var nonzero = 0u;
        var c0 = 0u; var c1 = 0u; var c2 = 0u; var c3 = 0u; var c4 = 0u; var c5 = 0u; var c6 = 0u; var c7 = 0u;
        for (var i = begin + local; i < end; i += WORKGROUP) {
            let group = load(start_of(i), count_of(i));
            nonzero += tally(group, 1u);
            c0 += tally(group, low);
            c1 += tally(group, min(low + 1u, key_limit()));
            c2 += tally(group, min(low + 2u, key_limit()));
            c3 += tally(group, min(low + 3u, key_limit()));
            c4 += tally(group, min(low + 4u, key_limit()));
            c5 += tally(group, min(low + 5u, key_limit()));
            c6 += tally(group, min(low + 6u, key_limit()));
            c7 += tally(group, min(low + 7u, key_limit()));
        }
        nonzero = tallied(nonzero);
        c0 = tallied(c0); c1 = tallied(c1); c2 = tallied(c2); c3 = tallied(c3);
        c4 = tallied(c4); c5 = tallied(c5); c6 = tallied(c6); c7 = tallied(c7);
        if low == 0u { c0 = nonzero; }
        atomicAdd(&counts[head], c0);
        atomicAdd(&counts[head + 1u], nonzero);
        if window.bins > 0u { atomicAdd(&counts[base], c0 - c1); }
        if window.bins > 1u { atomicAdd(&counts[base + 1u], c1 - c2); }
        if window.bins > 2u { atomicAdd(&counts[base + 2u], c2 - c3); }
        if window.bins > 3u { atomicAdd(&counts[base + 3u], c3 - c4); }
        if window.bins > 4u { atomicAdd(&counts[base + 4u], c4 - c5); }
        if window.bins > 5u { atomicAdd(&counts[base + 5u], c5 - c6); }
        if window.bins > 6u { atomicAdd(&counts[base + 6u], c6 - c7); }
        return;
    }

    let high = min(low + (window.bins << window.shift), key_limit());
    var reached = 0u;
    var nonzero = 0u;
    for (var i = begin + local; i < end; i += WORKGROUP) {
        let first = start_of(i);
        let group = load(first, count_of(i));
        nonzero += tally(group, 1u);
        reached += tally(group, low);
        var left = inside(group, max(low, 1u), high);
        while left != 0u {
            let bit = firstTrailingBit(left);
            left &= left - 1u;
            let key = key_at(first + weight_of_bit(bit));
            atomicAdd(&counts[base + ((key - low) >> window.shift)], 1u);
        }
    }
    nonzero = tallied(nonzero);
    reached = select(tallied(reached), nonzero, low == 0u);
    atomicAdd(&counts[head], reached);
    atomicAdd(&counts[head + 1u], nonzero);
}
