#!/usr/bin/env python3
"""torch's products on an NVIDIA GPU, at the shapes of this folder's program: dense, 2:4 (`to_sparse_semi_structured`), and CSR at
50, 70 and 90 %.

    pip install torch numpy
    python benches/peers/torch_cuda.py [--runs 50]

Says so where there is no CUDA, and ends with 0. Matrices exist several times, so that no cache holds the next; all are timed in
turn, by events on the stream. Every result is held against a product in float64 first. Prints medians, least and most microseconds,
and gigabytes per second of what is stored. What torch refuses is printed as it says it.
"""

import argparse
import math
import statistics
import sys

import torch

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
PAST_CACHES = 512 << 20


def distance(y, exact):
    return float((y.double() - exact).norm() / exact.norm())


def two_of_four(w):
    groups = w.abs().view(w.shape[0], -1, 4)
    keep = torch.zeros_like(groups, dtype=torch.bool).scatter_(2, groups.topk(2, dim=2).indices, True)
    return torch.where(keep.view_as(w), w, torch.zeros((), dtype=w.dtype, device=w.device))


def timed(run, i):
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    run(i)
    end.record()
    end.synchronize()
    return 1e3 * start.elapsed_time(end)


def entry(matrix, make, size, x, exact):
    stored = make(matrix)
    copies = [stored] + [make(matrix) for _ in range(min(8, math.ceil(PAST_CACHES / size)) - 1)]

    def run(i):
        return copies[i % len(copies)] @ x

    return run, size, distance(run(0), exact)


def products(rows, cols, columns, dtype):
    w = (torch.randn(rows, cols, device="cuda") * 0.02).to(dtype)
    x = (torch.randint(-128, 128, (cols, columns), device="cuda") / 128).to(dtype)  # exact in each type
    dense = w.numel() * w.element_size()
    wanted = {"dense": (w, torch.clone, dense)}
    if dtype != torch.float32:
        wanted["2:4"] = (two_of_four(w), torch.sparse.to_sparse_semi_structured, dense * 9 // 16)
    for sparsity in (0.5, 0.7, 0.9):
        masked = torch.where(torch.rand(rows, cols, device="cuda") >= sparsity, w, torch.zeros_like(w))
        size = int(masked.count_nonzero()) * (w.element_size() + 4)
        wanted[f"CSR, {100 * sparsity:.0f} % gone"] = (masked, torch.Tensor.to_sparse_csr, size)
    entries = {}
    for name, (matrix, make, size) in wanted.items():
        try:
            entries[name] = entry(matrix, make, size, x, matrix.double() @ x.double())
        except Exception as error:  # what torch does not have for a type or shape
            print(f"| {name}, {rows} × {cols}, {dtype} | refused: {str(error).splitlines()[0]} | | | |")
    return entries


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("torch sees no CUDA device: nothing was measured")
        sys.exit(0)
    # float32 products stay float32, as lopper's are.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(1)
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}\n")
    print("| product | who | µs, median | least, most | GB/s | from f64 |\n|---|---|---|---|---|---|")
    for rows, cols, columns in [(4096, 4096, 1), (11008, 4096, 1), (4096, 4096, 16), (1024, 1024, 1024)]:
        for name, dtype in DTYPES.items():
            entries = products(rows, cols, columns, dtype)
            times = {who: [] for who in entries}
            for i in range(-3, args.runs):
                for who, (run, _, _) in entries.items():
                    time = timed(run, i)
                    if i >= 0:
                        times[who].append(time)
            for who, (_, size, far) in entries.items():
                us = times[who]
                vectors = "" if columns == 1 else f", {columns} vectors"
                print(f"| {name} {rows} × {cols}{vectors} | torch, {who} | {statistics.median(us):.1f} "
                      f"| {min(us):.1f}, {max(us):.1f} | {size / statistics.median(us) / 1e3:.0f} | {far:.1e} |")


main()
