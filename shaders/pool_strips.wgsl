// Part of `pool.wgsl`: blocks of 4, 8, 16 or 32 bytes or a multiple of 64, in aligned rows of whole 64 bytes. A thread goes
// down 64 bytes, or a block where that is wider, neighbours side by side; nothing is masked.

// 64 bytes of a row, as four sums, or as fewer where a block is wider than 16 bytes.
struct Strip { a: Sum, b: Sum, c: Sum, d: Sum }

fn add_strip(strip: Strip, at: u32) -> Strip {
    var next = strip;
    let a = quad_at(at);
    let b = quad_at(at + 1u);
    let c = quad_at(at + 2u);
    let d = quad_at(at + 3u);
    if COLS * SIZE >= 64u {
        next.a = add_quad(add_quad(add_quad(add_quad(next.a, a), b), c), d);
    } else if COLS * SIZE == 32u {
        next.a = add_quad(add_quad(next.a, a), b);
        next.b = add_quad(add_quad(next.b, c), d);
    } else {
        next.a = add_quad(next.a, a);
        next.b = add_quad(next.b, b);
        next.c = add_quad(next.c, c);
        next.d = add_quad(next.d, d);
    }
    return next;
}

// Loops cost more than what is in them: those that go round once are none, and four rows are one step.
fn add_rows(first: u32, rows: u32) -> Strip {
    let down = view.stride * SIZE / 16u;
    let four = EVEN && ROWS % 4u == 0u && COLS * SIZE <= 64u;
    let end = select(rows, ROWS, EVEN || ROWS == 1u);
    var strip: Strip;
    var at = first;
    var r = 0u;
    loop {
        var q = 0u;
        loop {
            strip = add_strip(strip, at + q);
            q += 4u;
            if q >= COLS * SIZE / 16u { break; }
        }
        if four {
            strip = add_strip(strip, at + down);
            strip = add_strip(strip, at + 2u * down);
            strip = add_strip(strip, at + 3u * down);
        }
        at += select(1u, 4u, four) * down;
        r += select(1u, 4u, four);
        if r >= end { break; }
    }
    return strip;
}

// Keys of the blocks that a sum is of.
fn finish(sum: Sum, unit: u32, share: f32) {
    let p = sum.parts;
    let l = sum.largest;
    if COLS * SIZE == 4u {
        keys[unit] = score(p.x, l.x, share);
        keys[unit + 1u] = score(p.y, l.y, share);
        keys[unit + 2u] = score(p.z, l.z, share);
        keys[unit + 3u] = score(p.w, l.w, share);
    } else if COLS * SIZE == 8u {
        keys[unit] = score(p.x + p.y, max(l.x, l.y), share);
        keys[unit + 1u] = score(p.z + p.w, max(l.z, l.w), share);
    } else {
        keys[unit] = score(folded(sum), largest_of(sum), share);
    }
}

@compute @workgroup_size(LANES)
fn strips(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = linear(id, ids);
    let down = workgroup / rule.parts;
    let row = down * ROWS;
    if row >= view.rows { return; }
    let rows = min(ROWS, view.rows - row);
    let share = select(rule.shares.x, rule.shares.z, rows < ROWS);
    let begin = (workgroup - down * rule.parts) * view.span;
    let wide = max(COLS * SIZE / 16u, 4u); // in quads
    let end = min(begin + view.span, view.cols * SIZE / 16u / wide);
    for (var s = begin + local; s < end; s += LANES) {
        let strip = add_rows((view.first + row * view.stride) * SIZE / 16u + s * wide, rows);
        let blocks = 16u * wide / (COLS * SIZE); // in the strip
        let unit = down * rule.across + s * blocks;
        finish(strip.a, unit, share);
        if blocks == 2u { finish(strip.b, unit + 1u, share); }
        if blocks >= 4u {
            finish(strip.b, unit + blocks / 4u, share);
            finish(strip.c, unit + blocks / 2u, share);
            finish(strip.d, unit + blocks / 4u * 3u, share);
        }
    }
}
