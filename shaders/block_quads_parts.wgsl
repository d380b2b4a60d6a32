// Blocks that are four rows high or a multiple, and of which a row is 16 bytes or a multiple, or 8: read 16 bytes at a time.

override PER: u32 = 16u / SIZE;                             // weights in 16 bytes
override ACROSS: u32 = select(PER / 2u, PER, WIDTH >= PER); // of them side by side: where a row is 8 bytes, the next is in the same 16
override STEPS: u32 = max(1u, WIDTH / ACROSS);              // of a row of a block
override BANDS: u32 = 1u;                                   // four rows each, of a block, that a workgroup takes: 1 or 2
override WHOLE: bool = false;                               // no block reaches past the last column

@group(0) @binding(2) var<storage, read> quads: array<vec4u>; // [blocks][HEIGHT][WIDTH] SIZE bytes each
