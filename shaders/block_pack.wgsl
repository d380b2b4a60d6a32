// Weights and a mask become blocks (see `block_parts.wgsl`), in three kernels: `count` kept blocks of each row of blocks and flag
// them, one thread per block; the sums of `scan.wgsl`; `fill`, one thread per `view.span` blocks side by side, 1 to 32, a power of
// two: on SIMD lanes a thread with none to move waits for those that have some.
//
// Packing is done once, so it is simple rather than fast. All of `index`, `values` and `flags` is zero before.

override HEIGHT: u32 = 4u;
override WIDTH: u32 = 4u;
override WORKGROUP: u32 = 64u;

@group(0) @binding(4) var<storage, read_write> index: array<atomic<u32>>;  // [block rows + 1], [blocks] u16
@group(0) @binding(6) var<storage, read_write> flags: array<atomic<u32>>;  // [block rows][block cols / 32] bit: it is kept

// Bits of a row from column `first` to before `end`, at most 32, in one word.
fn bits_between(row: u32, first: u32, end: u32) -> u32 {
    var bits = mask_word(row, first / 32u) >> (first & 31u);
    let next = first / 32u + 1u;
    if (first & 31u) != 0u && 32u * next < end { bits |= mask_word(row, next) << (32u - (first & 31u)); }
    return bits & (0xffffffffu >> (32u - (end - first)));
}

fn is_kept(block_row: u32, block: u32) -> bool {
    var any = 0u;
    let first = block * WIDTH;
    let end = min(first + WIDTH, view.cols);
    for (var row = block_row * HEIGHT; row < min((block_row + 1u) * HEIGHT, view.rows); row++) {
        any |= bits_between(row, first, end);
    }
    return any != 0u;
}

fn block_rows() -> u32 { return (view.rows + HEIGHT - 1u) / HEIGHT; }
fn block_cols() -> u32 { return (view.cols + WIDTH - 1u) / WIDTH; }
fn flag_words() -> u32 { return (block_cols() + 31u) / 32u; }

@compute @workgroup_size(WORKGROUP)
fn count(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let number = linear(id, ids) * WORKGROUP + local;
    if number >= block_rows() * block_cols() { return; }
    let block_row = number / block_cols();
    let block = number % block_cols();
    if !is_kept(block_row, block) { return; }
    atomicAdd(&index[block_row], 1u);
    atomicOr(&flags[block_row * flag_words() + block / 32u], 1u << (block & 31u));
}

// The weights of a kept block, the `n`th.
fn move_block(block_row: u32, block: u32, n: u32) {
    let at = block_rows() + 1u + (n >> 1u);
    if at < arrayLength(&index) { atomicOr(&index[at], block << (16u * (n & 1u))); }
    let end = min((block + 1u) * WIDTH, view.cols);
    for (var row = block_row * HEIGHT; row < min((block_row + 1u) * HEIGHT, view.rows); row++) {
        let bits = bits_between(row, block * WIDTH, end);
        let start = start_in_row(row, 0u) + block * WIDTH;
        for (var c = 0u; c < end - block * WIDTH; c++) {
            if (bits >> c & 1u) == 1u { put((n * HEIGHT + row % HEIGHT) * WIDTH + c, bits_at(start + c)); }
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn fill(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) ids: vec3u, @builtin(local_invocation_index) local: u32) {
    let number = linear(id, ids) * WORKGROUP + local;
    let parts = (block_cols() + view.span - 1u) / view.span;
    let block_row = number / parts;
    if block_row >= block_rows() { return; }
    let first = number % parts * view.span;
    let flag = block_row * flag_words() + first / 32u;
    let here = atomicLoad(&flags[flag]);
    var left = (here >> (first & 31u)) & (0xffffffffu >> (32u - view.span));
    if left == 0u { return; }
    var n = atomicLoad(&index[block_row]) + countOneBits(here & ((1u << (first & 31u)) - 1u));
    for (var f = block_row * flag_words(); f < flag; f++) { n += countOneBits(atomicLoad(&flags[f])); }
    while left != 0u {
        move_block(block_row, first + firstTrailingBit(left), n);
        left &= left - 1u;
        n += 1u;
    }
}
