// Keys that are scores: a weight's magnitude times the scale of its column, as the bits of an f32 (Wanda's score), made where they
// are read, so that they are never in memory. In the place of `keys.wgsl`, behind `weights.wgsl`, `value.wgsl`, `product.wgsl` and
// one of `scales_storage.wgsl` and `scales_lent.wgsl`; SIZE is 4, and STORED the bytes of a weight.
//
// An adapter's product may be another than the one correctly rounded where something is subnormal or not finite. Kernels go on
// as if that never were, are told of it as `doubt`, and are run once more for such rows with EXACT, which hardly ever happens.

override EXACT: bool = false; // where there is doubt, integers make the product

// Scales of columns 4 j to 4 j + 3; any in place of those past the last.
fn scales_of(j: u32) -> vec4u {
    if TAIL { return scale_quad(min(j, (view.cols - 1u) / 4u)); }
    return scale_quad(j);
}

struct Keys { group: Group, doubt: bool }

// Four keys, and what there is to doubt of them: the smallest that is no zero of zeros, the largest with what it is made of.
struct Scored { keys: vec4u, low: vec4u, high: vec4u }

fn scored(weights: vec4u, by: vec4u, j: u32, count: u32) -> Scored {
    let magnitudes = cut_short(values(weights), j, count);
    let keys = cut_short(products(magnitudes, by), j, count);
    let low = select(keys, vec4u(INFINITY), min(magnitudes, by) == vec4u(0u));
    return Scored(keys, low, max(magnitudes, keys));
}

fn worse(a: Scored, b: Scored) -> Scored { return Scored(a.keys, min(a.low, b.low), max(a.high, b.high)); }

// The first and the second four weights in 16 bytes of those of 16 bits, and four of 8 bits in a word.
fn first_halves(q: vec4u) -> vec4u { return vec4u(q.x, q.x >> 16u, q.y, q.y >> 16u) & vec4u(0x7fffu); }
fn last_halves(q: vec4u) -> vec4u { return first_halves(q.zwzw); }
fn bytes_of(word: u32) -> vec4u { return (vec4u(word) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(0x7fu); }

// Weights 4 j to 4 j + 3 behind weight `first`, without signs.
fn four_weights(first: u32, j: u32) -> vec4u {
    if STORED == 4u { return stored_quad(first, j) & vec4u(0x7fffffffu); }
    if STORED == 2u {
        let q = stored_quad(first, j / 2u);
        return first_halves(select(q, q.zwzw, (j & 1u) == 1u));
    }
    return bytes_of(stored_quad(first, j / 4u)[j & 3u]);
}

fn exact_quad(first: u32, scale: u32, j: u32, count: u32) -> vec4u {
    let a = values(four_weights(first, j));
    let b = scales_of(scale + j);
    return cut_short(vec4u(product(a.x, b.x), product(a.y, b.y), product(a.z, b.z), product(a.w, b.w)), j, count);
}

// Of the weights of group `w` of a row.
fn keys_of(row: u32, w: u32) -> Keys {
    let first = start_in_row(row, w);
    let count = count_in_row(w);
    let scale = 8u * w;
    var x: array<vec4u, 8>;
    if STORED == 2u {
        let p = stored_quad(first, 0u);
        let q = stored_quad(first, 1u);
        let r = stored_quad(first, 2u);
        let s = stored_quad(first, 3u);
        x = array(first_halves(p), last_halves(p), first_halves(q), last_halves(q),
            first_halves(r), last_halves(r), first_halves(s), last_halves(s));
    } else if STORED == 1u {
        let p = stored_quad(first, 0u);
        let q = stored_quad(first, 1u);
        x = array(bytes_of(p.x), bytes_of(p.y), bytes_of(p.z), bytes_of(p.w),
            bytes_of(q.x), bytes_of(q.y), bytes_of(q.z), bytes_of(q.w));
    } else {
        x = array(four_weights(first, 0u), four_weights(first, 1u), four_weights(first, 2u), four_weights(first, 3u),
            four_weights(first, 4u), four_weights(first, 5u), four_weights(first, 6u), four_weights(first, 7u));
    }
    let a = scored(x[0], scales_of(scale), 0u, count);
    let b = scored(x[1], scales_of(scale + 1u), 1u, count);
    let c = scored(x[2], scales_of(scale + 2u), 2u, count);
    let d = scored(x[3], scales_of(scale + 3u), 3u, count);
    let e = scored(x[4], scales_of(scale + 4u), 4u, count);
    let f = scored(x[5], scales_of(scale + 5u), 5u, count);
    let g = scored(x[6], scales_of(scale + 6u), 6u, count);
    let h = scored(x[7], scales_of(scale + 7u), 7u, count);
    var group = Group(a.keys, b.keys, c.keys, d.keys, e.keys, f.keys, g.keys, h.keys);
    let worst = worse(worse(worse(a, b), worse(c, d)), worse(worse(e, f), worse(g, h)));
    let doubt = any((worst.low < vec4u(2u * NORMAL)) | (worst.high >= vec4u(INFINITY)));
    if EXACT {
        for (var j = select(8u, 0u, doubt); j < 8u; j++) {
            let keys = exact_quad(first, scale, j, count);
            switch j {
                case 0u: { group.a = keys; }
                case 1u: { group.b = keys; }
                case 2u: { group.c = keys; }
                case 3u: { group.d = keys; }
                case 4u: { group.e = keys; }
                case 5u: { group.f = keys; }
                case 6u: { group.g = keys; }
                default: { group.h = keys; }
            }
        }
    }
    return Keys(group, doubt);
}

fn key_of(row: u32, col: u32) -> u32 {
    let a = value(key_at(view.first + row * view.stride + col));
    let b = scale_at(col);
    if EXACT { return product(a, b); }
    return products(vec4u(a), vec4u(b)).x & 0x7fffffffu;
}
