// Prunes the k smallest of each row, a workgroup for each: what `row.wgsl` does, for GPUs, which take long over many comparisons
// of each weight.
//
// 16 weights for each thread, a sample, say between which two keys the k-th smallest lies, give or take 2.5 standard errors.
// One pass over the row counts what is below these, and puts what is between into bins in workgroup memory. The bin that
// holds the k-th is one key, or becomes the next window: then the keys are few and in a list, and the row is not read again.
// Where the sample was wrong, the window becomes the side on which the k-th is, so the search always ends with the cut. A last
// pass writes the mask; words with ties at the cut are listed, and written once it is known how many ties lie before them.

override WORKGROUP: u32 = 64u; // a power of two, at most 128

const BINS: u32 = 1024u;
const SLOTS: u32 = 1536u;
const ENTRIES: u32 = SLOTS / 3u;

var<workgroup> bins: array<atomic<u32>, BINS>;
var<workgroup> slots: array<u32, SLOTS>; // keys inside the window; then (word, what is above the cut, ties) of words with ties
var<workgroup> slotted: atomic<u32>;
var<workgroup> sum: atomic<u32>;
var<workgroup> through: array<u32, 128>;
var<workgroup> sampled: array<vec4u, 128>;
var<workgroup> next: Search;

// Where the k-th smallest is looked for: keys `low` to below `high`, and, once `low` is the cut, how many ties at it go.
struct Search { low: u32, high: u32, go: u32, found: u32 }

fn pivot(start: u32, step: u32, j: u32) -> u32 { return min(start + j * step, key_limit() - 1u); }

// How many of a thread's 16 have keys of at least that.
fn tally_16(group: Group, key: u32) -> u32 {
    var t: vec4u;
    if SIZE == 4u {
        t = tally_4(group.a, key) + tally_4(group.b, key) + tally_4(group.c, key) + tally_4(group.d, key);
        return t.x + t.y + t.z + t.w;
    }
    if SIZE == 2u {
        t = tally_2(group.a, key) + tally_2(group.b, key);
        let both = t.x + t.y + t.z + t.w;
        return (both & 0xffffu) + (both >> 16u);
    }
    t = tally_1(group.a, key);
    let four = t.x + t.y + t.z + t.w;
    let two = (four & 0x00ff00ffu) + ((four >> 8u) & 0x00ff00ffu);
    return (two & 0xffffu) + (two >> 16u);
}

// Of the sample, how many have keys below each of 8 pivots: two in a number.
fn sample_below(group: Group, local: u32, start: u32, step: u32) -> vec4u {
    let low = vec4u(tally_16(group, pivot(start, step, 0u)), tally_16(group, pivot(start, step, 1u)),
        tally_16(group, pivot(start, step, 2u)), tally_16(group, pivot(start, step, 3u)));
    let high = vec4u(tally_16(group, pivot(start, step, 4u)), tally_16(group, pivot(start, step, 5u)),
        tally_16(group, pivot(start, step, 6u)), tally_16(group, pivot(start, step, 7u)));
    sampled[local] = low | (high << vec4u(16u));
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        if local < half { sampled[local] += sampled[local + half]; }
        workgroupBarrier();
    }
    return vec4u(16u * WORKGROUP * 0x10001u) - workgroupUniformLoad(&sampled[0]);
}

struct Guess { low: u32, high: u32, below: f32, until: f32 }

fn enclose_by(within: Guess, key: u32, below: u32, low_rank: f32, high_rank: f32) -> Guess {
    var guess = within;
    if f32(below) <= low_rank && key > guess.low {
        guess.low = key;
        guess.below = f32(below);
    }
    if f32(below) >= high_rank && key < guess.high {
        guess.high = key;
        guess.until = f32(below);
    }
    return guess;
}

