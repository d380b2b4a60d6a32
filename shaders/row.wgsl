// Prunes the k smallest of each row by itself: selection and mask in one kernel, one workgroup per row. `whole` does the
// same with all rows of a small matrix together, in one workgroup, and says where the cut is.
//
// Selection is a search by counting: each step compares the whole row (which stays in cache) with 8 pivots, in
// registers and without atomics, and keeps the interval between two of them that holds the k-th smallest key. The first
// pivots are spread over the interval that a sample of the matrix suggests, the following ones about the interpolated
// rank, and evenly at every third step and where interpolation has little to go by: 3 steps for a typical row of 16-bit
// weights, and never more than three times those of even ninefold division, whatever the values. For rows it ends early
// when a pivot has exactly k keys below; `whole` goes on to the cut itself.
// Bytes per weight: SIZE + 1/8 from memory, SIZE more per step from cache.

override WORKGROUP: u32 = 64u; // a power of two, at most 128
override WHOLE: bool = false;  // all rows compete: for entry point `whole`

@group(0) @binding(6) var<storage, read_write> cut_out: Cut; // for `whole`, which has no counters

var<workgroup> totals: array<array<vec4u, 2>, 128>;
var<workgroup> interval: Interval;
var<workgroup> ties: array<u32, 128>; // per thread

// Weights that compete, and the groups they lie in.
fn weights_in_unit() -> u32 {
    if WHOLE { return view.rows * view.cols; }
    return view.cols;
}

fn groups_in_unit() -> u32 {
    if WHOLE { return view.groups; }
    return view.groups_per_row;
}

fn keys_in_unit(row: u32, w: u32) -> Keys {
    if WHOLE { return Keys(load(start_of(w), count_of(w)), false); }
    return keys_of(row, w);
}

fn count_in_unit(w: u32) -> u32 {
    if WHOLE { return count_of(w); }
    return count_in_row(w);
}

fn pivot(start: u32, step: u32, j: u32, within: Interval) -> u32 {
    return clamp(start + j * step, within.low + 1u, within.high - 1u);
}

// Weights of the unit with keys of at least each of the 8 pivots, and all pairs of threads' sums folded into thread 0's.
fn count_unit(row: u32, local: u32, start: u32, step: u32, within: Interval) {
    var c = vec4u(0u);
    var d = vec4u(0u);
    let p = vec4u(pivot(start, step, 0u, within), pivot(start, step, 1u, within),
        pivot(start, step, 2u, within), pivot(start, step, 3u, within));
    let q = vec4u(pivot(start, step, 4u, within), pivot(start, step, 5u, within),
        pivot(start, step, 6u, within), pivot(start, step, 7u, within));
    totals[local][0] = vec4u(0u);
    totals[local][1] = vec4u(0u);
    // A thread's tallies must be folded before they overflow.
    for (var base = 0u; base < groups_in_unit(); base += 4095u * WORKGROUP) {
        let end = min(base + 4095u * WORKGROUP, groups_in_unit());
        for (var w = base + local; w < end; w += WORKGROUP) {
            let group = keys_in_unit(row, w).group;
            c += vec4u(tally(group, p.x), tally(group, p.y), tally(group, p.z), tally(group, p.w));
            d += vec4u(tally(group, q.x), tally(group, q.y), tally(group, q.z), tally(group, q.w));
        }
        totals[local][0] += vec4u(tallied(c.x), tallied(c.y), tallied(c.z), tallied(c.w));
        totals[local][1] += vec4u(tallied(d.x), tallied(d.y), tallied(d.z), tallied(d.w));
        c = vec4u(0u);
        d = vec4u(0u);
    }
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        if local < half {
            totals[local][0] += totals[local + half][0];
            totals[local][1] += totals[local + half][1];
        }
        workgroupBarrier();
    }
}

// Narrows the interval by one pivot that has `below` keys below it.
fn narrow(within: Interval, key: u32, below: u32) -> Interval {
    var next = within;
    if !WHOLE && below == rule.k {
        next = Interval(key - 1u, key, 0u, 0u); // exactly those below go: no ties to split
    } else if below < rule.k && key > within.low {
        next = Interval(key, within.high, below, within.until);
    } else if below >= rule.k && key < within.high {
        next = Interval(within.low, key, within.below, below);
    }
    return next;
}

