//! A training loop that owns its GPU, with lopper as a guest.
//!
//! A small network learns to read digits, by kernels of its own (`mlp.wgsl`), and loses 80 % of its weights while it
//! learns: after every step lopper sets the smallest to zero where they lie, in the same command buffer, a few more each
//! time. How many is up to an f32 on the GPU, which the training loop writes (`schedule.wgsl`). So a step is a list of
//! dispatches, always the same: nothing is prepared again, read back or waited for until the training is over.
//!
//! ```sh
//! cargo run --release --example own_device
//! ```

mod data;
mod exam;
mod host;
mod mlp;
mod training;

use anyhow::Result;
use lopper::kernels::MatrixView;
use lopper::record::{Amount, PruneDescriptor, Pruning};
use lopper::{Dtype, Lopper, Scope};

use data::{CLASSES, PIXELS};
use exam::Exam;
use host::Host;
use mlp::Mlp;
use training::Training;

/// Share of the weights that go.
const SPARSITY: f32 = 0.8;
/// Steps of training: with all weights; then with ever fewer; then with as few as are to be left.
const DENSE: u32 = 400;
const RAMP: u32 = 400;
const SPARSE: u32 = 200;
/// Steps in a command buffer. Any number will do, since they do not depend on the host.
const STEPS_PER_SUBMIT: u32 = 40;

fn main() -> Result<()> {
    let host = pollster::block_on(Host::open())?;
    println!("on {}, {}\n", host.adapter.name, host.adapter.backend);
    let digits = data::read()?;
    let mlp = Mlp::new(&host, &[PIXELS, 128, 64, CLASSES], 1);
    let training = Training::new(&host, &mlp, &digits.train, SPARSITY, RAMP);
    let exam = Exam::new(&host, &mlp, digits.test);

    // The guest is told where the weights lie, and where to look how many of them are to go. Biases stay.
    let lopper = Lopper::new(&host.device)?;
    let matrices: Vec<MatrixView> = (mlp.layers.iter())
        .map(|l| MatrixView::dense(&mlp.params, 4 * u64::from(l.first), Dtype::F32, l.outputs, l.inputs))
        .collect();
    let pruning = lopper.prepare(&PruneDescriptor {
        scope: Scope::Global, // one cut for all three, so that a layer keeps more if it needs more
        ..PruneDescriptor::new(&matrices, Amount::SparsityIn { buffer: &training.sparsity, offset: 0 })
    })?;

    Exam::print_head();
    train(&host, &training, None, DENSE);
    let dense = host.zeros("dense parameters", 1, mlp.parameters());
    let mut encoder = host.encoder();
    encoder.copy_buffer_to_buffer(&mlp.params, 0, &dense, 0, None);
    training.set_sparsity(&host, 0.0); // prunes nothing, but counts what is zero
    pruning.record(&mut encoder);
    exam.print("not at all", DENSE, &host, encoder, &pruning)?;

    let mut encoder = host.encoder();
    training.set_sparsity(&host, SPARSITY);
    pruning.record(&mut encoder);
    exam.print("at once", DENSE, &host, encoder, &pruning)?;

    let mut encoder = host.encoder();
    encoder.copy_buffer_to_buffer(&dense, 0, &mlp.params, 0, None);
    training.restart(&mut encoder);
    host.queue.submit([encoder.finish()]);
    train(&host, &training, Some(&pruning), RAMP + SPARSE);
    exam.print("gradually", DENSE + RAMP + SPARSE, &host, host.encoder(), &pruning)
}

/// Submits so many steps, each followed by a pruning if there is one, and does not wait.
fn train(host: &Host, training: &Training, pruning: Option<&Pruning>, steps: u32) {
    for first in (0..steps).step_by(STEPS_PER_SUBMIT as usize) {
        let mut encoder = host.encoder();
        for _ in first..steps.min(first + STEPS_PER_SUBMIT) {
            training.record(&mut encoder);
            if let Some(pruning) = pruning {
                pruning.record(&mut encoder);
            }
        }
        host.queue.submit([encoder.finish()]);
    }
}
