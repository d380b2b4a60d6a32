#!/usr/bin/env python3
"""The peer measurement: what `lopper prune --sparsity S` does, done with torch.nn.utils.prune on the CPU.

    pip install torch safetensors numpy
    python benches/torch_l1.py MODEL OUTPUT_FOLDER --amount 0.5 --threads 2

MODEL is a .safetensors file, or a folder with one or several (its *.safetensors.index.json is followed if there is
one). Of each tensor that lopper selects by default (float, two dimensions or more, no embedding, output head or
normalisation) `l1_unstructured` prunes the share, `remove` makes that permanent, and every shard is saved with
`save_file`. It goes shard by shard, so memory is that of the largest shard and of what torch needs beside its largest
tensor.

How it is timed, so that the comparison is fair:

- load: every tensor is copied out of the mapped file, as a model's `load_state_dict` does. Otherwise the file would
  only be read while pruning, and pruning would be blamed for it.
- prune: `l1_unstructured` and `remove`, nothing else. Reported per byte of the tensors that were pruned.
- save: `save_file`; with --sync also an fsync per shard, which lopper always does.

Run it twice and take the second run: the first one may wait for the disk. With --limit-tensors N only the first N
selected tensors are pruned; the others are loaded and saved all the same, and what is extrapolated is marked as such.

Torch writes w * 0, which is -0.0 for negative weights, where lopper writes +0.0: the two outputs have equal counts, and
are not equal byte for byte.
"""

import argparse
import json
import os
import re
import resource
import shutil
import sys
import time
from pathlib import Path

import torch
import torch.nn.utils.prune as prune
from safetensors import safe_open
from safetensors.torch import save_file

FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def spared(name):
    """Whether lopper leaves a tensor of this name alone by default (the rule of src/pruner/plan/names.rs)."""
    for part in re.split(r"[./]", name.lower()):
        words = re.split(r"[_-]", part)
        if "embed" in part or "lm_head" in part or "norm" in part:
            return True
        if any(re.fullmatch(r"emb|embd|wte|wpe|(ln|bn)(f|[0-9]*)", word) for word in words):
            return True
    return False


def selected(name, tensor):
    return tensor.dtype in FLOATS and tensor.dim() >= 2 and tensor.numel() > 0 and not spared(name)


def shards_of(model):
    """The shard files, and the other files to copy."""
    if model.is_file():
        return [model], []
    indices = sorted(model.glob("*.safetensors.index.json"))
    if len(indices) > 1:
        sys.exit(f"{model}: several indices")
    if indices:
        names = json.loads(indices[0].read_text())["weight_map"].values()
        shards = [model / name for name in sorted(set(names))]
    else:
        shards = sorted(model.glob("*.safetensors"))
    if not shards:
        sys.exit(f"{model}: no .safetensors file")
    return shards, sorted(path for path in model.glob("*.json") if path.is_file())


def l1_unstructured(tensor, amount):
    module = torch.nn.Module()
    module.register_parameter("weight", torch.nn.Parameter(tensor, requires_grad=False))
    prune.l1_unstructured(module, "weight", amount=amount)
    prune.remove(module, "weight")
    return module.weight.data


def size(tensor):
    return tensor.numel() * tensor.element_size()


def rate(count, seconds):
    return f"{count / seconds / 1e9:.3f} GB/s" if seconds > 0 else "-"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path, help="folder; shards of the same names in it are replaced")
    parser.add_argument("--amount", type=float, default=0.5, help="share to prune, from 0 to 1 (default 0.5)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--limit-tensors", type=int, metavar="N", help="prune only the first N selected tensors")
    parser.add_argument("--sync", action="store_true", help="fsync every shard")
    args = parser.parse_args()
    if not 0 <= args.amount <= 1:
        parser.error("--amount is a share, from 0 to 1")
    if args.limit_tensors is not None and args.limit_tensors < 1:
        parser.error("--limit-tensors must be 1 or more, or nothing is measured")
    if args.threads:
        torch.set_num_threads(args.threads)

    shards, others = shards_of(args.model)
    args.output.mkdir(parents=True, exist_ok=True)
    if args.output.resolve() == shards[0].resolve().parent:
        parser.error("the output folder is the input's")

    load = pruning = save = 0.0
    all_bytes = selected_bytes = pruned_bytes = 0
    selected_tensors = pruned_tensors = weights = zeros = 0
    start = time.perf_counter()
    for shard in shards:
        began = time.perf_counter()
        with safe_open(shard, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
        load += time.perf_counter() - began

        for name, tensor in tensors.items():
            all_bytes += size(tensor)
            if not selected(name, tensor):
                continue
            selected_tensors += 1
            selected_bytes += size(tensor)
            if args.limit_tensors is not None and pruned_tensors >= args.limit_tensors:
                continue
            began = time.perf_counter()
            tensors[name] = l1_unstructured(tensor, args.amount)
            pruning += time.perf_counter() - began
            pruned_tensors += 1
            pruned_bytes += size(tensor)
            weights += tensor.numel()
            del tensor
            zeros += int((tensors[name] == 0).sum())  # not timed

        began = time.perf_counter()
        target = args.output / shard.name
        save_file(tensors, target, metadata=metadata)
        if args.sync:
            with open(target, "rb") as file:
                os.fsync(file.fileno())
        save += time.perf_counter() - began
        del tensors
    for other in others:
        shutil.copyfile(other, args.output / other.name)
    wall = time.perf_counter() - start

    if pruned_tensors == 0:
        sys.exit("nothing is selected, so nothing was measured")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, amount {args.amount}, sync {args.sync}")
    print(f"checkpoint: {len(shards)} shards, {all_bytes:,} bytes, of them selected {selected_bytes:,}"
          f" in {selected_tensors} tensors")
    print(f"measured:   {pruned_bytes:,} bytes pruned in {pruned_tensors} tensors,"
          f" {zeros:,} zeros of {weights:,} weights")
    print(f"seconds:    load {load:.3f}, prune {pruning:.3f}, save {save:.3f},"
          f" sum {load + pruning + save:.3f} ({wall:.3f} by the clock, which also counts zeros and copies other files)")
    print(f"prune only: {rate(pruned_bytes, pruning)} of the {pruned_bytes:,} bytes pruned")
    if pruned_tensors == selected_tensors:
        print(f"whole run:  {rate(all_bytes, load + pruning + save)} of the {all_bytes:,} bytes of the checkpoint")
    else:
        guess = pruning * selected_bytes / pruned_bytes
        share = 100 * pruned_bytes / selected_bytes
        print(f"EXTRAPOLATED from {share:.1f} % of the selected bytes: prune {guess:.3f} s,"
              f" whole run {load + guess + save:.3f} s, {rate(all_bytes, load + guess + save)}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"peak memory: {peak / 1e9:.2f} GB resident, parts of mapped files included")


if __name__ == "__main__":
    main()
