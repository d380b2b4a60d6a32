// Reads weights 32 at a time and compares their keys. Put in front of every kernel that reads weights.
//
// A key is a weight's bits without the sign (see `Dtype`), so only the size of an element matters here, and no float
// support is needed. One thread takes one group of 32 weights of a row: one word of the mask. Keys of 16 and 8 bits
// are compared two and four at a time inside a u32: with the sign bit of each lane set, subtracting a key from all
// lanes cannot borrow across them, and leaves the sign bit set exactly where lane >= key.

override SIZE: u32 = 4u;      // bytes per key: 1, 2 or 4
override STORED: u32 = SIZE;  // bytes per weight; not SIZE where keys are made of weights: see `scaled.wgsl`
override ALIGNED: bool = true; // every row starts on 16 bytes
override TAIL: bool = false;   // cols is not a multiple of 32: a row's last group is short
override FLAT: bool = true;    // one row, or rows without gaps or tails between them: no division by groups_per_row

struct View {
    first: u32,          // element of the binding where row 0 starts
    rows: u32,
    cols: u32,           // weights per row
    stride: u32,         // elements from one row to the next
    groups_per_row: u32, // ceil(cols / 32)
    groups: u32,         // rows * groups_per_row
    span: u32,           // groups per workgroup, where a kernel shares them out
    spare: u32,
}

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> quads: array<vec4u>; // weights, 16 bytes at a time
@group(0) @binding(2) var<storage, read> words: array<u32>;   // the same buffer, 4 bytes at a time

// 32 weights in their memory order; signs cleared; 8, 4 or 2 of the quads are used for 4, 2 or 1 bytes per weight.
struct Group { a: vec4u, b: vec4u, c: vec4u, d: vec4u, e: vec4u, f: vec4u, g: vec4u, h: vec4u }

fn key_lanes() -> u32 {
    return select(select(0x7f7f7f7fu, 0x7fff7fffu, SIZE == 2u), 0x7fffffffu, SIZE == 4u);
}

// All ones for the bytes of word `j` that belong to the first `count` weights.
fn valid(j: u32, count: u32) -> u32 {
    let bytes = count * SIZE;
    let have = bytes - min(bytes, 4u * j);
    return select((1u << (8u * (have & 3u))) - 1u, 0xffffffffu, have >= 4u);
}

// 16 bytes from any byte on. No branches: there are up to 32 of these in a kernel, and compilers take minutes over that.
fn unaligned_quad(byte: u32) -> vec4u {
    let at = byte >> 2u;
    let low = vec4u(words[at], words[at + 1u], words[at + 2u], words[at + 3u]);
    if STORED == 4u { return low; }
    let shift = (byte & 3u) * 8u;
    // A shift by 32, which takes two.
    let high = (vec4u(low.yzw, words[at + 4u]) << vec4u(1u)) << vec4u(31u - shift);
    return (low >> vec4u(shift)) | high;
}

// 16 bytes of weights, from 16 j bytes behind weight `first` on.
fn stored_quad(first: u32, j: u32) -> vec4u {
    if ALIGNED { return quads[first * STORED / 16u + j]; }
    return unaligned_quad(first * STORED + 16u * j);
}

// The words of four that belong to the first `count` weights; j as in `stored_quad`, but of keys.
fn cut_short(q: vec4u, j: u32, count: u32) -> vec4u {
    if !TAIL { return q; }
    let w = 4u * j;
    return q & vec4u(valid(w, count), valid(w + 1u, count), valid(w + 2u, count), valid(w + 3u, count));
}

fn quad(first: u32, j: u32, count: u32) -> vec4u {
    return cut_short(stored_quad(first, j) & vec4u(key_lanes()), j, count);
}

// Element of the binding where group `word` of row `row` starts.
fn start_in_row(row: u32, word: u32) -> u32 { return view.first + row * view.stride + 32u * word; }

// Weights in group `word` of any row: 32, or fewer in a row's last.
fn count_in_row(word: u32) -> u32 {
    if TAIL { return min(32u, view.cols - 32u * word); }
    return 32u;
}

