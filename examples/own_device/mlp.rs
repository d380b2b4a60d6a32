//! A multilayer perceptron on the GPU: its parameters, and the kernels that run and train it.

use bytemuck::{Pod, Zeroable};
use lopper::wgpu;

use super::host::{Bound, Host};

/// Step size and momentum of the descent.
pub const RATE: f32 = 0.02;
pub const MOMENTUM: f32 = 0.9;

/// `Layer` in `mlp.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Layer {
    pub batch: u32,
    pub inputs: u32,
    pub outputs: u32,
    /// Where the parameters start, in elements: weights `[outputs][inputs]`, then biases `[outputs]`.
    pub first: u32,
    pub relu: u32,
}

impl Layer {
    fn parameters(self) -> u32 {
        self.outputs * (self.inputs + 1)
    }
}

pub struct Mlp {
    module: wgpu::ShaderModule,
    /// With a batch of 0.
    pub layers: Vec<Layer>,
    /// Of all layers, f32.
    pub params: wgpu::Buffer,
}

/// Images on their way through the network.
pub struct Forward {
    pub kernels: Vec<Bound>,
    /// Per layer, with the batch filled in.
    layers: Vec<Layer>,
    /// The images `[batch][inputs]`, then what each layer makes of them, `[batch][outputs]`; logits at the end.
    pub values: Vec<wgpu::Buffer>,
}

impl Forward {
    /// `[batch][classes]`.
    pub fn logits(&self) -> &wgpu::Buffer {
        &self.values[self.values.len() - 1]
    }
}

/// One step of the descent, but for what chooses the images.
pub struct Backward {
    pub kernels: Vec<Bound>,
    /// As the parameters: of the loss, and their decaying sum.
    #[allow(dead_code, reason = "for the test that checks them, tests/own_device.rs")]
    pub gradients: wgpu::Buffer,
    pub velocity: wgpu::Buffer,
}

impl Mlp {
    /// A network with layers of these widths, the first being its inputs; weights uniform, scaled for ReLU (He et al.,
    /// arXiv:1502.01852), from a seed.
    pub fn new(host: &Host, widths: &[u32], seed: u64) -> Self {
        let mut random = seed;
        let (mut layers, mut params) = (Vec::new(), Vec::new());
        for pair in widths.windows(2) {
            let relu = u32::from(layers.len() + 2 < widths.len());
            let layer = Layer { batch: 0, inputs: pair[0], outputs: pair[1], first: params.len() as u32, relu };
            let scale = (6.0 / layer.inputs as f32).sqrt();
            params.extend((0..layer.inputs * layer.outputs).map(|_| scale * uniform(&mut random)));
            params.extend((0..layer.outputs).map(|_| 0.0));
            layers.push(layer);
        }
        let module = host.device.create_shader_module(wgpu::include_wgsl!("mlp.wgsl"));
        Self { module, layers, params: host.storage("parameters", &params) }
    }

    /// How many, biases included.
    pub fn parameters(&self) -> u32 {
        self.layers.iter().map(|layer| layer.parameters()).sum()
    }

    /// Binds the way through the network for a batch of images `[batch][inputs]`.
    pub fn forward(&self, host: &Host, images: wgpu::Buffer, batch: u32) -> Forward {
        let kernel = host.kernel(&self.module, "forward", &[]);
        let layers: Vec<Layer> = self.layers.iter().map(|&layer| Layer { batch, ..layer }).collect();
        let (mut kernels, mut values) = (Vec::new(), vec![images]);
        for &layer in &layers {
            let y = host.zeros("values", batch, layer.outputs);
            let x = &values[values.len() - 1];
            let buffers = [(0, &host.uniform("layer", layer)), (1, &self.params), (2, x), (3, &y)];
            kernels.push(host.bind(&kernel, &buffers, batch * layer.outputs));
            values.push(y);
        }
        Forward { kernels, layers, values }
    }

    /// Binds what follows a way forward in training: the loss, its gradients, the update.
    pub fn backward(&self, host: &Host, forward: &Forward, labels: &wgpu::Buffer) -> Backward {
        let [loss, backward, gradient] =
            ["loss", "backward", "gradient"].map(|entry| host.kernel(&self.module, entry, &[]));
        let rates = [("RATE", RATE.into()), ("MOMENTUM", MOMENTUM.into())];
        let update = host.kernel(&self.module, "update", &rates);

        let [gradients, velocity] = ["gradients", "velocity"].map(|label| host.zeros(label, 1, self.parameters()));

        let last = forward.layers[forward.layers.len() - 1];
        let mut dy = host.zeros("slopes", last.batch, last.outputs);
        let uniform = host.uniform("loss", Layer { inputs: last.outputs, ..last });
        let buffers = [(0, &uniform), (2, forward.logits()), (5, &dy), (6, labels)];
        let mut kernels = vec![host.bind(&loss, &buffers, last.batch)];
        for (index, &layer) in forward.layers.iter().enumerate().rev() {
            let (uniform, x) = (host.uniform("layer", layer), &forward.values[index]);
            let buffers = [(0, &uniform), (2, x), (4, &dy), (7, &gradients)];
            kernels.push(host.bind(&gradient, &buffers, layer.parameters()));
            if index > 0 {
                let dx = host.zeros("slopes", layer.batch, layer.inputs);
                let buffers = [(0, &uniform), (1, &self.params), (2, x), (4, &dy), (5, &dx)];
                kernels.push(host.bind(&backward, &buffers, layer.batch * layer.inputs));
                dy = dx;
            }
        }
        kernels.push(host.bind(&update, &[(7, &gradients), (8, &velocity), (9, &self.params)], self.parameters()));
        Backward { kernels, gradients, velocity }
    }
}

/// From -1 to 1 (xorshift).
fn uniform(state: &mut u64) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 40) as f32 / (1 << 23) as f32 - 1.0
}
