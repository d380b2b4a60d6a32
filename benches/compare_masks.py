#!/usr/bin/env python3
"""Which weights `lopper prune` takes, against the same rule in numpy, and against torch.nn.utils.prune.

    pip install torch safetensors numpy
    cargo build --release
    python benches/compare_masks.py target/release/lopper MODEL... [--made-up] [--sparsity 0.5 ...]

MODEL is a .safetensors file, or a folder with one or several. --made-up adds a checkpoint that is made on the spot:
random bits, so NaN, infinities, denormals and both zeros, in all five element types and awkward shapes. For every
model, scope and sparsity S `lopper prune` runs once, and its output is read with nothing but numpy. Then:

- numpy: k = round(S * n), half to even; the first k of a stable argsort of |w| are +0.0, all others keep their bits. n
  is a tensor, a row, or all selected tensors in file order. The output must be equal to the bit.
- torch: `l1_unstructured` for scope `tensor`, `global_unstructured` for `global`, in float32, which holds the smaller
  types exactly. Torch leaves open which ties go. So outputs may differ, but only in weights with |w| at the cut, and
  the number of zeros must be the same. (Torch has no scope `row`.)
- Headers and tensors that are not selected must be the input's, byte for byte.

The selection is that of torch_l1.py. Prints a line per run, and exits with 1 if anything differs that may not. Nothing
is timed. Memory: about 100 bytes per weight for scope `global` with five sparsities.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.utils.prune as prune

from torch_l1 import shards_of, spared

BITS = {"F32": np.uint32, "F16": np.uint16, "BF16": np.uint16, "F8_E4M3": np.uint8, "F8_E5M2": np.uint8}
SHAPES = [(7, 1031), (64, 3, 5, 5), (1, 4099), (513, 1), (40, 2048), (2, 3)]


def tensors(shard):
    """The raw header, and (name, dtype, shape, data as unsigned integers) of each tensor in file order."""
    size = int(np.fromfile(shard, np.uint64, 1)[0])
    header = np.fromfile(shard, np.uint8, size, offset=8).tobytes()
    data = np.memmap(shard, np.uint8, "r", 8 + size) if shard.stat().st_size > 8 + size else np.empty(0, np.uint8)
    entries = [(name, entry) for name, entry in json.loads(header).items() if name != "__metadata__"]
    entries.sort(key=lambda entry: entry[1]["data_offsets"])
    parts = []
    for name, entry in entries:
        begin, end = entry["data_offsets"]
        # A copy: offsets need not be aligned.
        data_of = np.array(data[begin:end]).view(BITS.get(entry["dtype"], np.uint8))
        parts.append((name, entry["dtype"], tuple(entry["shape"]), data_of))
    return header, parts


def selected(name, dtype, shape):
    return dtype in BITS and len(shape) >= 2 and 0 not in shape and not spared(name)


def values(dtype, bits):
    """The weights as float32, which is exact."""
    if dtype == "F32":
        return bits.view(np.float32)
    if dtype == "F16":
        return bits.view(np.float16).astype(np.float32)
    if dtype == "BF16":
        return (bits.astype(np.uint32) << 16).view(np.float32)
    f8 = torch.float8_e4m3fn if dtype == "F8_E4M3" else torch.float8_e5m2
    return torch.from_numpy(bits).view(f8).to(torch.float32).numpy()


def order(weights):
    """Indices along the last axis, by magnitude; of equal ones, and of NaN, the lowest first. NaN last."""
    return np.argsort(np.abs(weights), axis=-1, kind="stable")


def quota(sparsity, n):
    return round(sparsity * n)


def kept_by_torch(all_weights, sparsity, together):
    modules = []
    for weights in all_weights:
        module = torch.nn.Module()
        module.register_parameter("weight", torch.nn.Parameter(torch.from_numpy(weights), requires_grad=False))
        modules.append(module)
    if together:
        pairs = [(module, "weight") for module in modules]
        prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=sparsity)
    else:
        for module in modules:
            prune.l1_unstructured(module, "weight", amount=sparsity)
    return [module.weight_mask.numpy() != 0 for module in modules]


class Tally:
    """What one run of lopper came to."""

    def __init__(self):
        self.weights = self.zeros = self.numpy = self.torch = self.at_cut = 0
        self.wrong = []

    def against_numpy(self, what, bits, out, pruned):
        """`pruned` holds the indices that go, of `bits` flattened."""
        expected = bits.copy()
        expected[pruned] = 0
        differ = int(np.count_nonzero(expected != out))
        self.numpy += differ
        self.weights += bits.size
        if differ:
            self.wrong.append(f"{what}: {differ:,} weights are not numpy's")

    def against_torch(self, what, weights, bits, out, kept, cut):
        expected = np.where(kept, bits, np.zeros_like(bits))
        differ = np.flatnonzero(expected != out)
        at_cut = np.abs(weights[differ]) == cut if not np.isnan(cut) else np.isnan(weights[differ])
        self.torch += differ.size
        self.at_cut += int(np.count_nonzero(at_cut))
        if not at_cut.all():
            elsewhere = np.count_nonzero(~at_cut)
            self.wrong.append(f"{what}: {elsewhere:,} weights are not torch's, and not at the cut {cut}")

    def same_zeros(self, what, zeros, torchs):
        self.zeros += zeros
        if torchs is not None and zeros != torchs:
            self.wrong.append(f"{what}: {zeros:,} zeros, torch has {torchs:,}")


def zeros(dtype, bits):
    return int(np.count_nonzero(values(dtype, bits) == 0))


def cut_of(weights, ranked, k):
    """The largest magnitude that goes; 0 where none does."""
    return np.abs(weights[ranked[k - 1]]) if k else np.float32(0)


def check_one(scope, sparsities, tallies, name, dtype, shape, bits, outs):
    """Scopes `tensor` and `row`: one tensor, in the outputs of all sparsities."""
    weights = values(dtype, bits)
    matrix = weights.reshape(shape[0] if scope == "row" else 1, -1)
    rows, cols = matrix.shape
    ranked = order(matrix) + np.arange(rows)[:, None] * cols
    for sparsity, tally, out in zip(sparsities, tallies, outs):
        k = quota(sparsity, cols)
        tally.against_numpy(name, bits, out, ranked[:, :k].ravel())
        torchs = None
        if scope == "tensor":
            [kept] = kept_by_torch([weights], sparsity, together=False)
            tally.against_torch(name, weights, bits, out, kept, cut_of(weights, ranked[0], k))
            torchs = int(np.count_nonzero(np.where(kept, weights, 0) == 0))
        tally.same_zeros(name, zeros(dtype, out), torchs)


def check_global(sparsities, tallies, chosen, outs):
    """Scope `global`: all selected tensors together."""
    parts = [values(dtype, bits) for _, dtype, _, bits in chosen]
    ends = np.cumsum([0] + [part.size for part in parts])
    weights = np.concatenate(parts)
    ranked = order(weights)
    for sparsity, tally, out in zip(sparsities, tallies, outs):
        k = quota(sparsity, weights.size)
        goes = np.zeros(weights.size, bool)
        goes[ranked[:k]] = True
        masks = kept_by_torch(parts, sparsity, together=True)
        cut, ours, torchs = cut_of(weights, ranked, k), 0, 0
        for i, (name, dtype, _, bits) in enumerate(chosen):
            tally.against_numpy(name, bits, out[i], goes[ends[i]:ends[i + 1]])
            tally.against_torch(name, parts[i], bits, out[i], masks[i], cut)
            ours += zeros(dtype, out[i])
            torchs += int(np.count_nonzero(np.where(masks[i], parts[i], 0) == 0))
        tally.same_zeros("all tensors", ours, torchs)


def check(lopper, options, model, scope, sparsities, scratch):
    """Runs lopper at each sparsity, and compares all outputs, so that nothing is sorted twice."""
    shards, tallies = shards_of(model)[0], [Tally() for _ in sparsities]
    folders = []
    for sparsity in sparsities:
        folder = scratch / f"{scope}-{sparsity}"
        target = folder / model.name if model.is_file() else folder
        folder.mkdir()
        command = [lopper, "prune", model, "-o", target, "--sparsity", repr(sparsity), "--scope", scope, "--quiet"]
        subprocess.run([*command, *options], check=True)
        folders.append(folder)
    chosen, outs = [], [[] for _ in sparsities]
    for shard in shards:
        header, inputs = tensors(shard)
        outputs = [tensors(folder / shard.name) for folder in folders]
        for (out_header, _), tally in zip(outputs, tallies):
            if out_header != header:
                tally.wrong.append(f"{shard.name}: another header")
        for i, (name, dtype, shape, bits) in enumerate(inputs):
            out = [parts[i][3] for _, parts in outputs]
            if not selected(name, dtype, shape):
                for copied, tally in zip(out, tallies):
                    if not np.array_equal(copied, bits):
                        tally.wrong.append(f"{name}: is not selected, and was changed")
            elif scope == "global":
                chosen.append((name, dtype, shape, bits))
                for one, all_of_them in zip(out, outs):
                    all_of_them.append(one)
            else:
                check_one(scope, sparsities, tallies, name, dtype, shape, bits, out)
    if chosen:
        check_global(sparsities, tallies, chosen, outs)
    return tallies


def make_up(path):
    """A checkpoint of random bits, written by hand: numpy knows neither BF16 nor F8."""
    random = np.random.default_rng(11)
    header, parts, at = {}, [], 0
    for dtype, bits in BITS.items():
        for i, shape in enumerate(SHAPES):
            data = random.integers(0, np.iinfo(bits).max, shape, bits, endpoint=True).tobytes()
            header[f"{dtype}.{i}"] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
            parts.append(data)
            at += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(np.uint64(len(text)).tobytes() + text + b"".join(parts))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lopper", type=Path, help="the binary")
    parser.add_argument("models", type=Path, nargs="*", metavar="MODEL")
    parser.add_argument("--made-up", action="store_true", help="a checkpoint of random bits, too")
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.0, 0.123, 0.5, 0.9, 1.0], metavar="S")
    parser.add_argument("--scope", nargs="+", choices=["tensor", "row", "global"], default=["tensor", "row", "global"])
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    parser.add_argument("--scratch", type=Path, help="where outputs go meanwhile, one per sparsity")
    parser.add_argument("--adapter", help="passed on to lopper")
    parser.add_argument("--memory", help="passed on to lopper")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    # The conversion of signalling NaN.
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    options = [f"--{name}={getattr(args, name)}" for name in ["adapter", "memory"] if getattr(args, name)]

    compared, wrong = 0, False
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        scratch = Path(scratch)
        if args.made_up:
            args.models.append(scratch / "made-up.safetensors")
            make_up(args.models[-1])
        print(f"numpy {np.__version__}, torch {torch.__version__}")
        print(f"{'model':24} {'scope':7} {'S':>6} {'weights':>13} {'zeros':>13} {'not numpy':>10} {'not torch':>10}"
              " of them at the cut")
        for model in args.models:
            for scope in args.scope:
                with tempfile.TemporaryDirectory(dir=scratch) as folder:
                    tallies = check(args.lopper, options, model, scope, args.sparsity, Path(folder))
                for sparsity, tally in zip(args.sparsity, tallies):
                    torchs = f"{'-':>10} -" if scope == "row" else f"{tally.torch:>10,} {tally.at_cut:,}"
                    print(f"{model.stem[:24]:24} {scope:7} {sparsity:>6} {tally.weights:>13,} {tally.zeros:>13,}"
                          f" {tally.numpy:>10,} {torchs}", flush=True)
                    for line in tally.wrong:
                        print(f"MISMATCH: {model} {scope} {sparsity}: {line}")
                    compared += tally.weights
                    wrong |= bool(tally.wrong)
    if compared == 0:
        sys.exit("nothing is selected, so nothing was compared")
    print(f"{compared:,} weights compared: {'MISMATCH' if wrong else 'no difference but among ties at the cut'}")
    sys.exit(wrong)


if __name__ == "__main__":
    main()