fn guess(row: u32, local: u32) -> Guess {
    let group = keys_of(row, local * view.groups_per_row / WORKGROUP).group;
    let taken = f32(16u * WORKGROUP);
    let share = f32(rule.k) / f32(view.cols);
    let margin = 2.5 * sqrt(taken * share * (1.0 - share)) + 1.0;
    let low = share * taken - margin;
    let high = share * taken + margin;
    // About the matrix's window at first, and as far to both sides as rows may differ.
    let least = max(window.low, rule.spread / 2u + 1u) - rule.spread / 2u;
    let most = min(window.low + (window.bins << window.shift) + rule.spread / 2u, key_limit());
    var found = Guess(0u, key_limit(), 0.0, taken);
    var step = max((max(most, least) - least) / 8u, 1u);
    var start = least + step / 2u;
    for (var round = 0u; round < 4u; round++) {
        let below = sample_below(group, local, start, step);
        for (var j = 0u; j < 4u; j++) {
            found = enclose_by(found, pivot(start, step, j), below[j] & 0xffffu, low, high);
            found = enclose_by(found, pivot(start, step, j + 4u), below[j] >> 16u, low, high);
        }
        if found.high - found.low <= 8u || found.until - found.below <= 6.0 * margin { break; }
        step = max((found.high - found.low) / 9u, 1u);
        start = found.low + step;
    }
    return found;
}

fn shift_of(keys: u32) -> u32 {
    let bits = 32u - countLeadingZeros(keys - 1u); // of the largest
    return max(bits, 10u) - 10u;
}

fn put(key: u32, low: u32, shift: u32) { atomicAdd(&bins[(key - low) >> shift], 1u); }

// Counts what lies in the window, from the row or, once `listed` keys are at hand, from these. Gives how many do not lie below
// it; in a list nothing does.
fn count(row: u32, local: u32, at: Search, listed: u32) -> u32 {
    let shift = shift_of(at.high - at.low);
    let used = ((at.high - at.low - 1u) >> shift) + 1u;
    for (var b = local; b < used; b += WORKGROUP) { atomicStore(&bins[b], 0u); }
    if local == 0u {
        atomicStore(&sum, 0u);
        if listed == 0u { atomicStore(&slotted, 0u); }
    }
    workgroupBarrier();
    var reached = 0u;
    if listed > 0u {
        for (var i = local; i < listed; i += WORKGROUP) {
            let key = slots[i];
            reached += select(0u, 1u, key >= at.low);
            if key >= at.low && key < at.high { put(key, at.low, shift); }
        }
    } else {
        for (var w = local; w < view.groups_per_row; w += WORKGROUP) {
            let group = keys_of(row, w).group;
            let here = reach(group, at.low);
            reached += countOneBits(here);
            var left = here & ~reach(group, at.high);
            while left != 0u {
                let bit = firstTrailingBit(left);
                left &= left - 1u;
                let key = key_of(row, 32u * w + weight_of_bit(bit));
                put(key, at.low, shift);
                // Bins of one key need no list.
                if shift > 0u {
                    let slot = atomicAdd(&slotted, 1u);
                    if slot < SLOTS { slots[slot] = key; }
                }
            }
        }
    }
    atomicAdd(&sum, reached);
    workgroupBarrier();
    return atomicLoad(&sum);
}

// The bin of the `rank`-th key in the window: what is found, or where to look next.
fn choose(local: u32, at: Search, rank: u32) {
    let shift = shift_of(at.high - at.low);
    let used = ((at.high - at.low - 1u) >> shift) + 1u;
    let per = (used + WORKGROUP - 1u) / WORKGROUP;
    let begin = min(local * per, used);
    let end = min(begin + per, used);
    var mine = 0u;
    for (var b = begin; b < end; b++) { mine += atomicLoad(&bins[b]); }
    through[local] = mine;
    workgroupBarrier();
    for (var by = 1u; by < WORKGROUP; by *= 2u) {
        var more = 0u;
        if local >= by { more = through[local - by]; }
        workgroupBarrier();
        through[local] += more;
        workgroupBarrier();
    }
    var before = through[local] - mine;
    if rank > through[WORKGROUP - 1u] {
        if local == 0u { next = Search(at.high, key_limit(), 0u, 0u); }
    } else if before < rank && rank <= before + mine {
        var b = begin;
        loop {
            let here = atomicLoad(&bins[b]);
            if rank <= before + here { break; }
            before += here;
            b += 1u;
        }
        let low = at.low + (b << shift);
        next = Search(low, min(low + (1u << shift), at.high), rank - before, select(0u, 1u, shift == 0u));
    }
}

