#!/usr/bin/env python3
"""torch's products on the CPU, at the shapes of this folder's program: dense, and CSR at 50 and 90 %.

    pip install torch numpy
    python benches/peers/torch_cpu.py [--threads 2] [--runs 11]

No GPU takes part: this is what the same machine does without one. Matrices exist several times, so that no cache holds the next;
all are timed in turn. Every result is held against a product in float64 first. Prints medians, least and most milliseconds.
"""

import argparse
import math
import statistics
import time

import torch

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
PAST_CACHES = 256 << 20


def distance(y, exact):
    return float((y.double() - exact).norm() / exact.norm())


def race(entries, runs):
    for run, _ in entries.values():
        run(0)
    seconds = {name: [] for name in entries}
    for i in range(runs):
        for name, (run, _) in entries.items():
            start = time.perf_counter()
            run(i)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def copies_of(matrix, size):
    return [matrix] + [matrix.clone() for _ in range(min(8, math.ceil(PAST_CACHES / size)) - 1)]


def products(rows, cols, columns, dtype):
    w = torch.randn(rows, cols) * 0.02
    x = torch.randint(-128, 128, (cols, columns)) / 128  # exact in each type
    kept = {0.0: w.to(dtype)}
    if columns == 1 and dtype == torch.float32:
        kept |= {s: torch.where(torch.rand(rows, cols) >= s, w, torch.zeros(())) for s in (0.5, 0.9)}
    entries = {}
    for sparsity, matrix in kept.items():
        exact = matrix.double() @ x.double()
        size = matrix.numel() * matrix.element_size()
        if sparsity:
            matrix = matrix.to_sparse_csr()
            size = 12 * matrix.values().numel()
        copies, xs = copies_of(matrix, size), x.to(matrix.dtype)
        run = lambda i, copies=copies, xs=xs: copies[i % len(copies)] @ xs
        name = f"CSR, {100 * sparsity:.0f} % gone" if sparsity else "dense"
        entries[name] = (run, distance(run(0), exact))
    return entries


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=11)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    print(f"torch {torch.__version__}, CPU, {args.threads} threads\n")
    print("| product | who | ms, median | least, most | from f64 |\n|---|---|---|---|---|")
    shapes = [(4096, 4096, 1), (11008, 4096, 1), (1024, 1024, 1024)]
    for rows, cols, columns in shapes:
        for name, dtype in DTYPES.items():
            entries = products(rows, cols, columns, dtype)
            for who, seconds in race(entries, args.runs).items():
                ms = [1e3 * s for s in seconds]
                vectors = "" if columns == 1 else f", {columns} vectors"
                print(f"| {name} {rows} × {cols}{vectors} | torch, {who} | {statistics.median(ms):.2f} "
                      f"| {min(ms):.2f}, {max(ms):.2f} | {entries[who][1]:.1e} |")


main()
