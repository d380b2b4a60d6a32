#!/usr/bin/env python3
"""Pruning inside a training loop: the classifier of digits, pruned at once and gradually, with and without fine-tuning.

    pip install numpy safetensors
    python examples/digits/train.py [--lopper PATH] [--sparsity 0.9] [--seeds 5] [--adapter NAME]

The loop is plain numpy; all pruning is `lopper prune` on a checkpoint that the loop has saved, as it would be for a loop in
any language. Whatever is zero afterwards is held at zero: that is the mask. For each seed:

- dense: 30 epochs, no pruning.
- one-shot: the dense network pruned once, then, fine-tuned, 15 epochs more under its mask.
- gradual: the same 15 epochs, pruned every 20 steps by a polynomial schedule that ends after two thirds of them.
- rounds: three rounds of `--from-mask` with 5 epochs after each.

Prints the digits of 500 named right: the median over the seeds, the least and the most.
"""

import argparse
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).resolve().parent
WIDTHS = [64, 128, 64, 10]
BATCH, RATE = 64, 2e-3


class Network:
    def __init__(self, rng):
        self.tensors, self.moments, self.steps = {}, {}, 0
        for n, (inputs, outputs) in enumerate(zip(WIDTHS, WIDTHS[1:]), 1):
            scale = np.sqrt(2 / inputs)
            self.tensors[f"fc{n}.weight"] = (scale * rng.standard_normal((outputs, inputs))).astype(np.float32)
            self.tensors[f"fc{n}.bias"] = np.zeros(outputs, np.float32)
        self.masks = {name: np.ones_like(w) for name, w in self.tensors.items()}

    def copy(self):
        other = object.__new__(Network)
        other.tensors = {name: w.copy() for name, w in self.tensors.items()}
        other.masks = {name: m.copy() for name, m in self.masks.items()}
        other.moments, other.steps = {}, 0
        return other

    def forward(self, x):
        inputs = [x]
        for n in (1, 2, 3):
            x = x @ self.tensors[f"fc{n}.weight"].T + self.tensors[f"fc{n}.bias"]
            if n < 3:
                x = np.maximum(x, 0)
                inputs.append(x)
        return inputs, x

    def right(self, images, labels):
        return int((self.forward(images)[1].argmax(1) == labels).sum())

    def step(self, images, labels):
        """One step of Adam on the cross entropy; what the mask prunes stays zero."""
        inputs, y = self.forward(images)
        p = np.exp(y - y.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        p[np.arange(len(labels)), labels] -= 1
        slope = p / len(labels)
        self.steps += 1
        for n in (3, 2, 1):
            slopes = {f"fc{n}.weight": slope.T @ inputs[n - 1], f"fc{n}.bias": slope.sum(0)}
            slope = (slope @ self.tensors[f"fc{n}.weight"]) * (inputs[n - 1] > 0)
            for name, g in slopes.items():
                m, v = self.moments.get(name, (0, 0))
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
                self.moments[name] = m, v
                m, v = m / (1 - 0.9**self.steps), v / (1 - 0.999**self.steps)
                self.tensors[name] -= (RATE * m / (np.sqrt(v) + 1e-8)).astype(np.float32)
                self.tensors[name] *= self.masks[name]


class Lopper:
    def __init__(self, program, adapter):
        self.program, self.adapter = program, ["--adapter", adapter] if adapter else []

    def prune(self, network, *how):
        """Saves the weights, has them pruned, takes them back, and their zeros as the mask."""
        with tempfile.TemporaryDirectory() as folder:
            before, after = Path(folder, "before.safetensors"), Path(folder, "after.safetensors")
            save_file(network.tensors, before)
            subprocess.run([self.program, "prune", before, "-o", after, "-q", *self.adapter, *how], check=True)
            network.tensors = {name: w.copy() for name, w in load_file(after).items()}
        for name, w in network.tensors.items():
            if name.endswith("weight"):
                network.masks[name] = (w != 0).astype(np.float32)


def train(network, data, epochs, rng, each_step=lambda step: None):
    images, labels = data
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(labels))
        for start in range(0, len(labels), BATCH):
            each_step(step)
            batch = order[start:start + BATCH]
            network.step(images[batch], labels[batch])
            step += 1
    each_step(step)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lopper", default="lopper")
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--adapter")
    args = parser.parse_args()
    data = load_file(HERE / "digits.safetensors")
    training, test = [(data[f"{part}.images"], data[f"{part}.labels"]) for part in ("train", "test")]
    lopper, s = Lopper(args.lopper, args.adapter), args.sparsity
    found = {}
    for seed in range(args.seeds):
        rng = np.random.default_rng(seed)
        note = lambda name, network: found.setdefault(name, []).append(network.right(*test))
        dense = Network(rng)
        train(dense, training, 30, rng)
        note("dense", dense)

        network = dense.copy()
        lopper.prune(network, "--sparsity", str(s))
        note("one-shot", network)
        train(network, training, 15, rng)
        note("one-shot, fine-tuned", network)

        network = dense.copy()
        steps = 15 * -(-len(training[1]) // BATCH)
        end = steps * 2 // 3 // 20 * 20
        schedule = f"polynomial:0:{s}:end={end}:every=20"

        def gradually(step):
            if step <= end and step % 20 == 0:
                lopper.prune(network, "--schedule", schedule, "--step", str(step))

        train(network, training, 15, rng, gradually)
        note("gradual", network)

        network = dense.copy()
        # Three rounds that together leave 1 - s.
        each = 1 - (1 - s) ** (1 / 3)
        for _ in range(3):
            lopper.prune(network, "--sparsity", str(each), "--from-mask")
            train(network, training, 5, rng)
        note("rounds", network)

        for name, w in network.tensors.items():
            if name.endswith("weight"):
                assert abs((w == 0).mean() - s) < 0.01, f"{name} has {(w == 0).mean()} zeros"
    print(f"sparsity {s}, {args.seeds} seeds: digits of 500 named right, median (least to most)")
    for name, right in found.items():
        print(f"{name:<22} {statistics.median(right):>5g} ({min(right)} to {max(right)})")


if __name__ == "__main__":
    main()
