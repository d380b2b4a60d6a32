// Tiled bitmask: one bit per weight, and the kept ones one behind the other. A tile is 1,024 weights of a row (its last may
// be shorter); where its first kept one lies is written down, so that tiles are read apart.

@group(0) @binding(1) var<storage, read> index: array<u32>;  // [units + 1] kept weights before each tile, [rows][words] mask

fn words_per_row() -> u32 { return (sizes.cols + 31u) / 32u; }

fn mask_word(row: u32, word: u32) -> u32 { return index[sizes.units + 1u + row * words_per_row() + word]; }