fn search(row: u32, local: u32) -> Search {
    let about = guess(row, local);
    // Zeros are in no bin: they are what is below key 1.
    if local == 0u { next = Search(max(about.low, 1u), max(about.high, 2u), 0u, 0u); }
    var listed = 0u;
    var passed = 0u; // keys below all that is listed
    loop {
        let at = workgroupUniformLoad(&next);
        if at.found != 0u { break; }
        let reached = count(row, local, at, listed);
        let below = select(view.cols, passed + listed, listed > 0u) - reached;
        if rule.k <= below {
            // The sample was wrong, or the k-th is a zero.
            if local == 0u { next = Search(select(1u, 0u, at.low == 1u), at.low, rule.k, select(0u, 1u, at.low == 1u)); }
        } else {
            choose(local, at, rule.k - below);
        }
        workgroupBarrier();
        let all = atomicLoad(&slotted);
        // All that was in a window in which the k-th is.
        let kept = workgroupUniformLoad(&next);
        if listed == 0u && kept.low >= at.low && kept.high <= at.high && all > 0u && all <= SLOTS {
            listed = all;
            passed = below;
        }
    }
    return workgroupUniformLoad(&next);
}

// A thread's share of what was found.
struct Done { nonzero: u32, doubt: bool }

fn prune(row: u32, local: u32) -> Done {
    // Of key 0 none goes.
    var cut = Search(0u, 0u, 0u, 1u);
    if rule.k > 0u { cut = search(row, local); }
    if local == 0u { atomicStore(&slotted, 0u); }
    workgroupBarrier();
    var done = Done(0u, false);
    for (var w = local; w < view.groups_per_row; w += WORKGROUP) {
        let keys = keys_of(row, w);
        let real = 0xffffffffu >> (32u - count_in_row(w));
        done.doubt |= keys.doubt;
        done.nonzero += nonzero_in(keys.group);
        let above = in_order(reach(keys.group, cut.low + 1u));
        let ties = in_order(reach(keys.group, cut.low)) & real & ~above;
        if ties == 0u || cut.go == 0u {
            mask[row * view.groups_per_row + w] = above | ties;
        } else {
            let slot = atomicAdd(&slotted, 1u);
            if slot < ENTRIES {
                slots[3u * slot] = w;
                slots[3u * slot + 1u] = above;
                slots[3u * slot + 2u] = ties;
            }
        }
    }
    workgroupBarrier();
    if local == 0u { next = Search(atomicLoad(&slotted), 0u, 0u, 0u); }
    let entries = workgroupUniformLoad(&next).low;
    if entries <= ENTRIES {
        for (var e = local; e < entries; e += WORKGROUP) {
            let w = slots[3u * e];
            var go = cut.go;
            for (var other = 0u; other < entries && go > 0u; other++) {
                if slots[3u * other] < w { go -= min(go, countOneBits(slots[3u * other + 2u])); }
            }
            write_split(row, w, slots[3u * e + 1u], slots[3u * e + 2u], go);
        }
    } else {
        split_all(row, local, cut);
    }
    return done;
}

// A word of which the first `go` ties go.
fn write_split(row: u32, w: u32, above: u32, ties: u32, go: u32) {
    var stay = ties;
    if go >= countOneBits(ties) { stay = 0u; }
    for (var i = 0u; i < go && stay != 0u; i++) { stay &= stay - 1u; }
    mask[row * view.groups_per_row + w] = above | stay;
}

fn ties_of(row: u32, w: u32, key: u32) -> vec2u {
    let group = keys_of(row, w).group;
    let above = in_order(reach(group, key + 1u));
    let real = 0xffffffffu >> (32u - count_in_row(w));
    return vec2u(above, in_order(reach(group, key)) & real & ~above);
}

// Where more words have ties than can be listed: each thread takes a stretch of the row, knowing how many ties lie before it.
fn split_all(row: u32, local: u32, cut: Search) {
    let per = (view.groups_per_row + WORKGROUP - 1u) / WORKGROUP;
    let begin = min(local * per, view.groups_per_row);
    let end = min(begin + per, view.groups_per_row);
    var mine = 0u;
    for (var w = begin; w < end; w++) { mine += countOneBits(ties_of(row, w, cut.low).y); }
    through[local] = mine;
    workgroupBarrier();
    var go = cut.go;
    for (var t = 0u; t < local; t++) { go -= min(go, through[t]); }
    for (var w = begin; w < end; w++) {
        let bits = ties_of(row, w, cut.low);
        if bits.y != 0u { write_split(row, w, bits.x, bits.y, go); }
        go -= min(go, countOneBits(bits.y));
    }
}
