// N:M: of each group of OF consecutive weights in a row, from column 0 on, the KEEP largest stay; ties go lowest index
// first, and a shorter rest at the end of a row stays. Reads every weight once, writes 1/8 byte for each.
//
// One thread takes one word of the mask; neighbours read neighbouring weights, 16 bytes at a time. Groups of 1, 2, 4 and 8
// are ranked without branches: their keys are put in columns, whose lanes belong to different groups, and each pair of
// columns is compared once, all lanes together. For others see `group_sorted.wgsl`, which goes before this; one that straddles
// two words is sorted for both.

override WORKGROUP: u32 = 256u;
override OF: u32 = 4u; // 1 to 32
override KEEP: u32 = 2u;

@group(0) @binding(3) var<storage, read_write> mask: array<u32>;             // [rows][groups_per_row]
@group(0) @binding(4) var<storage, read_write> nonzero: array<atomic<u32>>; // [64][2] weights that are not zero: before, after

override SIGN: u32 = 8u * SIZE - 1u; // bit of a lane

// 1 in each lane of a word.
fn ones() -> u32 { return select(select(0x01010101u, 0x00010001u, SIZE == 2u), 1u, SIZE == 4u); }

// Four columns at a time, as many as SIZE asks for. Lane l of column c is weight c + l * (columns).
fn columns(g: Group) -> Group {
    if SIZE == 4u { return g; }
    var c: Group;
    if SIZE == 2u {
        let even = (g.a & vec4u(0xffffu)) | (g.c << vec4u(16u));
        let odd = (g.a >> vec4u(16u)) | (g.c & vec4u(0xffff0000u));
        let even_b = (g.b & vec4u(0xffffu)) | (g.d << vec4u(16u));
        let odd_b = (g.b >> vec4u(16u)) | (g.d & vec4u(0xffff0000u));
        c.a = vec4u(even.x, odd.x, even.y, odd.y);
        c.b = vec4u(even.z, odd.z, even.w, odd.w);
        c.c = vec4u(even_b.x, odd_b.x, even_b.y, odd_b.y);
        c.d = vec4u(even_b.z, odd_b.z, even_b.w, odd_b.w);
        return c;
    }
    // Bytes, by two perfect shuffles.
    let low = vec4u(0x00ff00ffu);
    let even = (vec4u(g.a.xy, g.b.xy) & low) | ((vec4u(g.a.zw, g.b.zw) & low) << vec4u(8u));
    let odd = ((vec4u(g.a.xy, g.b.xy) >> vec4u(8u)) & low) | (vec4u(g.a.zw, g.b.zw) & ~low);
    let first = (vec4u(even.xy, odd.xy) & vec4u(0xffffu)) | (vec4u(even.zw, odd.zw) << vec4u(16u));
    let second = (vec4u(even.xy, odd.xy) >> vec4u(16u)) | (vec4u(even.zw, odd.zw) & vec4u(0xffff0000u));
    c.a = vec4u(first.x, first.z, second.x, second.z);
    c.b = vec4u(first.y, first.w, second.y, second.w);
    return c;
}

// Sign bits of lanes: set where a >= b.
fn above(a: vec4u, b: vec4u) -> vec4u { return (a | vec4u(ones() << SIGN)) - b; }

fn beats(a: vec4u, b: vec4u) -> vec4u { return (above(a, b) >> vec4u(SIGN)) & vec4u(ones()); }

// Bits of the mask from bit `at` of each lane of four columns, of which `first` is the first.
fn bits_of(lanes: vec4u, at: u32, first: u32) -> u32 {
    let column = vec4u(first, first + 1u, first + 2u, first + 3u);
    let b = ((lanes & vec4u(ones() << at)) << (max(column, vec4u(at)) - at)) >> (at - min(column, vec4u(at)));
    return b.x | b.y | b.z | b.w;
}

fn full_of(q: vec4u, first: u32) -> u32 { return bits_of(above(q, vec4u(ones())), SIGN, first); }

// Of four columns, how many others each is larger than, an equal one before it included.
fn wins(q: vec4u) -> vec4u {
    let s = beats(q.yzww, q.xxxz);
    let t = beats(q.zwww, q.yyyy);
    return vec4u(3u * ones() - s.x - s.y - s.z, s.x + 2u * ones() - t.x - t.y, s.y + t.x + ones() - s.w, s.z + t.y + s.w);
}

// Sign bits set where one of four, of whose three comparisons these are the outcomes, stays.
fn enough(a: vec4u, b: vec4u, c: vec4u) -> vec4u {
    if KEEP == 1u { return a & b & c; }
    if KEEP == 2u { return (a & b) | (c & (a | b)); }
    return a | b | c;
}

fn stay_of_four(q: vec4u, first: u32) -> u32 {
    let s = above(q.yzww, q.xxxz);
    if OF == 2u { return bits_of(vec4u(~s.x, s.x, ~s.w, s.w), SIGN, first); }
    let t = above(q.zwww, q.yyyy);
    let a = vec4u(~s.x, s.x, s.y, s.z);
    let b = vec4u(~s.y, ~t.x, t.x, t.y);
    return bits_of(enough(a, b, vec4u(~s.z, ~t.y, ~s.w, s.w)), SIGN, first);
}

