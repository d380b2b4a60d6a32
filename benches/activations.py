#!/usr/bin/env python3
"""Writes what `--score wanda --activations FILE` and `--score file --scores FILE` read, from models of torch and Keras.

    pip install torch safetensors numpy transformers tokenizers
    python benches/activations.py MODEL_FOLDER TEXT OUT.safetensors [--windows 16] [--tokens 1024]
    python benches/activations.py --check        # the functions below against plain numpy; needs keras for all of it

MODEL_FOLDER is a language model as transformers stores it, with its tokenizer.json; TEXT a file of calibration text. OUT
holds an F32 vector for each `nn.Linear` whose weight is in the folder's checkpoint, under the weight's name: a norm per
input, sqrt of the mean over samples of the sum of squares over their tokens, summed up in float32 as Wanda does it. It
must lie outside of the folder, where it would be taken for a shard.

What a model of your own needs is one of these functions, copied or imported:

    save_file(norms_of_torch(model, batches), "activations.safetensors")          # nn.Linear, by weight name
    save_file(norms_of_keras(model, batches), "activations.safetensors")          # Dense, by kernel path
    save_file(means_of_torch(model, {"fc1.weight": "relu1"}, batches), "scores.safetensors")
    save_file(means_of_keras(model, batches), "scores.safetensors")

The last two are a mean |activation| per neuron, to prune rows by: `--unit row --score file`. (From safetensors.torch
import save_file for torch, from safetensors.numpy for Keras.) Of Keras only what runs eagerly is seen.

One difference from Wanda's script: it prunes one block of a transformer after the other and measures each on what the
pruned ones before it put out; here the model is dense throughout.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file


class Norms:
    """The mean over samples so far of the sum of x^2, for each input."""

    def __init__(self, inputs):
        self.squares, self.samples = torch.zeros(inputs), 0

    def add(self, x):
        """`x` is [samples, tokens, inputs], or [tokens, inputs] of one sample."""
        new = x.shape[0] if x.dim() > 2 else 1
        x = x.detach().reshape(-1, x.shape[-1]).t().float().cpu()
        self.squares *= self.samples / (self.samples + new)
        self.samples += new
        self.squares += torch.linalg.vector_norm(x, dim=1) ** 2 / self.samples

    def norms(self):
        return self.squares.sqrt()


class Means:
    """The mean |x| of each output, over samples and tokens."""

    def __init__(self):
        self.sum, self.count = 0, 0

    def add(self, x):
        x = np.abs(np.asarray(x, np.float64)).reshape(-1, x.shape[-1])
        self.sum, self.count = self.sum + x.sum(0), self.count + len(x)

    def means(self):
        return (self.sum / self.count).astype(np.float32)


def run_torch(model, batches, hooks):
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()


def norms_of_torch(model, batches):
    """A norm for each input of each `nn.Linear`, by the name of its weight."""
    linears = {f"{name}.weight": m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    found = {name: Norms(linear.in_features) for name, linear in linears.items()}
    hooks = [linear.register_forward_hook(lambda _, x, __, name=name: found[name].add(x[0]))
             for name, linear in linears.items()]
    run_torch(model, batches, hooks)
    return {name: norms.norms() for name, norms in found.items() if norms.samples}


def means_of_torch(model, after, batches):
    """A mean |activation| for each neuron: `after` says which module puts out the activations of which weight."""
    found = {name: Means() for name in after}
    hooks = [model.get_submodule(module).register_forward_hook(
        lambda _, __, y, name=name: found[name].add(y.detach().float().cpu())) for name, module in after.items()]
    run_torch(model, batches, hooks)
    return {name: torch.from_numpy(means.means()) for name, means in found.items()}


def run_keras(model, batches, see):
    """Calls `see(kernel's path, input, output)` for each Dense layer and batch, as arrays."""
    import keras

    # Layers of models within models, too; `model.layers` has only the outermost.
    dense = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    array = keras.ops.convert_to_numpy
    for layer in dense:
        def call(x, *rest, layer=layer, original=layer.call, **named):
            y = original(x, *rest, **named)
            see(layer.kernel.path, array(x), array(y))
            return y
        layer.call = call
    try:
        for batch in batches:
            model(batch, training=False)
    finally:
        for layer in dense:
            del layer.call


def norms_of_keras(model, batches):
    """A norm for each input of each Dense layer, by the path of its kernel."""
    found = {}
    run_keras(model, batches, lambda name, x, _: found.setdefault(name, Norms(x.shape[-1])).add(torch.from_numpy(x)))
    return {name: norms.norms().numpy() for name, norms in found.items()}


def means_of_keras(model, batches):
    """A mean |activation| for each neuron of each Dense layer, by the path of its kernel."""
    found = {}
    run_keras(model, batches, lambda name, _, y: found.setdefault(name, Means()).add(y))
    return {name: means.means() for name, means in found.items()}


def check():
    """Two layers with ReLU between, in each framework, against the same in numpy."""
    random = np.random.default_rng(3)
    batches = [random.standard_normal((n, 5, 8)).astype(np.float32) for n in (4, 4, 1)]
    w1, w2 = random.standard_normal((8, 6)).astype(np.float32), random.standard_normal((6, 3)).astype(np.float32)
    xs = np.concatenate(batches).astype(np.float64)
    hidden = np.maximum(xs @ w1, 0)
    norms = [np.sqrt((a**2).sum(1).mean(0)) for a in (xs, hidden)]
    means = np.abs(hidden).mean((0, 1))

    def same(what, a, b):
        np.testing.assert_allclose(a, b, rtol=1e-5, err_msg=what)
        print(f"{what}: as in numpy")

    model = torch.nn.Sequential()
    for name, module in [("fc1", torch.nn.Linear(8, 6, bias=False)), ("relu1", torch.nn.ReLU()),
                         ("fc2", torch.nn.Linear(6, 3, bias=False))]:
        model.add_module(name, module)
    model.load_state_dict({"fc1.weight": torch.from_numpy(w1.T.copy()), "fc2.weight": torch.from_numpy(w2.T.copy())})
    tensors = [torch.from_numpy(batch) for batch in batches]
    found = norms_of_torch(model, tensors)
    same("torch, norms of fc1", found["fc1.weight"], norms[0])
    same("torch, norms of fc2", found["fc2.weight"], norms[1])
    same("torch, means of fc1", means_of_torch(model, {"fc1.weight": "relu1"}, tensors)["fc1.weight"], means)

    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    inputs = keras.Input((5, 8))
    layers = [keras.layers.Dense(6, "relu", use_bias=False), keras.layers.Dense(3, use_bias=False)]
    model = keras.Model(inputs, layers[1](layers[0](inputs)))
    for layer, w in zip(layers, (w1, w2)):
        layer.set_weights([w])
    found = norms_of_keras(model, batches)
    same("keras, norms of the first", found[layers[0].kernel.path], norms[0])
    same("keras, norms of the second", found[layers[1].kernel.path], norms[1])
    same("keras, means of the first", means_of_keras(model, batches)[layers[0].kernel.path], means)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="a folder")
    parser.add_argument("text", type=Path, nargs="?")
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--windows", type=int, default=16, help="samples, one after the other in the text (default 16)")
    parser.add_argument("--tokens", type=int, default=1024, help="tokens of a sample (default 1024)")
    parser.add_argument("--skip", type=int, default=0, help="tokens at the start to leave out (default 0)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--check", action="store_true", help="check the functions, and write nothing")
    args = parser.parse_args()
    if args.check:
        return check()
    if args.output is None:
        parser.error("MODEL_FOLDER, TEXT and OUT are needed")
    if args.output.resolve().parent == args.model.resolve():
        parser.error("OUT must not be in MODEL_FOLDER, where it would be taken for a shard of the model")
    if args.threads:
        torch.set_num_threads(args.threads)

    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    ids = Tokenizer.from_file(str(args.model / "tokenizer.json")).encode(args.text.read_text()).ids
    wanted = args.skip + args.windows * args.tokens
    if len(ids) < wanted:
        sys.exit(f"{args.text}: {len(ids):,} tokens, and {wanted:,} are asked for")
    windows = torch.tensor(ids[args.skip:wanted]).reshape(args.windows, 1, args.tokens)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    model.config.use_cache = False

    start = time.perf_counter()
    found = norms_of_torch(model, windows)
    there = set()
    for shard in args.model.glob("*.safetensors"):
        with safe_open(shard, "np") as file:
            there |= set(file.keys())
    # A tied output head, say, is no tensor of the checkpoint.
    found = {name: norms for name, norms in found.items() if name in there}
    save_file(found, args.output)
    print(f"{args.output}: norms for {len(found)} tensors from {args.windows} windows of {args.tokens} tokens,"
          f" {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