fn search(row: u32, local: u32) -> Interval {
    if local == 0u { interval = Interval(0u, key_limit(), 0u, weights_in_unit()); }
    var step_number = 0u;
    loop {
        let now = workgroupUniformLoad(&interval);
        if now.high - now.low <= 1u { break; }
        let width = now.high - now.low;
        var step = max(width / 9u, 1u);
        var start = now.low + step;
        if step_number == 0u {
            let low = max(window.low, rule.spread / 2u) - rule.spread / 2u;
            let high = min(window.low + (window.bins << window.shift) + rule.spread / 2u, now.high);
            step = max((high - low) / 8u, 1u);
            start = low + step / 2u;
        } else if width > 9u && now.until - now.below > 16u && step_number % 3u != 0u {
            let share = f32(rule.k - now.below) / f32(now.until - now.below);
            step = max(width / 64u, 1u);
            let about = now.low + u32(f32(width) * share);
            start = max(about, now.low + 4u * step) - 4u * step + step / 2u;
        }
        count_unit(row, local, start, step, now);
        if local == 0u {
            var next = now;
            for (var j = 0u; j < 8u; j++) {
                let below = weights_in_unit() - totals[0][j / 4u][j % 4u];
                next = narrow(next, pivot(start, step, j, now), below);
                if !WHOLE && below == rule.k { break; }
            }
            interval = next;
        }
        step_number += 1u;
    }
    return workgroupUniformLoad(&interval);
}

// Ties among the weights of groups `begin` to `end`, if they are the keys from `low` to below `high`.
fn count_ties(row: u32, begin: u32, end: u32, low: u32, high: u32) -> u32 {
    var sum = 0u;
    for (var w = begin; w < end; w++) {
        let count = count_in_unit(w);
        let group = keys_in_unit(row, w).group;
        if TAIL {
            // Padding reads as zero, and must not look like a tie.
            sum += countOneBits(in_order(inside(group, low, high)) & (0xffffffffu >> (32u - count)));
        } else {
            sum += tallied(tally(group, low) - tally(group, high));
        }
    }
    return sum;
}

// A thread's share of what was found.
struct Done { cut: Interval, nonzero_before: u32, nonzero_after: u32, doubt: bool }

fn prune(row: u32, local: u32) -> Done {
    // Nothing below key 0 goes, everything below the limit does.
    var cut = Interval(0u, 0u, 0u, 0u);
    if rule.k > 0u { cut = search(row, local); }
    // Keys from `high` on stay; of those from `low` to there, `go` go, lowest index first. `until` = 0 says that all do.
    let split = cut.until != 0u;
    var go = select(0u, rule.k - cut.below, split);

    // Each thread takes a stretch of the unit, knowing how many ties lie before it.
    let per = (groups_in_unit() + WORKGROUP - 1u) / WORKGROUP;
    let begin = min(local * per, groups_in_unit());
    let end = min(begin + per, groups_in_unit());
    if split {
        ties[local] = count_ties(row, begin, end, cut.low, cut.high);
        workgroupBarrier();
        for (var t = 0u; t < local; t++) { go -= min(go, ties[t]); }
    }
    var nonzero_before = 0u;
    var nonzero_after = 0u;
    var doubt = false;
    for (var w = begin; w < end; w++) {
        let count = count_in_unit(w);
        let keys = keys_in_unit(row, w);
        let group = keys.group;
        doubt |= keys.doubt;
        let real = 0xffffffffu >> (32u - count);
        let nonzero_here = countOneBits(at_least(group, 1u));
        nonzero_before += nonzero_here;
        var kept = in_order(at_least(group, cut.high)) & real;
        nonzero_after += select(nonzero_here, countOneBits(kept), cut.high > 0u);
        if split {
            var stay = in_order(at_least(group, cut.low)) & real & ~kept;
            let here = countOneBits(stay);
            if here <= go { stay = 0u; } else { for (var i = 0u; i < go; i++) { stay &= stay - 1u; } }
            go -= min(go, here);
            kept |= stay;
            // At a cut of 0, what stays is a zero.
            if cut.low > 0u { nonzero_after += countOneBits(stay); }
        }
        mask[row * view.groups_per_row + w] = kept;
    }
    return Done(cut, nonzero_before, nonzero_after, doubt);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let row = linear(id, ids);
    if row >= view.rows { return; }
    let done = prune(row, local);
    atomicAdd(&nonzero[2u * (row % 64u)], done.nonzero_before);
    atomicAdd(&nonzero[2u * (row % 64u) + 1u], done.nonzero_after);
}

@compute @workgroup_size(WORKGROUP)
fn whole(@builtin(local_invocation_index) local: u32) {
    let done = prune(0u, local);
    workgroupBarrier();
    ties[local] = done.nonzero_before;
    workgroupBarrier();
    if local > 0u { return; }
    var zeros = weights_in_unit();
    for (var t = 0u; t < WORKGROUP; t++) { zeros -= ties[t]; }
    let go = rule.k - done.cut.below;
    if rule.k == 0u {
        cut_out = Cut(0u, zeros, 0u, zeros, vec2u(0u), vec2u(0u), vec2u(0u), 0u, 0u);
    } else {
        cut_out = Cut(done.cut.low, done.cut.until - done.cut.below, go, zeros, vec2u(0u), vec2u(0u), vec2u(0u), 0u, rule.k);
    }
}
