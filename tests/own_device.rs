//! Holds the training kernels of `examples/own_device` against a CPU: gradients against differences of the loss.

#![allow(dead_code, reason = "the example uses the rest")]

#[path = "../examples/own_device/host.rs"]
mod host;
#[path = "../examples/own_device/mlp.rs"]
mod mlp;

use host::{Host, record};
use mlp::{MOMENTUM, Mlp, RATE};

/// Small and awkward.
const WIDTHS: [u32; 4] = [6, 5, 7, 3];
const BATCH: u32 = 9;

/// The logits of an image.
fn forward(mlp: &Mlp, params: &[f64], image: &[f64]) -> Vec<f64> {
    let mut x = image.to_vec();
    for layer in &mlp.layers {
        let (weights, biases) = params[layer.first as usize..].split_at((layer.inputs * layer.outputs) as usize);
        let dot = |row: &[f64]| row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>();
        let sums = weights.chunks(layer.inputs as usize).zip(biases).map(|(row, bias)| dot(row) + bias);
        x = sums.map(|sum| if layer.relu == 1 { sum.max(0.0) } else { sum }).collect();
    }
    x
}

/// The mean cross-entropy.
fn loss(mlp: &Mlp, params: &[f64], images: &[f64], labels: &[u32]) -> f64 {
    let of_one = |(image, &label): (&[f64], &u32)| {
        let logits = forward(mlp, params, image);
        logits.iter().map(|l| l.exp()).sum::<f64>().ln() - logits[label as usize]
    };
    images.chunks(WIDTHS[0] as usize).zip(labels).map(of_one).sum::<f64>() / f64::from(BATCH)
}

/// The loss by each parameter, by central differences.
fn gradients(mlp: &Mlp, params: &[f64], images: &[f64], labels: &[u32]) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let at = |i: usize, shift: f64| {
        let mut params = params.to_vec();
        params[i] += shift;
        loss(mlp, &params, images, labels)
    };
    (0..params.len()).map(|i| (at(i, STEP) - at(i, -STEP)) / (2.0 * STEP)).collect()
}

#[track_caller]
fn close(what: &str, is: &[f32], should: &[f64]) {
    assert_eq!(is.len(), should.len());
    for (i, (&is, &should)) in is.iter().zip(should).enumerate() {
        assert!((f64::from(is) - should).abs() < 1e-5 * should.abs().max(1.0), "{what} {i}: {is}, not {should}");
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| v.into()).collect()
}

#[test]
fn steps_are_those_of_the_calculus() {
    if std::env::var_os("LOPPER_TEST_NO_GPU").is_some() {
        eprintln!("skipped: LOPPER_TEST_NO_GPU is set");
        return;
    }
    let host = pollster::block_on(Host::open()).unwrap();
    eprintln!("adapter: {} ({})", host.adapter.name, host.adapter.backend);
    let mlp = Mlp::new(&host, &WIDTHS, 3);
    let images: Vec<f32> = (0..BATCH * WIDTHS[0]).map(|i| (i * 37 % 17) as f32 / 16.0).collect();
    let labels: Vec<u32> = (0..BATCH).map(|i| i * 5 % WIDTHS[3]).collect();
    let forward_kernels = mlp.forward(&host, host.storage("images", &images), BATCH);
    let backward = mlp.backward(&host, &forward_kernels, &host.storage("labels", &labels));
    let read = |buffer| -> Vec<f32> { host.submit_and_read(host.encoder(), buffer).unwrap() };

    let images = wide(&images);
    let mut params = wide(&read(&mlp.params));
    assert!(params.iter().filter(|p| **p != 0.0).count() as u32 > mlp.parameters() / 2);
    let mut velocity = vec![0.0; params.len()];
    for step in 0..3 {
        let mut encoder = host.encoder();
        record(&mut encoder, &forward_kernels.kernels);
        record(&mut encoder, &backward.kernels);
        host.queue.submit([encoder.finish()]);

        let logits: Vec<f64> =
            images.chunks(WIDTHS[0] as usize).flat_map(|image| forward(&mlp, &params, image)).collect();
        close(&format!("step {step}, logit"), &read(forward_kernels.logits()), &logits);
        let slopes = gradients(&mlp, &params, &images, &labels);
        close(&format!("step {step}, gradient"), &read(&backward.gradients), &slopes);
        for ((param, velocity), slope) in params.iter_mut().zip(&mut velocity).zip(slopes) {
            *velocity = f64::from(MOMENTUM) * *velocity + slope;
            *param -= f64::from(RATE) * *velocity;
        }
        close(&format!("step {step}, parameter"), &read(&mlp.params), &params);
    }
}
