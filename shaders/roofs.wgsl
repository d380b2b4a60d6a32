// The adapter's own roofs: nothing but reading, and nothing but copying, 64 bytes per thread and step. Either one behind the
// other (`_all`), as threads that are SIMD lanes do best, or 16 bytes beside those of the neighbours (`_near`), as GPUs do best:
// the roof is the faster of the two.

override WORKGROUP: u32 = 256u;

struct Size { quads: u32, span: u32, spare0: u32, spare1: u32 } // of 64 bytes

@group(0) @binding(0) var<uniform> size: Size;
@group(0) @binding(1) var<storage, read> from_quads: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> to_quads: array<vec4u>;

@compute @workgroup_size(WORKGROUP)
fn read_all(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) local: u32) {
    let end = min((id.x + 1u) * size.span, size.quads);
    var sum = vec4u(0u);
    for (var i = id.x * size.span + local; i < end; i += WORKGROUP) {
        sum += from_quads[4u * i] + from_quads[4u * i + 1u] + from_quads[4u * i + 2u] + from_quads[4u * i + 3u];
    }
    // Never true for the bench's data, but the compiler cannot know.
    if all(sum == vec4u(0x12345678u)) { to_quads[0] = sum; }
}

@compute @workgroup_size(WORKGROUP)
fn copy_all(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) local: u32) {
    let end = min((id.x + 1u) * size.span, size.quads);
    for (var i = id.x * size.span + local; i < end; i += WORKGROUP) {
        to_quads[4u * i] = from_quads[4u * i];
        to_quads[4u * i + 1u] = from_quads[4u * i + 1u];
        to_quads[4u * i + 2u] = from_quads[4u * i + 2u];
        to_quads[4u * i + 3u] = from_quads[4u * i + 3u];
    }
}

fn part_of(id: vec3u) -> vec2u {
    return 4u * vec2u(min(id.x * size.span, size.quads), min((id.x + 1u) * size.span, size.quads));
}

@compute @workgroup_size(WORKGROUP)
fn read_near(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) local: u32) {
    let part = part_of(id);
    var sum = vec4u(0u);
    var i = part.x + local;
    for (; i + 3u * WORKGROUP < part.y; i += 4u * WORKGROUP) {
        sum += from_quads[i] + from_quads[i + WORKGROUP] + from_quads[i + 2u * WORKGROUP] + from_quads[i + 3u * WORKGROUP];
    }
    for (; i < part.y; i += WORKGROUP) { sum += from_quads[i]; }
    if all(sum == vec4u(0x12345678u)) { to_quads[0] = sum; }
}

@compute @workgroup_size(WORKGROUP)
fn copy_near(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) local: u32) {
    let part = part_of(id);
    var i = part.x + local;
    for (; i + 3u * WORKGROUP < part.y; i += 4u * WORKGROUP) {
        let a = from_quads[i];
        let b = from_quads[i + WORKGROUP];
        let c = from_quads[i + 2u * WORKGROUP];
        let d = from_quads[i + 3u * WORKGROUP];
        to_quads[i] = a;
        to_quads[i + WORKGROUP] = b;
        to_quads[i + 2u * WORKGROUP] = c;
        to_quads[i + 3u * WORKGROUP] = d;
    }
    for (; i < part.y; i += WORKGROUP) { to_quads[i] = from_quads[i]; }
}

// Nothing but multiply-adds: 12 chains of four numbers each, 196,608 operations per thread.
@compute @workgroup_size(WORKGROUP)
fn fma_all(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) local: u32) {
    let v = bitcast<vec4f>(from_quads[local % 4u]);
    let m = v * 0.5;
    var a = v;
    var b = v + 1.0;
    var c = v + 2.0;
    for (var i = 0u; i < 1024u; i++) {
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v);
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v);
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v);
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v);
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v);
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v);
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v);
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v);
    }
    if id.x < 0xffffu { to_quads[local % 4u] = bitcast<vec4u>(a + b + c); }
}

// The same operations as 32 chains that share both other numbers: more of them for units that wait long for a sum, and no more
// than one new register to be read for each.
@compute @workgroup_size(WORKGROUP)
fn fma_wide(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) local: u32) {
    let some = bitcast<vec4f>(from_quads[local % 4u]);
    let m = vec4f(some.x * 0.5);
    let v = vec4f(some.y);
    var a = some;
    var b = some + 1.0;
    var c = some + 2.0;
    var d = some + 3.0;
    var e = some + 4.0;
    var f = some + 5.0;
    var g = some + 6.0;
    var h = some + 7.0;
    for (var i = 0u; i < 512u; i++) {
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v); d = fma(d, m, v);
        e = fma(e, m, v); f = fma(f, m, v); g = fma(g, m, v); h = fma(h, m, v);
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v); d = fma(d, m, v);
        e = fma(e, m, v); f = fma(f, m, v); g = fma(g, m, v); h = fma(h, m, v);
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v); d = fma(d, m, v);
        e = fma(e, m, v); f = fma(f, m, v); g = fma(g, m, v); h = fma(h, m, v);
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v); d = fma(d, m, v);
        e = fma(e, m, v); f = fma(f, m, v); g = fma(g, m, v); h = fma(h, m, v);
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v); d = fma(d, m, v);
        e = fma(e, m, v); f = fma(f, m, v); g = fma(g, m, v); h = fma(h, m, v);
        a = fma(a, m, v); b = fma(b, m, v); c = fma(c, m, v); d = fma(d, m, v);
        e = fma(e, m, v); f = fma(f, m, v); g = fma(g, m, v); h = fma(h, m, v);
    }
    if id.x < 0xffffu { to_quads[local % 4u] = bitcast<vec4u>((a + b + c + d) + (e + f + g + h)); }
}