fn stay_of(low: vec4u, high: vec4u, first: u32) -> u32 {
    if KEEP == 0u { return 0u; }
    if KEEP == OF { return 0xffffffffu; }
    if OF < 8u { return stay_of_four(low, first) | stay_of_four(high, first + 4u); }
    let x = beats(high, low.xxxx);
    let y = beats(high, low.yyyy);
    let z = beats(high, low.zzzz);
    let w = beats(high, low.wwww);
    let lost = vec4u(x.x + x.y + x.z + x.w, y.x + y.y + y.z + y.w, z.x + z.y + z.z + z.w, w.x + w.y + w.z + w.w);
    // Bit 3 is set from 8 - KEEP wins on.
    let won = vec4u(KEEP * ones());
    let won_high = wins(high) + won + x + y + z + w;
    return bits_of(wins(low) + won + 4u * ones() - lost, 3u, first) | bits_of(won_high, 3u, first + 4u);
}

// Which weights of a word are not zero, and which stay.
struct Word { full: u32, stay: u32 }

fn ranked(g: Group, count: u32) -> Word {
    let c = columns(g);
    var full = full_of(c.a, 0u) | full_of(c.b, 4u);
    var stay = stay_of(c.a, c.b, 0u);
    if SIZE > 1u {
        full |= full_of(c.c, 8u) | full_of(c.d, 12u);
        stay |= stay_of(c.c, c.d, 8u);
    }
    if SIZE > 2u {
        full |= full_of(c.e, 16u) | full_of(c.f, 20u) | full_of(c.g, 24u) | full_of(c.h, 28u);
        stay |= stay_of(c.e, c.f, 16u) | stay_of(c.g, c.h, 24u);
    }
    return Word(full, stay | rest(count));
}

// What is left of a word that no group fills.
fn rest(count: u32) -> u32 {
    if !TAIL { return 0u; }
    return select(0xffffffffu << ((count & 31u) / OF * OF), 0u, count == 32u);
}

fn sorted_word(g: Group, count: u32) -> Word {
    return Word(in_order(at_least(g, 1u)), stay_of_sorted(g) | rest(count));
}

fn quad_of_group(first: u32, j: u32) -> vec4u {
    var q: vec4u;
    if ALIGNED && OF * SIZE % 16u == 0u {
        q = quads[first * SIZE / 16u + j];
    } else {
        q = unaligned_quad(first * SIZE + 16u * j);
    }
    let w = 4u * j;
    return q & vec4u(key_lanes()) & vec4u(valid(w, OF), valid(w + 1u, OF), valid(w + 2u, OF), valid(w + 3u, OF));
}

// The group from element `first` on, and zeros.
fn group_from(first: u32) -> Group {
    var g: Group;
    g.a = quad_of_group(first, 0u);
    if OF * SIZE > 16u { g.b = quad_of_group(first, 1u); }
    if OF * SIZE > 32u { g.c = quad_of_group(first, 2u); }
    if OF * SIZE > 48u { g.d = quad_of_group(first, 3u); }
    if OF * SIZE > 64u {
        g.e = quad_of_group(first, 4u);
        g.f = quad_of_group(first, 5u);
    }
    if OF * SIZE > 96u {
        g.g = quad_of_group(first, 6u);
        g.h = quad_of_group(first, 7u);
    }
    return g;
}

// A word whose groups are taken one by one.
fn each_group(row: u32, word: u32, count: u32) -> Word {
    let begin = 32u * word;
    var stay = 0u;
    for (var start = begin / OF * OF; start < begin + count; start += OF) {
        var bits = 0xffffffffu;
        if start + OF <= view.cols { bits = stay_of_sorted(group_from(view.first + row * view.stride + start)); }
        stay |= select(bits << ((start - begin) & 31u), bits >> ((begin - start) & 31u), start < begin);
    }
    return Word(in_order(at_least(load(start_in_row(row, word), count), 1u)), stay);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = linear(id, ids);
    let begin = min(workgroup * view.span, view.groups);
    let end = min(begin + view.span, view.groups);
    var before = 0u;
    var after = 0u;
    for (var i = begin + local; i < end; i += WORKGROUP) {
        let count = count_of(i);
        var found: Word;
        if OF == 1u || OF == 2u || OF == 4u || OF == 8u {
            found = ranked(load(start_of(i), count), count);
        } else if OF == 16u || OF == 32u {
            found = sorted_word(load(start_of(i), count), count);
        } else {
            found = each_group(i / view.groups_per_row, i % view.groups_per_row, count);
        }
        found.stay &= 0xffffffffu >> (32u - count);
        before += countOneBits(found.full);
        after += countOneBits(found.full & found.stay);
        mask[i] = found.stay;
    }
    atomicAdd(&nonzero[2u * (workgroup % 64u)], before);
    atomicAdd(&nonzero[2u * (workgroup % 64u) + 1u], after);
}
