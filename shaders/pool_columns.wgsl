// Part of `pool.wgsl`: columns of many weights, on GPUs. Neighbouring threads read neighbouring words of a row, 64 bytes side by
// side; what they find is added in the one order that there is.
//
// `columns` has 64 sums for each, as `wide` has: a thread takes four of the eight of a stretch, as one vector.
// `short_columns` has one sum, down all rows: all threads read and square, and one for each column adds what they put into
// workgroup memory.

override BY_WORD: bool = true; // every row starts on 4 bytes
override PER: u32 = 4u / SIZE; // columns in a word

const ACROSS: u32 = 16u; // words side by side
const PARTS: u32 = 16u;  // threads that share them

var<workgroup> column_sums: array<vec4f, 256>;
var<workgroup> column_largest: array<u32, 256>;

// A sum for each column of a word.
struct Columns { a: Sum, b: Sum, c: Sum, d: Sum }

// Where a workgroup reads.
struct Place { down: u32, row: u32, rows: u32, word: u32, exists: bool }

fn place_of(workgroup: u32, local: u32) -> Place {
    let down = workgroup / rule.parts;
    let row = down * rule.rows;
    let all = (view.cols + PER - 1u) / PER;
    let word = (workgroup - down * rule.parts) * ACROSS + local % ACROSS;
    return Place(down, row, min(rule.rows, view.rows - min(row, view.rows)), min(word, all - 1u), word < all);
}

// A word of a row, with PER columns.
fn word_at(row: u32, word: u32) -> u32 {
    let byte = (view.first + row * view.stride) * SIZE + 4u * word;
    let at = byte >> 2u;
    if BY_WORD { return words[at]; }
    let shift = 8u * (byte & 3u);
    return (words[at] >> shift) | ((words[min(at + 1u, arrayLength(&words) - 1u)] << 1u) << (31u - shift));
}

// The same word of rows `row`, `row + by`, …
fn words_at(row: u32, by: u32, word: u32) -> vec4u {
    return vec4u(word_at(row, word), word_at(row + by, word), word_at(row + 2u * by, word), word_at(row + 3u * by, word));
}

// The same, and zeros for rows from `end` on.
fn words_before(place: Place, row: u32, by: u32, end: u32) -> vec4u {
    let rows = vec4u(row) + vec4u(by) * vec4u(0u, 1u, 2u, 3u);
    let at = vec4u(place.row) + min(rows, vec4u(place.rows - 1u));
    let four = vec4u(word_at(at.x, place.word), word_at(at.y, place.word), word_at(at.z, place.word),
        word_at(at.w, place.word));
    return select(vec4u(0u), four, rows < vec4u(end));
}

// Keys of column `c` of a word.
fn column_of(four: vec4u, c: u32) -> vec4u {
    if SIZE == 4u { return four & vec4u(0x7fffffffu); }
    if SIZE == 2u { return (four >> vec4u(16u * c)) & vec4u(0x7fffu); }
    return (four >> vec4u(8u * c)) & vec4u(0x7fu);
}

fn add_words(columns: Columns, four: vec4u) -> Columns {
    var next = columns;
    next.a = add(next.a, column_of(four, 0u));
    if SIZE < 4u { next.b = add(next.b, column_of(four, 1u)); }
    if SIZE < 2u {
        next.c = add(next.c, column_of(four, 2u));
        next.d = add(next.d, column_of(four, 3u));
    }
    return next;
}

fn sum_of(columns: Columns, c: u32) -> Sum {
    if c == 0u { return columns.a; }
    if c == 1u { return columns.b; }
    if c == 2u { return columns.c; }
    return columns.d;
}

fn share_of(rows: u32) -> f32 { return select(rule.shares.x, rule.shares.z, rows < rule.rows); }