// The same for group `i` of the whole view, row by row.
fn start_of(i: u32) -> u32 {
    if FLAT { return view.first + 32u * i; }
    return start_in_row(i / view.groups_per_row, i % view.groups_per_row);
}

fn count_of(i: u32) -> u32 {
    if !TAIL { return 32u; }
    if FLAT { return count_in_row(i); }
    return count_in_row(i % view.groups_per_row);
}

// Keys past `count` read as 0, which no comparison with a key above 0 sees.
fn load(first: u32, count: u32) -> Group {
    var group: Group;
    group.a = quad(first, 0u, count);
    group.b = quad(first, 1u, count);
    if SIZE > 1u {
        group.c = quad(first, 2u, count);
        group.d = quad(first, 3u, count);
    }
    if SIZE > 2u {
        group.e = quad(first, 4u, count);
        group.f = quad(first, 5u, count);
        group.g = quad(first, 6u, count);
        group.h = quad(first, 7u, count);
    }
    return group;
}

// Keys have 31 bits, so as signed numbers they compare the same, which costs SIMD units less; `key` may be one more.
fn from_4(q: vec4u, key: u32) -> vec4<bool> { return bitcast<vec4i>(q) > vec4i(bitcast<i32>(key - 1u)); }

fn at_least_4(q: vec4u, key: u32) -> u32 {
    let b = select(vec4u(0u), vec4u(1u, 2u, 4u, 8u), from_4(q, key));
    return b.x | b.y | b.z | b.w;
}

fn at_least_lanes(q: vec4u, lanes: u32, key: u32) -> u32 {
    let b = (((q | vec4u(lanes << (8u * SIZE - 1u))) - vec4u(key * lanes)) >> vec4u(8u * SIZE - 1u)) & vec4u(lanes);
    return b.x | (b.y << 1u) | (b.z << 2u) | (b.w << 3u);
}

// One bit per weight whose key is at least `key` (0 to largest key + 1), in the order that is cheapest: see `in_order`.
fn at_least(group: Group, key: u32) -> u32 {
    if SIZE == 4u {
        return at_least_4(group.a, key) | (at_least_4(group.b, key) << 4u)
            | (at_least_4(group.c, key) << 8u) | (at_least_4(group.d, key) << 12u)
            | (at_least_4(group.e, key) << 16u) | (at_least_4(group.f, key) << 20u)
            | (at_least_4(group.g, key) << 24u) | (at_least_4(group.h, key) << 28u);
    }
    let lanes = select(0x01010101u, 0x00010001u, SIZE == 2u);
    let low = at_least_lanes(group.a, lanes, key) | (at_least_lanes(group.b, lanes, key) << 4u);
    if SIZE == 1u { return low; }
    return low | (at_least_lanes(group.c, lanes, key) << 8u) | (at_least_lanes(group.d, lanes, key) << 12u);
}

fn spread(half: u32) -> u32 {
    var x = half & 0xffffu;
    x = (x | (x << 8u)) & 0x00ff00ffu;
    x = (x | (x << 4u)) & 0x0f0f0f0fu;
    x = (x | (x << 2u)) & 0x33333333u;
    return (x | (x << 1u)) & 0x55555555u;
}

fn shuffle(bits: u32) -> u32 { return spread(bits) | (spread(bits >> 16u) << 1u); }

// Bits of `at_least` in the order of the weights. Its bit number is (lane, word); a perfect shuffle moves the number's
// top bit to the bottom, so one shuffle puts two lanes in place, and two put four.
fn in_order(bits: u32) -> u32 {
    if SIZE == 4u { return bits; }
    if SIZE == 2u { return shuffle(bits); }
    return shuffle(shuffle(bits));
}

fn tally_4(q: vec4u, key: u32) -> vec4u { return select(vec4u(0u), vec4u(1u), from_4(q, key)); }
fn tally_2(q: vec4u, key: u32) -> vec4u {
    return (((q | vec4u(0x80008000u)) - vec4u(key * 0x00010001u)) >> vec4u(15u)) & vec4u(0x00010001u);
}
fn tally_1(q: vec4u, key: u32) -> vec4u {
    return (((q | vec4u(0x80808080u)) - vec4u(key * 0x01010101u)) >> vec4u(7u)) & vec4u(0x01010101u);
}

