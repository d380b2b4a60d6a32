// The adapter's own roofs: nothing but reading, and nothing but copying, 64 bytes per thread and step.

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
