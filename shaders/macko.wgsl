// A matrix in MACKO times one vector, then bias and activation: four rows for each team of threads, a step of 8 weights of each
// per thread and turn. In which column a thread's steps begin is a scan over the team. Of
// https://arxiv.org/abs/2511.13061, for any subgroup.
//
// Bytes per kept weight: SIZE + 1/2, the same for each 16 columns skipped, 4 per row, and x, from workgroup memory where it fits.
// Sums are f32: one per thread and row. Weights of +0.0 are not multiplied, kept or not.

override TEAM: u32 = 32u; // threads per four rows, at most 64; WORKGROUP is a multiple

fn plus(sum: f32, w: f32, col: u32) -> f32 { return select(sum, fma(w, x_at(col), sum), bitcast<u32>(w) != 0u); }

// A sum and the product of four weights whose gaps are the lower 16 bits, the first of them before column `col`.
fn plus_four(sum: f32, w: vec4f, gaps: u32, col: u32) -> f32 {
    let a = col + (gaps & 15u);
    let b = a + 1u + ((gaps >> 4u) & 15u);
    let c = b + 1u + ((gaps >> 8u) & 15u);
    let d = c + 1u + ((gaps >> 12u) & 15u);
    return plus(plus(plus(plus(sum, w.x, a), w.y, b), w.z, c), w.w, d);
}

fn half_width(gaps: u32) -> u32 {
    return 4u + (gaps & 15u) + ((gaps >> 4u) & 15u) + ((gaps >> 8u) & 15u) + ((gaps >> 12u) & 15u);
}

// A step of each of four rows, as it is in memory.
struct Turn { gaps: vec4u, a: Values, b: Values, c: Values, d: Values }
struct Values { low: vec4u, high: vec4u }

fn values_at(step: u32) -> Values {
    if SIZE == 4u { return Values(quads[2u * step], quads[2u * step + 1u]); }
    return Values(quads[step], vec4u());
}

fn turn_at(step: vec4u) -> Turn {
    return Turn(vec4u(gaps_of(step.x), gaps_of(step.y), gaps_of(step.z), gaps_of(step.w)),
        values_at(step.x), values_at(step.y), values_at(step.z), values_at(step.w));
}

// The product of a step that begins in column `col`.
fn walk(values: Values, gaps: u32, col: u32) -> f32 {
    var low = bitcast<vec4f>(values.low);
    var high = bitcast<vec4f>(values.high);
    if SIZE == 2u { low = four(values.low.xy); high = four(values.low.zw); }
    return plus_four(plus_four(0.0, low, gaps, col), high, gaps >> 16u, col + half_width(gaps));
}

fn product(workgroup: u32, local: u32, lane: Lane) {
    take_x(local);
    let place = place_of(local, lane);
    let row = 4u * (workgroup * (WORKGROUP / TEAM) + team_of(place));
    // Rows past the end are the last one: they are read, and go nowhere.
    let rows = min(vec4u(row) + vec4u(0u, 1u, 2u, 3u), vec4u(sizes.rows - 1u));
    let begin = vec4u(index[rows.x], index[rows.y], index[rows.z], index[rows.w]);
    let end = vec4u(index[rows.x + 1u], index[rows.y + 1u], index[rows.z + 1u], index[rows.w + 1u]);
    let steps = end - begin;
    let most = max(max(steps.x, steps.y), max(steps.z, steps.w));
    // Steps past a row's end are its last: they are read, and go nowhere.
    let last = max(end, vec4u(1u)) - 1u;
    var step = begin + vec4u(place % TEAM);
    var turn = turn_at(min(step, last));
    var at = vec4u();
    var sums = vec4f();
    for (var first = 0u; first < most; first += TEAM) {
        // The next turn is under way while this one is worked on.
        let next = turn_at(min(step + TEAM, last));
        let gaps = turn.gaps;
        let have = step < end;
        let widths = select(vec4u(0u), vec4u(width(gaps.x), width(gaps.y), width(gaps.z), width(gaps.w)), have);
        // Two in a word: a team goes on by less than 65,536 columns in a turn.
        let two = widths.xy | (widths.zw << vec2u(16u));
        let before = scan_two(two, place);
        let all = whole_two(before + two, place);
        let col = at + vec4u(before & vec2u(0xffffu), before >> vec2u(16u));
        sums += select(vec4f(), vec4f(walk(turn.a, gaps.x, col.x), walk(turn.b, gaps.y, col.y),
            walk(turn.c, gaps.z, col.z), walk(turn.d, gaps.w, col.w)), have);
        at += vec4u(all & vec2u(0xffffu), all >> vec2u(16u));
        step += vec4u(TEAM);
        turn = next;
    }
    let total = sum_team(sums, place);
    if place % TEAM != 0u { return; }
    for (var i = 0u; i < 4u; i++) {
        if row + i < sizes.rows { y[sizes.first * sizes.height + row + i] = epilogue(total[i], row + i); }
    }
}
