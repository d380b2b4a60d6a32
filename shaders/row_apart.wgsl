// Prunes the k smallest of each row, a thread for a row and no thread waiting for another: what `row.wgsl` does, for
// adapters whose threads are lanes of SIMD units on a CPU, where every barrier costs as much as a hundred weights. Lanes
// read rows apart from each other, which a GPU could not coalesce.
//
// A sample, every eighth group of the row, says between which two keys the k-th smallest lies, give or take 2.5 standard
// errors. One pass over the row counts what is below 8 keys in between, and others follow, each dividing what is left by 9
// or better, until that is one key or so few weights that they can be listed. A last pass writes the mask of all others, and
// lists these; then they are selected from the list. Exact whatever the sample says; 2 1/4 reads for a typical row, and at
// most three times the passes of even ninefold division for any.

override WORKGROUP: u32 = 8u;

const SLOTS: u32 = 240u; // 15 KiB for 8 threads
const EVERY: u32 = 8u;

struct Pivots { a: vec4u, b: vec4u }

var<workgroup> lists: array<array<vec2u, 8>, SLOTS>; // [slot][thread] key and column

// 8 keys from `start` on.
fn pivots(start: u32, step: u32, within: Interval) -> Pivots {
    let low = vec4u(within.low + 1u);
    let high = vec4u(within.high - 1u);
    let first = vec4u(start) + vec4u(step) * vec4u(0u, 1u, 2u, 3u);
    return Pivots(clamp(first, low, high), clamp(first + vec4u(4u * step), low, high));
}

fn even_pivots(within: Interval) -> Pivots {
    let step = max((within.high - within.low) / 9u, 1u);
    return pivots(within.low + step, step, within);
}

fn narrow_by(within: Interval, key: u32, below: u32) -> Interval {
    var next = within;
    if below < rule.k && key > next.low {
        next.low = key;
        next.below = below;
    }
    if below >= rule.k && key < next.high {
        next.high = key;
        next.until = below;
    }
    // Exactly those below go: no ties to split.
    if below == rule.k { next.low = next.high; }
    return next;
}

fn narrow(within: Interval, p: Pivots, below: Pivots) -> Interval {
    var next = narrow_by(within, p.a.x, below.a.x);
    next = narrow_by(next, p.a.y, below.a.y);
    next = narrow_by(next, p.a.z, below.a.z);
    next = narrow_by(next, p.a.w, below.a.w);
    next = narrow_by(next, p.b.x, below.b.x);
    next = narrow_by(next, p.b.y, below.b.y);
    next = narrow_by(next, p.b.z, below.b.z);
    return narrow_by(next, p.b.w, below.b.w);
}

// Of every `every`-th group of a row, up to group `end`: how many weights have keys below each pivot.
fn count(row: u32, end: u32, every: u32, weights: u32, p: Pivots) -> Pivots {
    var a = vec4u(0u);
    var b = vec4u(0u);
    for (var w = 0u; w < end; w += every) {
        let group = keys_of(row, w).group;
        a += vec4u(tally(group, p.a.x), tally(group, p.a.y), tally(group, p.a.z), tally(group, p.a.w));
        b += vec4u(tally(group, p.b.x), tally(group, p.b.y), tally(group, p.b.z), tally(group, p.b.w));
    }
    a = vec4u(tallied(a.x), tallied(a.y), tallied(a.z), tallied(a.w));
    b = vec4u(tallied(b.x), tallied(b.y), tallied(b.z), tallied(b.w));
    return Pivots(vec4u(weights) - a, vec4u(weights) - b);
}

// Where a sample's ranks are, and not outside of it.
struct Guess { low: u32, high: u32, below: f32, until: f32 }

fn enclose_by(within: Guess, key: u32, below: u32, low_rank: f32, high_rank: f32) -> Guess {
    var next = within;
    if f32(below) <= low_rank && key > next.low {
        next.low = key;
        next.below = f32(below);
    }
    if f32(below) >= high_rank && key < next.high {
        next.high = key;
        next.until = f32(below);
    }
    return next;
}

