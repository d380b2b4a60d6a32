// A matrix in MACKO times one vector, then bias and activation: four rows for each team of threads, a step of 8 weights of each
// per thread and turn. In which column a thread's steps begin is a scan over the team. Of
// https://arxiv.org/abs/2511.13061, for any subgroup.
//
// Bytes per kept weight: SIZE + 1/2, the same for each 16 columns skipped, 4 per row, and x, from workgroup memory where it fits.
// Sums are f32: one per thread and row. Weights of +0.0, kept or not, do not count, whatever x is: where all of x is known to be
// finite, they are multiplied as others are.

override TEAM: u32 = 32u; // threads per four rows, at most 64; WORKGROUP is a multiple

// Columns of the weights of a step, from the one where it begins.
struct Columns { low: vec4u, high: vec4u }

// Two gaps to a byte, their running sum, and the weights between: in byte k of `even` is column 2k, of `odd` the next. A product with
// one byte of 1 takes one out, which is an instruction with a sum on most GPUs.
fn columns_of(gaps: u32, first: u32) -> Columns {
    let second = (gaps >> 4u) & 0x0f0f0f0fu;
    let sums = ((gaps & 0x0f0f0f0fu) + second) * 0x01010101u;
    let odd = sums + 0x07050301u;
    let even = sums - second + 0x06040200u;
    return Columns(
        vec4u(first) + vec4u(dot4U8Packed(even, 1u), dot4U8Packed(odd, 1u), dot4U8Packed(even, 0x100u), dot4U8Packed(odd, 0x100u)),
        vec4u(first) + vec4u(dot4U8Packed(even, 0x10000u), dot4U8Packed(odd, 0x10000u), dot4U8Packed(even, 0x1000000u),
            dot4U8Packed(odd, 0x1000000u)));
}

fn x_for(c: vec4u) -> vec4f { return vec4f(x_at(c.x), x_at(c.y), x_at(c.z), x_at(c.w)); }

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

struct Eight { low: vec4f, high: vec4f }

fn weights_of(values: Values) -> Eight {
    if SIZE == 2u { return Eight(four(values.low.xy), four(values.low.zw)); }
    return Eight(bitcast<vec4f>(values.low), bitcast<vec4f>(values.high));
}

// The product of a step that begins in column `first`.
fn times(values: Values, gaps: u32, first: u32) -> f32 {
    let w = weights_of(values);
    let c = columns_of(gaps, first);
    return dot(w.low, x_for(c.low)) + dot(w.high, x_for(c.high));
}

fn but_zeros(w: vec4f, x: vec4f) -> vec4f { return select(vec4f(), w * x, bitcast<vec4u>(w) != vec4u()); }

// The same whatever x is.
fn times_any(values: Values, gaps: u32, first: u32) -> f32 {
    let w = weights_of(values);
    let c = columns_of(gaps, first);
    return dot(but_zeros(w.low, x_for(c.low)) + but_zeros(w.high, x_for(c.high)), vec4f(1.0));
}

fn product(workgroup: u32, local: u32, lane: Lane) {
    let finite = is_finite(local, take_x(local));
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
        var part: vec4f;
        if finite {
            part = vec4f(times(turn.a, gaps.x, col.x), times(turn.b, gaps.y, col.y),
                times(turn.c, gaps.z, col.z), times(turn.d, gaps.w, col.w));
        } else {
            part = vec4f(times_any(turn.a, gaps.x, col.x), times_any(turn.b, gaps.y, col.y),
                times_any(turn.c, gaps.z, col.z), times_any(turn.d, gaps.w, col.w));
        }
        sums += select(vec4f(), part, have);
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
