// A matrix in sliced ELL times one vector, or four at a time, then bias and activation: one thread per row, or several
// that take its steps in turn and add up in workgroup memory.
//
// Bytes per kept weight: SIZE + 2, and one f32 of x for each vector from cache. Slots past a row's own weights are not
// multiplied: 0 times infinity would be NaN. Sums are f32: one per thread, vector and row.

override BATCH: u32 = 1u;     // vectors at a time: 1 or 4
override WORKGROUP: u32 = 32u; // threads: a multiple of SLICE, at most 256
override DEEP: bool = false;   // four steps are under way at a time: on GPUs, where a thread else waits for each

var<workgroup> parts: array<vec4f, 256>;

// Numbers of x for columns 0 to 3 (`c.xy`) of a step; zero from slot `real` on.
fn x_for(c: vec2u, real: u32) -> vec4f {
    let v = vec4f(x_at(c.x & 0xffffu), x_at(c.x >> 16u), x_at(c.y & 0xffffu), x_at(c.y >> 16u));
    return select(vec4f(), v, vec4u(0u, 1u, 2u, 3u) < vec4u(real));
}

fn one(w: f32, col: u32, real: bool) -> vec4f { return w * select(vec4f(), x_four_at(col), real); }

fn four_slots(w: vec4f, c: vec2u, real: u32) -> vec4f {
    if BATCH == 1u { return vec4f(dot(w, x_for(c, real)), 0.0, 0.0, 0.0); }
    return one(w.x, c.x & 0xffffu, real > 0u) + one(w.y, c.x >> 16u, real > 1u)
        + one(w.z, c.y & 0xffffu, real > 2u) + one(w.w, c.y >> 16u, real > 3u);
}

// What a step of a row has in memory.
struct Slots { columns: vec4u, low: vec4u, high: vec4u }

fn slots_at(at: u32) -> Slots {
    if SIZE == 4u { return Slots(data[at], data[at + SLICE], data[at + 2u * SLICE]); }
    return Slots(data[at], data[at + SLICE], vec4u());
}

// One step of a row, of which `real` slots hold weights.
fn times(slots: Slots, real: u32) -> vec4f {
    let c = slots.columns;
    var v = bitcast<vec4f>(slots.low);
    var w = bitcast<vec4f>(slots.high);
    if SIZE == 2u { v = four(slots.low.xy); w = four(slots.low.zw); }
    return four_slots(v, c.xy, real) + four_slots(w, c.zw, max(real, 4u) - 4u);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let slice = linear(id, ids);
    if slice >= sizes.units { return; }
    _ = take_x(local);
    let row = slice * SLICE + local % SLICE;
    let team = local / SLICE;
    let teams = WORKGROUP / SLICE;
    var sum = vec4f();
    if row < sizes.rows {
        let length = length_of(row);
        let whole = length / 8u;
        let stride = SLICE * quads_per_step();
        var at = slot_of(row, team);
        var k = team;
        if DEEP {
            for (; k + 3u * teams < whole; k += 4u * teams) {
                let a = slots_at(at);
                let b = slots_at(at + teams * stride);
                let c = slots_at(at + 2u * teams * stride);
                let d = slots_at(at + 3u * teams * stride);
                sum += times(a, 8u) + times(b, 8u) + times(c, 8u) + times(d, 8u);
                at += 4u * teams * stride;
            }
        }
        for (; k < whole; k += teams) {
            sum += times(slots_at(at), 8u);
            at += teams * stride;
        }
        if (length & 7u) != 0u && whole % teams == team { sum += times(slots_at(slot_of(row, whole)), length & 7u); }
    }
    if WORKGROUP > SLICE {
        parts[local] = sum;
        workgroupBarrier();
        if local >= SLICE { return; }
        for (var t = 1u; t < teams; t++) { sum += parts[local + t * SLICE]; }
    }
    if row >= sizes.rows { return; }
    for (var b = 0u; b < BATCH; b++) {
        if sizes.first + b < sizes.columns { y[(sizes.first + b) * sizes.height + row] = epilogue(sum[b], row); }
    }
}
