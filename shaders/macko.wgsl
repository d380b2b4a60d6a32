// A matrix in MACKO times one vector, then bias and activation: four rows for each team of threads, a step of 8 weights of each
// per thread and turn. In which column a thread's steps begin is a scan over the team. Of
// https://arxiv.org/abs/2511.13061, for any subgroup.
//
// Bytes per kept weight: SIZE + 1/2, the same for each 16 columns skipped, 4 per row, and x, from workgroup memory where it fits.
// Sums are f32: one per thread and row. Weights of +0.0 are not multiplied, kept or not.

override TEAM: u32 = 32u; // threads per four rows; WORKGROUP is a multiple

fn term(w: f32, col: u32) -> f32 { return select(0.0, w * x_at(col), bitcast<u32>(w) != 0u); }

// The product of four weights whose gaps are the lower 16 bits; the first column after the last one is `col` before and after.
fn four_terms(w: vec4f, gaps: u32, col: u32) -> f32 {
    let a = col + (gaps & 15u);
    let b = a + 1u + ((gaps >> 4u) & 15u);
    let c = b + 1u + ((gaps >> 8u) & 15u);
    let d = c + 1u + ((gaps >> 12u) & 15u);
    return term(w.x, a) + term(w.y, b) + term(w.z, c) + term(w.w, d);
}

fn half_width(gaps: u32) -> u32 {
    return 4u + (gaps & 15u) + ((gaps >> 4u) & 15u) + ((gaps >> 8u) & 15u) + ((gaps >> 12u) & 15u);
}

// The product of a step that begins in column `col`.
fn walk(step: u32, gaps: u32, col: u32) -> f32 {
    var low: vec4f;
    var high: vec4f;
    if SIZE == 4u {
        low = bitcast<vec4f>(quads[2u * step]);
        high = bitcast<vec4f>(quads[2u * step + 1u]);
    } else {
        let q = quads[step];
        low = four(q.xy);
        high = four(q.zw);
    }
    return four_terms(low, gaps, col) + four_terms(high, gaps >> 16u, col + half_width(gaps));
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
    var at = vec4u();
    var sums = vec4f();
    for (var first = 0u; first < most; first += TEAM) {
        let step = begin + vec4u(first + place % TEAM);
        let have = step < end;
        let near = min(step, max(end, vec4u(1u)) - 1u);
        let gaps = vec4u(gaps_of(near.x), gaps_of(near.y), gaps_of(near.z), gaps_of(near.w));
        let widths = select(vec4u(0u), vec4u(width(gaps.x), width(gaps.y), width(gaps.z), width(gaps.w)), have);
        let before = scan_team(widths, place);
        let from_columns = at + before;
        if have.x { sums.x += walk(step.x, gaps.x, from_columns.x); }
        if have.y { sums.y += walk(step.y, gaps.y, from_columns.y); }
        if have.z { sums.z += walk(step.z, gaps.z, from_columns.z); }
        if have.w { sums.w += walk(step.w, gaps.w, from_columns.w); }
        at += whole_team(before + widths, place);
    }
    let total = sum_team(sums, place);
    if place % TEAM != 0u { return; }
    for (var i = 0u; i < 4u; i++) {
        if row + i < sizes.rows { y[sizes.first * sizes.height + row + i] = epilogue(total[i], row + i); }
    }
}
