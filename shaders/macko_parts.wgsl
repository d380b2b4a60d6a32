// MACKO: the kept weights of a row one behind the other, and for each the columns skipped before it, in 4 bits. Where more than 15
// are skipped, a weight of +0.0 that stands for none takes 15 and its own. Rows are in steps of 8 weights, the last filled up with
// such weights, so that a thread reads whole words.

@group(0) @binding(1) var<storage, read> index: array<u32>;   // [rows + 1] steps before each row, [steps] gaps
@group(0) @binding(2) var<storage, read> quads: array<vec4u>; // [steps][8] SIZE bytes each

fn gaps_of(step: u32) -> u32 { return index[sizes.rows + 1u + step]; }

// Columns that a step goes on by: its gaps and its weights.
fn width(gaps: u32) -> u32 {
    let sums = (gaps & 0x0f0f0f0fu) + ((gaps >> 4u) & 0x0f0f0f0fu);
    return ((sums * 0x01010101u) >> 24u) + 8u;
}

// The bits of weight number `n` of a step.
fn bits_in(step: u32, n: u32) -> u32 {
    if SIZE == 4u { return quads[2u * step + n / 4u][n % 4u]; }
    return (quads[step][n / 2u] >> (16u * (n & 1u))) & 0xffffu;
}

// The bits of one weight, zero if it is not kept.
fn find(row: u32, col: u32) -> u32 {
    var at = 0u;
    for (var step = index[row]; step < index[row + 1u]; step++) {
        var gaps = gaps_of(step);
        if col < at + width(gaps) {
            for (var n = 0u; n < 8u; n++) {
                at += gaps & 15u;
                if at >= col { return select(0u, bits_in(step, n), at == col); }
                at += 1u;
                gaps >>= 4u;
            }
        }
        at += width(gaps_of(step));
    }
    return 0u;
}
