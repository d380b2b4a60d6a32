// What changes from step to step: which images come next, and how sparse the network is to be.

override BATCH: u32 = 32u;
override SPARSITY: f32 = 0.8;
override RAMP: f32 = 1.0; // steps until SPARSITY is reached

@group(0) @binding(0) var<storage, read_write> steps: u32;       // begun so far
@group(0) @binding(1) var<storage, read_write> sparsity: f32;    // for lopper
@group(0) @binding(2) var<storage, read> images: array<f32>;     // [count][pixels]
@group(0) @binding(3) var<storage, read> labels: array<u32>;     // [count]
@group(0) @binding(4) var<storage, read_write> x: array<f32>;    // [BATCH][pixels]
@group(0) @binding(5) var<storage, read_write> shown: array<u32>; // [BATCH]

// Fast at first, when most weights are superfluous, then ever slower (Zhu and Gupta, arXiv:1710.01878).
@compute @workgroup_size(1)
fn begin() {
    steps += 1u;
    let left = 1.0 - min(f32(steps) / RAMP, 1.0);
    sparsity = SPARSITY * (1.0 - left * left * left);
}

// The next BATCH images, again from the first after the last. One invocation per pixel.
@compute @workgroup_size(64)
fn gather(@builtin(global_invocation_id) id: vec3u) {
    let pixels = arrayLength(&x) / BATCH;
    let row = id.x / pixels;
    if row >= BATCH { return; }
    let image = ((steps - 1u) * BATCH + row) % arrayLength(&labels);
    x[id.x] = images[image * pixels + id.x % pixels];
    if id.x % pixels == 0u { shown[row] = labels[image]; }
}
