// Finds the cut in the counts of `histogram.wgsl`: the key of the k-th smallest weight, and how many ties at it go.
//
// One workgroup. Sums the copies, scans the bins, and takes the one step that the counts allow:
// - the cut's bin is one key wide: the cut is known;
// - it is wider: the window becomes that bin, and the next round counts it finely;
// - the cut lies outside the window: the window becomes that side, whole.
// So a fixed number of rounds (`kernels::rounds`, two to four) always ends with the cut, without the
// host reading anything back; rounds that are not needed return at once.

override THREADS: u32 = 256u; // at most 256
override CAPACITY: u32 = 16384u;
override LIMIT: u32 = 0x80000000u; // one more than the largest key

struct Quota {
    weights: u32,  // in the whole matrix
    k: u32,        // how many go; FIXED: all up to the key the window starts at
    spare0: u32,
    spare1: u32,
}

@group(0) @binding(0) var<uniform> quota: Quota;
@group(0) @binding(1) var<storage, read_write> window: Window;
@group(0) @binding(2) var<storage, read_write> counts: array<vec4u>; // left cleared
@group(0) @binding(3) var<storage, read_write> cut: Cut;

const FIXED: u32 = 0xffffffffu;
const TILE: u32 = 2048u;

var<workgroup> sums: array<u32, 256>;
var<workgroup> heads: array<vec2u, 64>;
var<workgroup> rule: Window; // as it was on entry

// Counts of bins 4 * q to 4 * q + 3.
fn bins_of(q: u32, quads: u32, copies: u32) -> vec4u {
    var sum = counts[HEADS / 2u + q];
    for (var c = 1u; c < copies; c++) { sum += counts[HEADS / 2u + c * quads + q]; }
    return sum;
}

fn narrow(low: u32, keys: u32) {
    var shift = 0u;
    while ((keys - 1u) >> shift) >= CAPACITY { shift += 1u; }
    window = Window(low, shift, ((keys - 1u) >> shift) + 1u, 0u);
}

fn found(key: u32, ties: u32, go: u32, zeros: u32, pruned: u32) {
    // Ties are spread evenly if nothing is known of them, so the boundary is guessed at their share.
    let boundary = f32(quota.weights) * (f32(go) / f32(max(ties, 1u)));
    cut = Cut(key, ties, go, zeros, vec2u(go, 0u), vec2u(ties, 0u), vec2u(quota.weights, 0u), u32(boundary) / TILE, pruned);
    window.done = 1u;
}

// What is counted of all weights: those that are zero, those below the window, and those below its end.
struct Counted { zeros: u32, below: u32, total: u32 }

// What needs no look into the bins, by the first thread; whether it was that.
fn decide_outside(local: u32, now: Window, counted: Counted) -> bool {
    let zeros = counted.zeros;
    if quota.k == 0u {
        if local == 0u { found(0u, zeros, 0u, zeros, 0u); }
        return true;
    }
    if quota.k == FIXED {
        if local == 0u {
            let inside = counted.total - counted.below;
            found(now.low, inside, inside, zeros, counted.total);
            window.done = 0u; // the window is the rule's, and may be counted again
        }
        return true;
    }
    if quota.k <= counted.below {
        if local == 0u { narrow(0u, now.low); }
        return true;
    }
    if quota.k > counted.total {
        let high = now.low + (now.bins << now.shift);
        if local == 0u { narrow(high, LIMIT - high); }
        return true;
    }
    return false;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) local: u32) {
    if local == 0u { rule = window; }
    let now = workgroupUniformLoad(&rule);
    if now.done != 0u { return; }

    if local < HEADS {
        let pair = counts[local / 2u];
        heads[local] = select(pair.xy, pair.zw, local % 2u == 1u);
    }
    let quads = pitch(now.bins) / 4u;
    let copied = copies(now.bins);
    let per = (quads + THREADS - 1u) / THREADS;
    let begin = min(local * per, quads);
    let end = min(begin + per, quads);
    var sum = vec4u(0u);
    for (var q = begin; q < end; q++) { sum += bins_of(q, quads, copied); }
    let mine = sum.x + sum.y + sum.z + sum.w;
    sums[local] = mine;
    workgroupBarrier();

    var reached = 0u;
    var nonzero = 0u;
    for (var h = 0u; h < HEADS; h++) {
        reached += heads[h].x;
        nonzero += heads[h].y;
    }
    let zeros = quota.weights - nonzero;
    // `reached` counts non-zero keys; a window that starts at 0 holds the zeros too, in its first bin.
    let below = select(quota.weights - reached, 0u, now.low == 0u);
    var before = below + select(0u, zeros, now.low == 0u && local > 0u);
    var total = below + select(0u, zeros, now.low == 0u);
    for (var t = 0u; t < THREADS; t++) {
        if t < local { before += sums[t]; }
        total += sums[t];
    }
    let decided = decide_outside(local, now, Counted(zeros, below, total));
    if !decided && before < quota.k && quota.k <= before + mine + select(0u, zeros, now.low == 0u && local == 0u) {
        // Only one thread holds the bin.
        for (var q = begin; q < end; q++) {
            let four = bins_of(q, quads, copied);
            for (var j = 0u; j < 4u; j++) {
                let b = 4u * q + j;
                let here = four[j] + select(0u, zeros, now.low == 0u && b == 0u);
                if before < quota.k && quota.k <= before + here {
                    let low = now.low + (b << now.shift);
                    if now.shift == 0u { found(low, here, quota.k - before, zeros, quota.k); } else { narrow(low, 1u << now.shift); }
                }
                before += here;
            }
        }
    }

    // All counts have been read.
    storageBarrier();
    workgroupBarrier();
    for (var i = local; i < HEADS / 2u + copied * quads; i += THREADS) { counts[i] = vec4u(0u); }
}
