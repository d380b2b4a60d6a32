// Blocks that are four rows high or a multiple, and of which a row is 16 bytes or a multiple, or 8: read 16 bytes at a time.

override ACROSS: u32 = select(PER / 2u, PER, WIDTH >= PER); // of them side by side: where a row is 8 bytes, the next is in the same 16
override STEPS: u32 = max(1u, WIDTH / ACROSS);              // of a row of a block
override BANDS: u32 = 1u;                                   // four rows each, of a block, that a workgroup takes: 1 or 2
override BAND: u32 = 4u * WIDTH / PER;                      // 16 bytes of each
override WHOLE: bool = false;                               // no block reaches past the last column

@group(0) @binding(2) var<storage, read> quads: array<vec4u>; // [blocks][HEIGHT][WIDTH] SIZE bytes each

// What a workgroup has of blocks: the first of them, steps along all, and which row of a block its first is.
struct Blocks { first: u32, steps: u32, within: u32 }

fn blocks_of(row: u32) -> Blocks {
    let first = index[row / HEIGHT];
    return Blocks(first, (index[row / HEIGHT + 1u] - first) * STEPS, row % HEIGHT);
}

// Step `i` of them: number of its first 16 bytes, and its first column. The next band is BAND further on.
struct Step { at: u32, col: u32 }

fn step_of(blocks: Blocks, i: u32) -> Step {
    let n = blocks.first + i / STEPS;
    return Step((n * HEIGHT + blocks.within) * WIDTH / PER + i % STEPS, column_of(n) * WIDTH + i % STEPS * ACROSS);
}
