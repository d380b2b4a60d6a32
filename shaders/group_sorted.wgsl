// Groups of more than 8, or that divide no word: the key of the KEEP-th largest is found by a sorting network, the same for
// all threads and without branches.
//
// Four columns of 8 keys are sorted side by side; pairs of columns merge to 16 keys, and pairs of these to 32 (Batcher's bitonic
// merge). Compilers drop what does not lead to the one key that is asked for, and what the zeros that fill a short group up
// decide beforehand.

// Both orders of columns: the smaller keys first.
fn in_columns(g: Group) -> Group {
    var v = g;
    v = Group(min(v.a, v.b), max(v.a, v.b), min(v.c, v.d), max(v.c, v.d), min(v.e, v.f), max(v.e, v.f), min(v.g, v.h), max(v.g, v.h));
    v = Group(min(v.a, v.c), min(v.b, v.d), max(v.a, v.c), max(v.b, v.d), min(v.e, v.g), min(v.f, v.h), max(v.e, v.g), max(v.f, v.h));
    v = Group(v.a, min(v.b, v.c), max(v.b, v.c), v.d, v.e, min(v.f, v.g), max(v.f, v.g), v.h);
    v = Group(min(v.a, v.e), min(v.b, v.f), min(v.c, v.g), min(v.d, v.h), max(v.a, v.e), max(v.b, v.f), max(v.c, v.g), max(v.d, v.h));
    v = Group(v.a, v.b, min(v.c, v.e), min(v.d, v.f), max(v.c, v.e), max(v.d, v.f), v.g, v.h);
    return Group(v.a, min(v.b, v.c), max(v.b, v.c), min(v.d, v.e), max(v.d, v.e), min(v.f, v.g), max(v.f, v.g), v.h);
}

// The same of columns that rise and then fall, or the other way around.
fn bitonic(g: Group) -> Group {
    var v = g;
    v = Group(min(v.a, v.e), min(v.b, v.f), min(v.c, v.g), min(v.d, v.h), max(v.a, v.e), max(v.b, v.f), max(v.c, v.g), max(v.d, v.h));
    v = Group(min(v.a, v.c), min(v.b, v.d), max(v.a, v.c), max(v.b, v.d), min(v.e, v.g), min(v.f, v.h), max(v.e, v.g), max(v.f, v.h));
    return Group(min(v.a, v.b), max(v.a, v.b), min(v.c, v.d), max(v.c, v.d), min(v.e, v.f), max(v.e, v.f), min(v.g, v.h), max(v.g, v.h));
}

// Of row `p` and the row as far from the other end: columns x and y, and z and w, so that the halves of 16 keys lie apart.
fn halves_of_16(p: vec4u, q: vec4u) -> vec4u {
    let low = min(p.xz, q.yw);
    let high = max(p.xz, q.yw);
    return vec4u(low.x, high.x, low.y, high.y);
}

// The same of 16 keys in x and y, and 16 in z and w; and the halves of these halves.
fn halves_of_32(p: vec4u, q: vec4u) -> vec4u {
    let low = min(p.xy, q.wz);
    let high = max(p.xy, q.wz);
    return vec4u(min(low.x, low.y), max(low.x, low.y), min(high.x, high.y), max(high.x, high.y));
}

// 16 keys in order in columns x and y, and 16 in z and w.
fn in_order_by_16(g: Group) -> Group {
    let v = in_columns(g);
    return bitonic(Group(halves_of_16(v.a, v.h), halves_of_16(v.b, v.g), halves_of_16(v.c, v.f), halves_of_16(v.d, v.e),
        halves_of_16(v.e, v.d), halves_of_16(v.f, v.c), halves_of_16(v.g, v.b), halves_of_16(v.h, v.a)));
}

// 32 keys in order, column after column.
fn in_order_by_32(g: Group) -> Group {
    let v = in_order_by_16(g);
    return bitonic(Group(halves_of_32(v.a, v.h), halves_of_32(v.b, v.g), halves_of_32(v.c, v.f), halves_of_32(v.d, v.e),
        halves_of_32(v.e, v.d), halves_of_32(v.f, v.c), halves_of_32(v.g, v.b), halves_of_32(v.h, v.a)));
}

// Row `i` of a group, a constant.
fn row_of(g: Group, i: u32) -> vec4u {
    if i == 0u { return g.a; }
    if i == 1u { return g.b; }
    if i == 2u { return g.c; }
    if i == 3u { return g.d; }
    if i == 4u { return g.e; }
    if i == 5u { return g.f; }
    if i == 6u { return g.g; }
    return g.h;
}