@compute @workgroup_size(256)
fn columns(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let place = place_of(linear(id, ids), local);
    let part = local / ACROSS;
    let stretch = (place.rows + 63u) / 64u * 8u;
    let begin = part / 2u * stretch;
    let end = min(begin + stretch, place.rows);
    var sums: Columns;
    var r = begin + 4u * (part % 2u);
    // Four steps at once, so that enough is on its way.
    for (; r + 27u < end; r += 32u) {
        let at = place.row + r;
        let a = words_at(at, 1u, place.word);
        let b = words_at(at + 8u, 1u, place.word);
        let c = words_at(at + 16u, 1u, place.word);
        let d = words_at(at + 24u, 1u, place.word);
        sums = add_words(add_words(add_words(add_words(sums, a), b), c), d);
    }
    for (; r < end; r += 8u) { sums = add_words(sums, words_before(place, r, 1u, end)); }

    for (var c = 0u; c < PER; c++) {
        let sum = sum_of(sums, c);
        column_sums[local] = sum.parts;
        column_largest[local] = largest_of(sum);
        workgroupBarrier();
        let col = place.word * PER + c;
        if local < ACROSS && place.exists && place.rows > 0u && col < view.cols {
            var low = vec4f(0.0);
            var high = vec4f(0.0);
            var most = 0u;
            for (var i = local; i < PARTS * ACROSS; i += 2u * ACROSS) {
                low += column_sums[i];
                high += column_sums[i + ACROSS];
                most = max(most, max(column_largest[i], column_largest[i + ACROSS]));
            }
            let four = low + high;
            let two = four.xy + four.zw;
            keys[place.down * rule.across + col] = score(two.x + two.y, most, share_of(place.rows));
        }
        workgroupBarrier();
    }
}

const STEPS: u32 = 16u; // rows that a thread may put into workgroup memory at a time

var<workgroup> staged: array<u32, 4096>; // [rows][ACROSS * PER]

// Sixteen rows for each thread, or as many as there is room for.
struct Sixteen { a: vec4u, b: vec4u, c: vec4u, d: vec4u }

fn rows_from(place: Place, row: u32) -> Sixteen {
    var rows: Sixteen;
    rows.a = words_before(place, row, PARTS, place.rows);
    if SIZE > 1u { rows.b = words_before(place, row + 4u * PARTS, PARTS, place.rows); }
    if SIZE > 2u {
        rows.c = words_before(place, row + 8u * PARTS, PARTS, place.rows);
        rows.d = words_before(place, row + 12u * PARTS, PARTS, place.rows);
    }
    return rows;
}

// Puts what four rows add where it is added; gives the largest of each column seen so far.
fn put(four: vec4u, row: u32, local: u32, largest: vec4u) -> vec4u {
    var most = largest;
    for (var c = 0u; c < PER; c++) {
        let bits = values(column_of(four, c));
        let here = max(max(bits.x, bits.y), max(bits.z, bits.w));
        most = max(most, select(vec4u(0u), vec4u(here), vec4u(c) == vec4u(0u, 1u, 2u, 3u)));
        let add = terms(bits);
        let at = row * ACROSS * PER + (local % ACROSS) * PER + c;
        let by = PARTS * ACROSS * PER;
        staged[at] = add.x;
        staged[at + by] = add.y;
        staged[at + 2u * by] = add.z;
        staged[at + 3u * by] = add.w;
    }
    return most;
}

@compute @workgroup_size(256)
fn short_columns(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = linear(id, ids);
    let place = place_of(workgroup, local);
    let at_once = PARTS * STEPS / PER;
    let part = local / ACROSS;
    let width = ACROSS * PER;
    let rows = min(rule.rows, view.rows); // enough for all workgroups, and the same for all
    var largest = vec4u(0u);
    var sum = 0.0;
    var next: Sixteen;
    if place.rows > 0u { next = rows_from(place, part); }
    for (var base = 0u; base < rows; base += at_once) {
        largest = put(next.a, part, local, largest);
        if SIZE > 1u { largest = put(next.b, part + 4u * PARTS, local, largest); }
        if SIZE > 2u {
            largest = put(next.c, part + 8u * PARTS, local, largest);
            largest = put(next.d, part + 12u * PARTS, local, largest);
        }
        workgroupBarrier();
        // On their way while what is here is added.
        if place.rows > 0u { next = rows_from(place, base + at_once + part); }
        if local < width {
            for (var at = local; at < at_once * width; at += 4u * width) {
                sum += bitcast<f32>(staged[at]);
                sum += bitcast<f32>(staged[at + width]);
                sum += bitcast<f32>(staged[at + 2u * width]);
                sum += bitcast<f32>(staged[at + 3u * width]);
            }
        }
        workgroupBarrier();
    }
    for (var c = 0u; c < PER; c++) { staged[local * PER + c] = largest[c]; }
    workgroupBarrier();
    let col = (workgroup - place.down * rule.parts) * width + local;
    if local < width && place.rows > 0u && col < view.cols {
        var most = 0u;
        for (var i = local; i < 256u * PER; i += width) { most = max(most, staged[i]); }
        keys[place.down * rule.across + col] = score(sum, most, share_of(place.rows));
    }
}
