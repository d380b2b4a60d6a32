// Counts what a mask keeps, and which weights are not zero.
//
// `count` adds up in 64 copies of two counters, so that workgroups do not contend; `drain` sums the copies, and leaves
// them zero for the next.

override WORKGROUP: u32 = 256u;

@group(0) @binding(3) var<storage, read_write> counters: array<atomic<u32>>; // [64][2], zero before
@group(0) @binding(4) var<storage, read> mask: array<u32>;                   // [groups]
@group(0) @binding(5) var<storage, read_write> sums: array<u32>;             // [2]

const COPIES: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn count(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = linear(id, ids);
    let begin = min(workgroup * view.span, view.groups);
    let end = min(begin + view.span, view.groups);
    var nonzero = 0u;
    var kept = 0u;
    for (var i = begin + local; i < end; i += WORKGROUP) {
        nonzero += tally(load(start_of(i), count_of(i)), 1u);
        kept += countOneBits(mask[i]);
    }
    atomicAdd(&counters[2u * (workgroup % COPIES)], tallied(nonzero));
    atomicAdd(&counters[2u * (workgroup % COPIES) + 1u], kept);
}

var<workgroup> parts: array<u32, 128>;

@compute @workgroup_size(64)
fn drain(@builtin(local_invocation_index) local: u32) {
    parts[local] = atomicExchange(&counters[local], 0u);
    parts[local + 64u] = atomicExchange(&counters[local + 64u], 0u);
    workgroupBarrier();
    if local < 2u {
        var sum = 0u;
        for (var c = 0u; c < COPIES; c++) { sum += parts[2u * c + local]; }
        sums[local] = sum;
    }
}
