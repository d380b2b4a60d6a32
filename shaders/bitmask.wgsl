// A matrix in tiled bitmask times one vector, then bias and activation: four rows per workgroup, TEAM threads per tile,
// 32 / TEAM words of the mask each. How many weights of the tile lie before a thread's own is a scan over the team.
//
// Bytes per weight: 1/8, SIZE for each kept one, 4 for each tile, and x from cache. Sums are f32: one per thread and row.
// What is not kept is not multiplied.

override TEAM: u32 = 32u; // threads per tile: 8, 16 or 32, no more than WORKGROUP

// Kept weights in a thread's words of four rows.
fn count_words(row: u32, begin: u32, end: u32) -> vec4u {
    var counts = vec4u();
    for (var w = begin; w < end; w++) {
        counts += countOneBits(vec4u(mask_word(clamped(row), w), mask_word(clamped(row + 1u), w),
            mask_word(clamped(row + 2u), w), mask_word(clamped(row + 3u), w)));
    }
    return counts;
}

// Rows past the end are the last one: they are read, and go nowhere.
fn clamped(row: u32) -> u32 { return min(row, sizes.rows - 1u); }

// The product of a thread's words of one row, whose first kept weight is number `n`.
fn walk(row: u32, begin: u32, end: u32, first: u32) -> f32 {
    var sum = 0.0;
    var n = first;
    for (var w = begin; w < end; w++) {
        var bits = mask_word(row, w);
        while bits != 0u {
            sum += value_of(n) * x_at(32u * w + firstTrailingBit(bits));
            n += 1u;
            bits &= bits - 1u;
        }
    }
    return sum;
}

fn product(workgroup: u32, local: u32, lane: Lane) {
    let row = 4u * workgroup;
    if row >= sizes.rows { return; }
    let place = place_of(local, lane);
    let member = place % TEAM;
    let teams = WORKGROUP / TEAM;
    var sums = vec4f();
    for (var first = 0u; first < sizes.stride; first += teams) {
        let tile = first + place / TEAM;
        let begin = min(32u * tile + member * (32u / TEAM), words_per_row());
        let end = min(begin + 32u / TEAM, words_per_row());
        let counts = count_words(row, begin, end);
        let ranks = scan_team(counts, place);
        if begin < end {
            let at = vec4u(index[clamped(row) * sizes.stride + tile], index[clamped(row + 1u) * sizes.stride + tile],
                index[clamped(row + 2u) * sizes.stride + tile], index[clamped(row + 3u) * sizes.stride + tile]) + ranks;
            sums += vec4f(walk(clamped(row), begin, end, at.x), walk(clamped(row + 1u), begin, end, at.y),
                walk(clamped(row + 2u), begin, end, at.z), walk(clamped(row + 3u), begin, end, at.w));
        }
    }
    let total = sum_lanes(sums, local, lane);
    for (var i = local; i < 4u; i += WORKGROUP) {
        if row + i < sizes.rows { y[sizes.first * sizes.height + row + i] = epilogue(total[i], row + i); }
    }
}
