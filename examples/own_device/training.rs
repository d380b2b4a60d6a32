//! The training loop's side of the GPU: a step chooses its images, learns from them, and says how sparse the network is
//! to be after it. Nothing in a step depends on the host, so that all steps are recorded alike.

use lopper::wgpu;

use super::data::{Images, PIXELS};
use super::host::{Bound, Host, record};
use super::mlp::{Backward, Mlp};

/// Images that a step learns from.
const BATCH: u32 = 32;

pub struct Training {
    kernels: Vec<Bound>,
    backward: Backward,
    /// Steps begun, a u32.
    steps: wgpu::Buffer,
    /// Share of the weights that is to be zero, an f32.
    pub sparsity: wgpu::Buffer,
}

impl Training {
    /// With a sparsity that rises from 0 to `sparsity` in `ramp` steps and stays there.
    pub fn new(host: &Host, mlp: &Mlp, images: &Images, sparsity: f32, ramp: u32) -> Self {
        let module = host.device.create_shader_module(wgpu::include_wgsl!("schedule.wgsl"));
        let constants = [("BATCH", BATCH.into()), ("SPARSITY", sparsity.into()), ("RAMP", ramp.into())];
        let [begin, gather] = ["begin", "gather"].map(|entry| host.kernel(&module, entry, &constants));

        let (steps, sparsity) = (host.zeros("steps", 1, 1), host.zeros("sparsity", 1, 1));
        let (x, shown) = (host.zeros("images", BATCH, PIXELS), host.zeros("labels", BATCH, 1));
        let (all, labels) = (host.storage("all images", &images.pixels), host.storage("all labels", &images.labels));
        let gather_buffers = [(0, &steps), (2, &all), (3, &labels), (4, &x), (5, &shown)];

        let mut kernels = vec![
            host.bind(&begin, &[(0, &steps), (1, &sparsity)], 1),
            host.bind(&gather, &gather_buffers, BATCH * PIXELS),
        ];
        let mut forward = mlp.forward(host, x, BATCH);
        let mut backward = mlp.backward(host, &forward, &shown);
        kernels.append(&mut forward.kernels);
        kernels.append(&mut backward.kernels);
        Self { kernels, backward, steps, sparsity }
    }

    /// Records one step.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        record(encoder, &self.kernels);
    }

    /// Sets the sparsity by hand, for what is submitted next; the next step sets it by the schedule.
    pub fn set_sparsity(&self, host: &Host, sparsity: f32) {
        host.queue.write_buffer(&self.sparsity, 0, bytemuck::bytes_of(&sparsity));
    }

    /// Records that all starts again, but for the parameters.
    pub fn restart(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.clear_buffer(&self.steps, 0, None);
        encoder.clear_buffer(&self.backward.velocity, 0, None);
    }
}
