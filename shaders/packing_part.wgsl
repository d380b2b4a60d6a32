// A thread moves the weights of a part of a row, `view.span` words of the mask: what formats share that have all weights one
// behind the other. Behind `packing_values.wgsl` and a format that defines `put_columns(word, pair)`.
//
// Before that it counts what its row, or tile, keeps before its part, so that no thread waits for another. Two weights of 16 bits,
// and two columns, share a word: it is written once by each thread that has one of them.

fn parts_per_row() -> u32 { return (view.groups_per_row + view.span - 1u) / view.span; }

// Bits of some words of a row's mask.
fn kept_in(row: u32, first: u32, end: u32) -> u32 {
    var sum = 0u;
    for (var w = first; w < end; w++) { sum += countOneBits(mask_word(row, w)); }
    return sum;
}

// Moves the weights of the words from `first` on; `before` are kept before them.
fn move_part(row: u32, first: u32, before: u32) {
    let start = start_in_row(row, 0u);
    var n = before;
    var weights = 0u;
    var columns = 0u;
    for (var w = first; w < min(first + view.span, view.groups_per_row); w++) {
        var bits = mask_word(row, w);
        while bits != 0u {
            let col = 32u * w + firstTrailingBit(bits);
            bits &= bits - 1u;
            let weight = bits_at(start + col);
            let shift = 16u * (n & 1u);
            columns |= col << shift;
            if SIZE == 4u { put_word(n, weight); } else { weights |= weight << shift; }
            if shift != 0u {
                put_columns(n >> 1u, columns);
                if SIZE == 2u { put_pair(n >> 1u, weights); }
                columns = 0u;
                weights = 0u;
            }
            n += 1u;
        }
    }
    if (n & 1u) == 1u {
        put_columns(n >> 1u, columns);
        if SIZE == 2u { put_pair(n >> 1u, weights); }
    }
}
