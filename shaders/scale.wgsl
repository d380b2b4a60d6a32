// Scores weights by their magnitude times the scale of their column, as the bits of an f32: Wanda's score.
//
// The product is the one correctly rounded, subnormal or not, on every adapter: where operands and result are normal, the
// adapter's own; elsewhere adapters may flush to zero, and integers do it. That takes long and hardly ever happens, so a
// thread goes on as if it never did, and does its stretch once more where it did. `whole` takes 16 bytes of weights at a
// time, neighbours side by side, and the same of the rows below, for which it has the scales; `ragged` takes one weight.
// Reads SIZE bytes per weight, writes 4; of scales, a fourth where there are rows below.

override WORKGROUP: u32 = 256u;
override ROWS: u32 = 1u; // that a thread of `whole` takes: 4 where they have the same columns, or 1

struct Scale {
    column: u32, // of the view's first weight
    period: u32, // columns of the matrix
    step: u32,   // columns from one item of a thread to its next, less than `period`
    parts: u32,  // workgroups that share a row, or ROWS of them
}

@group(0) @binding(3) var<uniform> rule: Scale;
@group(0) @binding(4) var<storage, read> scales: array<u32>; // [period] bits of f32, finite, not negative
@group(0) @binding(4) var<storage, read> scale_quads: array<vec4u>;
@group(0) @binding(5) var<storage, read_write> scores: array<u32>; // [rows][cols], without gaps
@group(0) @binding(5) var<storage, read_write> score_quads: array<vec4u>;

// Column of the matrix, from less than two times as many.
fn wrapped(column: u32) -> u32 { return select(column, column - rule.period, column >= rule.period); }

fn column_of(weight: u32) -> u32 { return wrapped(rule.column + weight % rule.period); }

// Scales of the weights in 16 bytes.
struct Scales { a: vec4u, b: vec4u, c: vec4u, d: vec4u }

fn scales_from(column: u32) -> Scales {
    var found: Scales;
    found.a = scale_quads[column / 4u];
    if SIZE < 4u { found.b = scale_quads[wrapped(column + 4u) / 4u]; }
    if SIZE < 2u {
        found.c = scale_quads[wrapped(column + 8u) / 4u];
        found.d = scale_quads[wrapped(column + 12u) / 4u];
    }
    return found;
}

// Scores four weights; says whether one of them is in doubt.
fn score_four(keys: vec4u, b: vec4u, at: u32, exactly: bool) -> bool {
    let a = values(keys);
    if exactly {
        score_quads[at] = vec4u(product(a.x, b.x), product(a.y, b.y), product(a.z, b.z), product(a.w, b.w));
        return false;
    }
    let scored = products(a, b);
    score_quads[at] = scored;
    return any(doubtful(a, b, scored));
}

// The same for the weights in 16 bytes.
fn score_quad(q: vec4u, by: Scales, at: u32, exactly: bool) -> bool {
    if SIZE == 4u { return score_four(q, by.a, at, exactly); }
    if SIZE == 2u {
        let low = vec4u(q.x & 0xffffu, q.x >> 16u, q.y & 0xffffu, q.y >> 16u);
        let high = vec4u(q.z & 0xffffu, q.z >> 16u, q.w & 0xffffu, q.w >> 16u);
        let doubt = score_four(low, by.a, at, exactly);
        return score_four(high, by.b, at + 1u, exactly) | doubt;
    }
    let shifts = vec4u(0u, 8u, 16u, 24u);
    let a = score_four((q.xxxx >> shifts) & vec4u(0xffu), by.a, at, exactly);
    let b = score_four((q.yyyy >> shifts) & vec4u(0xffu), by.b, at + 1u, exactly);
    let c = score_four((q.zzzz >> shifts) & vec4u(0xffu), by.c, at + 2u, exactly);
    let d = score_four((q.wwww >> shifts) & vec4u(0xffu), by.d, at + 3u, exactly);
    return a | b | c | d;
}

fn score_row(row: u32, quad: u32, by: Scales, exactly: bool) -> bool {
    let q = quads[(view.first + row * view.stride) * SIZE / 16u + quad] & vec4u(key_lanes());
    return score_quad(q, by, row * (view.cols / 4u) + quad * (4u / SIZE), exactly);
}

// The same for quad `quad` of ROWS rows.
fn score_rows(row: u32, quad: u32, by: Scales) -> bool {
    var doubt = score_row(row, quad, by, false);
    if ROWS == 4u {
        if row + 1u < view.rows { doubt |= score_row(row + 1u, quad, by, false); }
        if row + 2u < view.rows { doubt |= score_row(row + 2u, quad, by, false); }
        if row + 3u < view.rows { doubt |= score_row(row + 3u, quad, by, false); }
    }
    return doubt;
}

@compute @workgroup_size(WORKGROUP)
fn whole(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = linear(id, ids);
    let row = workgroup / rule.parts * ROWS;
    if row >= view.rows { return; }
    let all = view.cols * SIZE / 16u;
    let start = workgroup % rule.parts * view.span;
    let begin = min(start, all) + local;
    let end = min(start + view.span, all);
    var doubt_from = end;
    var doubt_to = 0u;
    var column = column_of(row * view.cols + begin * 16u / SIZE);
    for (var quad = begin; quad < end; quad += WORKGROUP) {
        let doubt = score_rows(row, quad, scales_from(column));
        column = wrapped(column + rule.step);
        doubt_from = select(doubt_from, min(doubt_from, quad), doubt);
        doubt_to = select(doubt_to, quad + 1u, doubt);
    }
    for (var quad = doubt_from; quad < doubt_to; quad += WORKGROUP) {
        let by = scales_from(column_of(row * view.cols + quad * 16u / SIZE));
        for (var r = row; r < min(row + ROWS, view.rows); r++) { score_row(r, quad, by, true); }
    }
}

fn value_of(weight: u32) -> u32 {
    if FLAT { return value(key_at(view.first + weight)); }
    let row = weight / view.cols;
    return value(key_at(view.first + row * view.stride + (weight - row * view.cols)));
}

@compute @workgroup_size(WORKGROUP)
fn ragged(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let all = view.rows * view.cols;
    let start = linear(id, ids) * view.span * 32u;
    let begin = min(start, all) + local;
    let end = min(start + view.span * 32u, all);
    var doubt_from = end;
    var doubt_to = 0u;
    var column = column_of(begin);
    for (var i = begin; i < end; i += WORKGROUP) {
        let a = value_of(i);
        let b = scales[column];
        let scored = products(vec4u(a), vec4u(b)).x;
        scores[i] = scored;
        column = wrapped(column + rule.step);
        let doubt = doubtful(vec4u(a), vec4u(b), vec4u(scored)).x;
        doubt_from = select(doubt_from, min(doubt_from, i), doubt);
        doubt_to = select(doubt_to, i + 1u, doubt);
    }
    for (var i = doubt_from; i < doubt_to; i += WORKGROUP) { scores[i] = product(value_of(i), scales[column_of(i)]); }
}
