// Weights and a mask become compressed sparse rows (see `csr_parts.wgsl`), in three kernels: `count` weights of each row, the
// sums of `scan.wgsl`, `fill`: one thread per part of a row (see `packing_part.wgsl`), which counts the bits of its row before it
// (from cache). All of `index` and `values` is zero before.

override WORKGROUP: u32 = 64u;

@group(0) @binding(4) var<storage, read_write> index: array<atomic<u32>>;  // [rows + 1], [kept] u16

@compute @workgroup_size(WORKGROUP)
fn count(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let row = linear(id, ids) * WORKGROUP + local;
    if row >= view.rows { return; }
    atomicStore(&index[row], kept_in(row, 0u, view.groups_per_row));
}

fn put_columns(word: u32, pair: u32) {
    let at = view.rows + 1u + word;
    if at < arrayLength(&index) { atomicOr(&index[at], pair); }
}

@compute @workgroup_size(WORKGROUP)
fn fill(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let part = linear(id, ids) * WORKGROUP + local;
    let row = part / parts_per_row();
    if row >= view.rows { return; }
    let first = part % parts_per_row() * view.span;
    move_part(row, first, atomicLoad(&index[row]) + kept_in(row, 0u, first));
}
