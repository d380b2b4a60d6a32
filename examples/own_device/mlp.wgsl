// A multilayer perceptron, forward and backward, and stochastic gradient descent with momentum.
//
// All parameters lie in one buffer, layer after layer: weights [outputs][inputs] as in torch, then biases [outputs].
// One invocation makes one number, by a plain loop: no atomics, so a run can be repeated to the bit.

override RATE: f32 = 0.02;
override MOMENTUM: f32 = 0.9;

struct Layer {
    batch: u32,   // images
    inputs: u32,  // per image
    outputs: u32, // per image
    first: u32,   // where the layer's parameters start
    relu: u32,    // 0 for the last layer, whose outputs are logits
}

@group(0) @binding(0) var<uniform> layer: Layer;
@group(0) @binding(1) var<storage, read> params: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;        // [batch][inputs]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [batch][outputs]
@group(0) @binding(4) var<storage, read> dy: array<f32>;       // [batch][outputs], loss by y before its ReLU
@group(0) @binding(5) var<storage, read_write> dx: array<f32>; // [batch][inputs], loss by x before its ReLU
@group(0) @binding(6) var<storage, read> labels: array<u32>;   // [batch]
@group(0) @binding(7) var<storage, read_write> gradients: array<f32>; // as params
@group(0) @binding(8) var<storage, read_write> velocity: array<f32>;  // as params
@group(0) @binding(9) var<storage, read_write> trained: array<f32>;   // the same buffer as params

// y = ReLU(W x + bias). One invocation per output.
@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    let image = id.x / layer.outputs;
    let output = id.x % layer.outputs;
    if image >= layer.batch { return; }
    let row = layer.first + output * layer.inputs;
    var sum = params[layer.first + layer.outputs * layer.inputs + output];
    for (var i = 0u; i < layer.inputs; i++) { sum += params[row + i] * x[image * layer.inputs + i]; }
    y[id.x] = select(sum, max(sum, 0.0), layer.relu != 0u);
}

// The mean cross-entropy of softmax(x), by the logits x: (softmax(x) - one hot) / batch. One invocation per image.
@compute @workgroup_size(64)
fn loss(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= layer.batch { return; }
    let first = id.x * layer.inputs;
    var largest = x[first];
    for (var i = 1u; i < layer.inputs; i++) { largest = max(largest, x[first + i]); }
    var sum = 0.0;
    for (var i = 0u; i < layer.inputs; i++) { sum += exp(x[first + i] - largest); }
    for (var i = 0u; i < layer.inputs; i++) {
        let target_ = select(0.0, 1.0, i == labels[id.x]);
        dx[first + i] = (exp(x[first + i] - largest) / sum - target_) / f32(layer.batch);
    }
}

// dx = W^T dy where x is positive. One invocation per input.
@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    let image = id.x / layer.inputs;
    let input = id.x % layer.inputs;
    if image >= layer.batch { return; }
    var sum = 0.0;
    for (var o = 0u; o < layer.outputs; o++) {
        sum += params[layer.first + o * layer.inputs + input] * dy[image * layer.outputs + o];
    }
    dx[id.x] = select(0.0, sum, x[id.x] > 0.0);
}

// dW = dy x^T, dbias = dy, summed over the batch. One invocation per parameter of the layer.
@compute @workgroup_size(64)
fn gradient(@builtin(global_invocation_id) id: vec3u) {
    let weights = layer.outputs * layer.inputs;
    if id.x >= weights + layer.outputs { return; }
    let bias = id.x >= weights;
    let output = select(id.x / layer.inputs, id.x - weights, bias);
    let input = id.x % layer.inputs;
    var sum = 0.0;
    for (var b = 0u; b < layer.batch; b++) {
        sum += dy[b * layer.outputs + output] * select(x[b * layer.inputs + input], 1.0, bias);
    }
    gradients[layer.first + id.x] = sum;
}

// One invocation per parameter of the network.
@compute @workgroup_size(64)
fn update(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= arrayLength(&trained) { return; }
    velocity[id.x] = MOMENTUM * velocity[id.x] + gradients[id.x];
    trained[id.x] -= RATE * velocity[id.x];
}