// How many weights have keys of at least `key`, in a form that is cheap to add up: at most 4,095 times for weights of
// 16 and 8 bits, of which two lanes are counted apart. `tallied` turns the sum into the count.
fn tally(group: Group, key: u32) -> u32 {
    var t: vec4u;
    if SIZE == 4u {
        t = tally_4(group.a, key) + tally_4(group.b, key) + tally_4(group.c, key) + tally_4(group.d, key)
            + tally_4(group.e, key) + tally_4(group.f, key) + tally_4(group.g, key) + tally_4(group.h, key);
    } else if SIZE == 2u {
        t = tally_2(group.a, key) + tally_2(group.b, key) + tally_2(group.c, key) + tally_2(group.d, key);
    } else {
        t = tally_1(group.a, key) + tally_1(group.b, key);
    }
    let sum = t.x + t.y + t.z + t.w;
    if SIZE == 1u { return (sum & 0x00ff00ffu) + ((sum >> 8u) & 0x00ff00ffu); }
    return sum;
}

fn tallied(sum: u32) -> u32 { return select((sum & 0xffffu) + (sum >> 16u), sum, SIZE == 4u); }

fn inside_4(q: vec4u, low: u32, keys: u32) -> u32 {
    let b = select(vec4u(0u), vec4u(1u, 2u, 4u, 8u), q - vec4u(low) < vec4u(keys));
    return b.x | b.y | b.z | b.w;
}

fn inside_lanes(q: vec4u, lanes: u32, low: u32, high: u32) -> u32 {
    let signed = q | vec4u(lanes << (8u * SIZE - 1u));
    // Both differences have the sign bit where the key is above both ends, neither where it is below both.
    let b = (((signed - vec4u(low * lanes)) ^ (signed - vec4u(high * lanes))) >> vec4u(8u * SIZE - 1u)) & vec4u(lanes);
    return b.x | (b.y << 1u) | (b.z << 2u) | (b.w << 3u);
}

// One bit per weight whose key is at least `low` and below `high`, in the order of `at_least`.
fn inside(group: Group, low: u32, high: u32) -> u32 {
    if SIZE == 4u {
        let keys = high - low;
        return inside_4(group.a, low, keys) | (inside_4(group.b, low, keys) << 4u)
            | (inside_4(group.c, low, keys) << 8u) | (inside_4(group.d, low, keys) << 12u)
            | (inside_4(group.e, low, keys) << 16u) | (inside_4(group.f, low, keys) << 20u)
            | (inside_4(group.g, low, keys) << 24u) | (inside_4(group.h, low, keys) << 28u);
    }
    let lanes = select(0x01010101u, 0x00010001u, SIZE == 2u);
    let bits = inside_lanes(group.a, lanes, low, high) | (inside_lanes(group.b, lanes, low, high) << 4u);
    if SIZE == 1u { return bits; }
    return bits | (inside_lanes(group.c, lanes, low, high) << 8u) | (inside_lanes(group.d, lanes, low, high) << 12u);
}

// Which weight of the group bit `b` of `at_least` stands for.
fn weight_of_bit(b: u32) -> u32 {
    if SIZE == 4u { return b; }
    if SIZE == 2u { return 2u * (b & 15u) + (b >> 4u); }
    return 4u * (b & 7u) + (b >> 3u);
}

// One weight without its sign, by its element number in the binding: its key, where SIZE is STORED.
fn key_at(element: u32) -> u32 {
    let byte = element * STORED;
    return (words[byte >> 2u] >> (8u * (byte & 3u))) & (0xffffffffu >> (33u - 8u * STORED));
}

// One more than the largest key.
fn key_limit() -> u32 { return 1u << (8u * SIZE - 1u); }

// Number of a workgroup in a grid folded to two dimensions.
fn linear(workgroup: vec3u, count: vec3u) -> u32 { return workgroup.y * count.x + workgroup.x; }
