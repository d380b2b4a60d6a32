// Which weights of a matrix go, and what is left to settle: what threshold, mask and settle share.

struct Cut {
    key: u32,       // keys below it go, keys above it stay
    ties: u32,      // keys equal to it
    go: u32,        // those of them that go
    zeros: u32,     // ±0 before
    // What the chunks not yet masked still hold, for `settle.wgsl` to carry on: 64-bit numbers, low word first.
    go_left: vec2u,
    ties_left: vec2u,
    weights_left: vec2u,
    guess: u32,     // tile of the next chunk from which ties are expected to stay
    pruned: u32,    // weights that go in all; of many chunks under one cut, not known here
}
