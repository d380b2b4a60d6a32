// Part of `mask.wgsl`: the same for weights of 32 bits on GPUs, read by a workgroup together.

@compute @workgroup_size(WORKGROUP)
fn near(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let begin = min(linear(id, ids) * view.span, view.groups);
    let end = min(begin + view.span, view.groups);
    let key = cut.key;
    let guess = cut.guess * 64u;
    for (var block = begin; block < end; block += WORKGROUP) {
        let i = block + local;
        if is_whole(block, end) {
            mask_word(i, load_staged(block, local), 32u, key, guess);
        } else if i < end {
            let count = count_of(i);
            mask_word(i, load(start_of(i), count), count, key, guess);
        }
    }
}