// The keys of a word's weights, one in each number: those of its first half in x and y.
fn unpacked(g: Group) -> Group {
    if SIZE == 4u {
        return Group(vec4u(g.a.xy, g.e.xy), vec4u(g.a.zw, g.e.zw), vec4u(g.b.xy, g.f.xy), vec4u(g.b.zw, g.f.zw),
            vec4u(g.c.xy, g.g.xy), vec4u(g.c.zw, g.g.zw), vec4u(g.d.xy, g.h.xy), vec4u(g.d.zw, g.h.zw));
    }
    if SIZE == 2u {
        let p = vec4u(g.a.xy, g.c.xy);
        let q = vec4u(g.a.zw, g.c.zw);
        let r = vec4u(g.b.xy, g.d.xy);
        let s = vec4u(g.b.zw, g.d.zw);
        let low = vec4u(0xffffu);
        let by = vec4u(16u);
        return Group(p & low, p >> by, q & low, q >> by, r & low, r >> by, s & low, s >> by);
    }
    let p = vec4u(g.a.xy, g.b.xy);
    let q = vec4u(g.a.zw, g.b.zw);
    let low = vec4u(0xffu);
    return Group(p & low, (p >> vec4u(8u)) & low, (p >> vec4u(16u)) & low, p >> vec4u(24u),
        q & low, (q >> vec4u(8u)) & low, (q >> vec4u(16u)) & low, q >> vec4u(24u));
}

// The keys of the KEEP-th largest of the first and of the last 16 weights of a word, or twice that of all 32.
fn last_to_stay(g: Group) -> vec2u {
    if OF == 16u {
        let at = row_of(in_order_by_16(unpacked(g)), (16u - KEEP) & 7u);
        return select(at.yw, at.xz, KEEP > 8u);
    }
    return vec2u(row_of(in_order_by_32(unpacked(g)), (32u - KEEP) & 7u)[((32u - KEEP) >> 3u) & 3u]);
}

// `at_least`, of `keys.x` for the first 16 weights and `keys.y` for the others, in the order of the weights.
fn from_each(g: Group, keys: vec2u) -> u32 {
    let p = keys.x;
    let q = keys.y;
    // One that lies in 16 bytes.
    if OF != 16u && OF * SIZE <= 16u && SIZE == 4u { return at_least_4(g.a, p); }
    if OF != 16u && OF * SIZE <= 16u { return in_order(at_least_lanes(g.a, ones(), p)); }
    if OF != 16u { return in_order(at_least(g, p)); }
    if SIZE == 4u {
        return at_least_4(g.a, p) | (at_least_4(g.b, p) << 4u) | (at_least_4(g.c, p) << 8u) | (at_least_4(g.d, p) << 12u)
            | (at_least_4(g.e, q) << 16u) | (at_least_4(g.f, q) << 20u) | (at_least_4(g.g, q) << 24u) | (at_least_4(g.h, q) << 28u);
    }
    if SIZE == 2u {
        return in_order(at_least_lanes(g.a, ones(), p) | (at_least_lanes(g.b, ones(), p) << 4u)
            | (at_least_lanes(g.c, ones(), q) << 8u) | (at_least_lanes(g.d, ones(), q) << 12u));
    }
    return in_order(at_least_lanes(g.a, ones(), p) | (at_least_lanes(g.b, ones(), q) << 4u));
}

// Of these ties as many of the last as stay beside the others.
fn last_ties(ties: u32, others: u32) -> u32 {
    var left = ties;
    for (var more = countOneBits(ties) + countOneBits(others); more > KEEP; more -= 1u) { left &= left - 1u; }
    return left;
}

// Which weights stay, of a word of whole groups or of one group whose padding is zero.
fn stay_of_sorted(g: Group) -> u32 {
    if KEEP == 0u { return 0u; }
    if KEEP == OF { return 0xffffffffu; }
    let cut = last_to_stay(g);
    let above = from_each(g, cut + vec2u(1u));
    let ties = from_each(g, cut) & ~above & (0xffffffffu >> (32u - select(OF, 32u, OF == 16u)));
    if OF != 16u { return above | last_ties(ties, above); }
    return above | last_ties(ties & 0xffffu, above & 0xffffu) | last_ties(ties & 0xffff0000u, above & 0xffff0000u);
}
