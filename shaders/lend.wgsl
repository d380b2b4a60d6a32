// Copies vectors to where the lanes of a software adapter read them fastest: a uniform buffer, in which any lane may look
// anywhere. In a storage buffer each lane is looked after by itself there.
//
// One vector as it is, or four side by side. 8 bytes per number.

override BATCH: u32 = 1u; // vectors: 1 or 4
override WORKGROUP: u32 = 8u;

@group(0) @binding(3) var<storage, read> from_x: array<f32>;       // [columns][cols]
@group(0) @binding(4) var<storage, read_write> lent: array<f32>; // [cols][BATCH]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    for (var c = linear(id, ids) * WORKGROUP * 16u + local; c < min((linear(id, ids) + 1u) * WORKGROUP * 16u, sizes.cols); c += WORKGROUP) {
        for (var b = 0u; b < BATCH; b++) {
            lent[c * BATCH + b] = from_x[min(sizes.first + b, sizes.columns - 1u) * sizes.cols + c];
        }
    }
}
