// Part of `pool.wgsl`: blocks of 4, 8, 16 or 32 bytes or a multiple of 64, and columns of 16 bits, in aligned rows of whole
// 64 bytes. A thread goes down 64 bytes, or a block where that is wider, neighbours side by side; nothing is masked. On GPUs it
// goes down a block or 16 bytes, so that neighbours read, and write, neighbouring memory.

override HALVES: bool = SIZE == 2u && COLS == 1u; // each 16 bits are a block

override QUADS: u32 = 4u; // that a thread goes down, where a block is not wider

// 64 bytes of a row, as four sums, or as fewer where a block is wider than 16 bytes; as eight of halves.
struct Strip { a: Sum, b: Sum, c: Sum, d: Sum, e: Sum, f: Sum, g: Sum, h: Sum }

fn low_half(quad: vec4u) -> vec4u { return quad & vec4u(0xffffu); }

fn high_half(quad: vec4u) -> vec4u { return quad >> vec4u(16u); }

fn add_strip(strip: Strip, at: u32) -> Strip {
    var next = strip;
    let a = quad_at(at);
    if QUADS == 1u {
        if HALVES {
            next.a = add(next.a, low_half(a));
            next.e = add(next.e, high_half(a));
        } else {
            next.a = add_quad(next.a, a);
        }
        return next;
    }
    let b = quad_at(at + 1u);
    if QUADS == 2u {
        next.a = add_quad(add_quad(next.a, a), b);
        return next;
    }
    let c = quad_at(at + 2u);
    let d = quad_at(at + 3u);
    if HALVES {
        next.a = add(next.a, low_half(a));
        next.b = add(next.b, low_half(b));
        next.c = add(next.c, low_half(c));
        next.d = add(next.d, low_half(d));
        next.e = add(next.e, high_half(a));
        next.f = add(next.f, high_half(b));
        next.g = add(next.g, high_half(c));
        next.h = add(next.h, high_half(d));
    } else if COLS * SIZE >= 64u {
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

// Keys of eight columns.
fn finish_halves(low: Sum, high: Sum, unit: u32, share: f32) {
    for (var i = 0u; i < 4u; i++) {
        keys[unit + 2u * i] = score(low.parts[i], low.largest[i], share);
        keys[unit + 2u * i + 1u] = score(high.parts[i], high.largest[i], share);
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
    let wide = max(COLS * SIZE / 16u, QUADS); // in quads
    let end = min(begin + view.span, view.cols * SIZE / 16u / wide);
    for (var s = begin + local; s < end; s += LANES) {
        let strip = add_rows((view.first + row * view.stride) * SIZE / 16u + s * wide, rows);
        let blocks = 16u * wide / (COLS * SIZE); // in the strip
        let unit = down * rule.across + s * blocks;
        if HALVES {
            finish_halves(strip.a, strip.e, unit, share);
            if QUADS == 1u { continue; }
            finish_halves(strip.b, strip.f, unit + 8u, share);
            finish_halves(strip.c, strip.g, unit + 16u, share);
            finish_halves(strip.d, strip.h, unit + 24u, share);
            continue;
        }
        finish(strip.a, unit, share);
        if QUADS < 4u { continue; }
        if blocks == 2u { finish(strip.b, unit + 1u, share); }
        if blocks >= 4u {
            finish(strip.b, unit + blocks / 4u, share);
            finish(strip.c, unit + blocks / 2u, share);
            finish(strip.d, unit + blocks / 4u * 3u, share);
        }
    }
}
