// N:M: of every OF neighbouring weights of a row at most KEEP are kept, so that every group has its place without a table. What
// remains of a row after its last whole group has a place for each weight.

override KEEP: u32 = 2u; // at most OF
override OF: u32 = 4u;   // at most 16

@group(0) @binding(1) var<storage, read> index: array<u32>;  // [1] groups that keep too many: none; [rows][words] mask

fn words_per_row() -> u32 { return (sizes.cols + 31u) / 32u; }

fn mask_word(row: u32, word: u32) -> u32 { return index[1u + row * words_per_row() + word]; }

// Kept weights of a row from column `first` up to before `col`, fewer than 32 columns further.
fn kept_between(row: u32, first: u32, col: u32) -> u32 {
    let until = mask_word(row, col / 32u) & ((1u << (col & 31u)) - 1u);
    let from_first = 0xffffffffu << (first & 31u);
    if first / 32u == col / 32u { return countOneBits(until & from_first); }
    return countOneBits(until) + countOneBits(mask_word(row, first / 32u) & from_first);
}

// Number of a kept weight.
fn place_of(row: u32, col: u32) -> u32 {
    let group = col / OF;
    return row * sizes.stride + group * KEEP + kept_between(row, group * OF, col);
}

// The bits of one weight, zero if it is not kept.
fn find(row: u32, col: u32) -> u32 {
    if (mask_word(row, col / 32u) >> (col & 31u) & 1u) == 0u { return 0u; }
    return bits_of(place_of(row, col));
}