fn guess(row: u32) -> Guess {
    let groups = view.cols / 32u / EVERY;
    let taken = f32(32u * groups);
    let share = f32(rule.k) / f32(view.cols);
    let margin = 2.5 * sqrt(taken * share * (1.0 - share)) + 1.0;
    let low = share * taken - margin;
    let high = share * taken + margin;
    // About the matrix's window at first, and as far to both sides as rows may differ.
    let least = max(window.low, rule.spread / 2u) - rule.spread / 2u;
    let most = min(window.low + (window.bins << window.shift) + rule.spread / 2u, key_limit());
    var found = Guess(0u, key_limit(), 0.0, taken);
    if groups < 4u { return Guess(least, most, 0.0, 0.0); }
    var p = pivots(least + (most - least) / 16u, max((most - least) / 8u, 1u), Interval(0u, key_limit(), 0u, 0u));
    for (var step = 0u; step < 4u && found.high - found.low > 8u && found.until - found.below > 3.0 * margin; step++) {
        let below = count(row, groups * EVERY, EVERY, 32u * groups, p);
        found = enclose_by(found, p.a.x, below.a.x, low, high);
        found = enclose_by(found, p.a.y, below.a.y, low, high);
        found = enclose_by(found, p.a.z, below.a.z, low, high);
        found = enclose_by(found, p.a.w, below.a.w, low, high);
        found = enclose_by(found, p.b.x, below.b.x, low, high);
        found = enclose_by(found, p.b.y, below.b.y, low, high);
        found = enclose_by(found, p.b.z, below.b.z, low, high);
        found = enclose_by(found, p.b.w, below.b.w, low, high);
        p = even_pivots(Interval(found.low, found.high, 0u, 0u));
    }
    return found;
}

// One key, none, or as few weights as can be listed.
fn search(row: u32) -> Interval {
    var now = Interval(0u, key_limit(), 0u, view.cols);
    let about = guess(row);
    var p = pivots(about.low, max((about.high - about.low) / 7u, 1u), now);
    for (var step = 1u; now.high - now.low > 1u && now.until - now.below > SLOTS; step++) {
        now = narrow(now, p, count(row, view.groups_per_row, 1u, view.cols, p));
        p = even_pivots(now);
        if step % 3u != 0u && now.high - now.low > 9u {
            let share = f32(rule.k - now.below) / f32(now.until - now.below);
            let by = max((now.high - now.low) / 64u, 1u);
            let middle = now.low + u32(f32(now.high - now.low) * share);
            p = pivots(max(middle, now.low + 4u * by) - 4u * by + by / 2u, by, now);
        }
    }
    return now;
}

// The cut among what is listed, and how many of its ties go.
fn select_listed(local: u32, listed: u32, within: Interval) -> vec2u {
    var now = within;
    while now.high - now.low > 1u {
        let p = even_pivots(now);
        var a = vec4u(0u);
        var b = vec4u(0u);
        for (var i = 0u; i < listed; i++) {
            let key = vec4i(i32(lists[i][local].x));
            a += select(vec4u(0u), vec4u(1u), key < bitcast<vec4i>(p.a));
            b += select(vec4u(0u), vec4u(1u), key < bitcast<vec4i>(p.b));
        }
        now = narrow(now, p, Pivots(a + vec4u(within.below), b + vec4u(within.below)));
    }
    return vec2u(now.low, select(rule.k - now.below, 0u, now.low == now.high));
}

// A row's share of what was found: weights whose keys are not zero, and whether any key is in doubt.
struct Done { full: u32, doubt: bool }

fn prune(row: u32, local: u32) -> Done {
    var cut = Interval(0u, 0u, 0u, 0u);
    if rule.k > 0u { cut = search(row); }
    let list = cut.high - cut.low > 1u;
    // Of one key, so many go, lowest column first.
    var go = select(rule.k - cut.below, 0u, list || cut.low == cut.high);
    var listed = 0u;
    var done = Done(0u, false);
    for (var w = 0u; w < view.groups_per_row; w++) {
        let count = count_in_row(w);
        let real = 0xffffffffu >> (32u - count);
        let keys = keys_of(row, w);
        done.doubt |= keys.doubt;
        done.full += tally(keys.group, 1u);
        var kept = in_order(at_least(keys.group, cut.high)) & real;
        var between = in_order(at_least(keys.group, cut.low)) & real & ~kept;
        for (var bits = select(0u, between, list); bits != 0u; bits &= bits - 1u) {
            let col = 32u * w + firstTrailingBit(bits);
            lists[listed][local] = vec2u(key_of(row, col), col);
            listed += 1u;
        }
        between = select(between, 0u, list);
        let here = countOneBits(between);
        // All of them, or the first few: once in a row, and so few turns of a loop.
        between = select(between, 0u, go >= here);
        for (var i = select(go, 0u, go >= here); i > 0u; i--) { between &= between - 1u; }
        go -= min(go, here);
        mask[row * view.groups_per_row + w] = kept | between;
    }
    let found = select_listed(local, listed, cut);
    go = found.y;
    for (var i = 0u; i < listed; i++) {
        let entry = lists[i][local];
        let tie = entry.x == found.x;
        if entry.x > found.x || (tie && go == 0u) {
            mask[row * view.groups_per_row + entry.y / 32u] |= 1u << (entry.y & 31u);
        }
        go -= select(0u, 1u, tie && go > 0u);
    }
    done.full = tallied(done.full);
    return done;
}
