// Part of `group.wgsl`: groups that divide a word, of weights of 32 bits, on GPUs, read by a workgroup together.

var<workgroup> counted: array<atomic<u32>, 2>; // not zero: before, after

@compute @workgroup_size(WORKGROUP)
fn near(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = linear(id, ids);
    let begin = min(workgroup * view.span, view.groups);
    let end = min(begin + view.span, view.groups);
    if local < 2u { atomicStore(&counted[local], 0u); }
    var before = 0u;
    var after = 0u;
    for (var block = begin; block < end; block += WORKGROUP) {
        let i = block + local;
        var count = 32u;
        var group: Group;
        if is_whole(block, end) {
            group = load_staged(block, local);
        } else if i < end {
            count = count_of(i);
            group = load(start_of(i), count);
        }
        if i < end {
            var found: Word;
            if OF < 16u { found = ranked(group, count); } else { found = sorted_word(group, count); }
            found.stay &= 0xffffffffu >> (32u - count);
            before += countOneBits(found.full);
            after += countOneBits(found.full & found.stay);
            mask[i] = found.stay;
        }
    }
    workgroupBarrier();
    atomicAdd(&counted[0], before);
    atomicAdd(&counted[1], after);
    workgroupBarrier();
    if local < 2u { atomicAdd(&nonzero[2u * (workgroup % 64u) + local], atomicLoad(&counted[local])); }
}
