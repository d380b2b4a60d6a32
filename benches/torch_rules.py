#!/usr/bin/env python3
"""The peer measurement of rules other than magnitude per tensor: seconds of torch on the CPU, for one matrix.

    pip install torch numpy
    python benches/torch_rules.py [--rows 4096 --cols 11008] [--threads 2] [--runs 3] [--dtype bf16 f32]

- wanda, row: |w| * norm in float32, a stable sort of each row, the first half of the indices scattered into a mask, the
  weights set to 0: the steps of Wanda's script, on weights and norms that are already in memory.
- magnitude, row: the same without norms, in the weights' own type.
- 2:4, topk: per group of four columns topk of the two smallest and scatter, a loop over groups: the steps of Wanda's
  script. All groups at a time, which it does not do, is measured too.
- 2:4, sort: all groups at a time, by sort.
- rows, l2: torch.nn.utils.prune.ln_structured, whose norms are in the weights' own type.

Prints the median, least and most seconds of the runs, after one that is not counted, and bytes of weights per second.
Weights are made up, bell-shaped: 4096 x 11008 is the largest matrix of a LLaMA of 7B. Every run starts from the same
weights; copying them is not timed.
"""

import argparse
import statistics
import time

import torch
import torch.nn.utils.prune as prune

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}


def sorted_rows(w, metric):
    ranked = torch.sort(metric, dim=-1, stable=True).indices
    gone = torch.zeros_like(metric, dtype=torch.bool)
    w[gone.scatter_(1, ranked[:, :metric.shape[1] // 2], True)] = 0


def wanda_row(w, norms):
    sorted_rows(w, torch.abs(w) * norms.reshape(1, -1))


def magnitude_row(w, _):
    sorted_rows(w, torch.abs(w))


def topk_loop(w, _):
    metric = torch.abs(w)
    gone = torch.zeros_like(metric, dtype=torch.bool)
    for at in range(0, w.shape[1], 4):
        smallest = torch.topk(metric[:, at:at + 4].float(), 2, dim=1, largest=False).indices
        gone.scatter_(1, smallest + at, True)
    w[gone] = 0


def at_once(w, smallest):
    groups = torch.abs(w).view(w.shape[0], -1, 4)
    mask = torch.zeros_like(groups, dtype=torch.bool)
    w[mask.scatter_(2, smallest(groups), True).view_as(w)] = 0


def topk_at_once(w, _):
    at_once(w, lambda groups: torch.topk(groups.float(), 2, dim=2, largest=False)[1])


def sort_at_once(w, _):
    at_once(w, lambda groups: torch.sort(groups, dim=2)[1][..., :2])


def rows_l2(w, _):
    module = torch.nn.Module()
    module.register_parameter("weight", torch.nn.Parameter(w, requires_grad=False))
    prune.ln_structured(module, "weight", amount=0.5, n=2, dim=0)
    prune.remove(module, "weight")


RULES = {"wanda, row": wanda_row, "magnitude, row": magnitude_row, "2:4, topk, a loop over groups": topk_loop,
         "2:4, topk, all groups at once": topk_at_once, "2:4, sort, all groups at once": sort_at_once,
         "rows, l2": rows_l2}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--cols", type=int, default=11008, help="a multiple of 4")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=["bf16", "f32"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {args.rows} x {args.cols}, {args.runs} runs")
    print(f"{'rule':31} {'dtype':5} {'median s':>9} {'least':>8} {'most':>8} {'GB/s':>7}")
    torch.manual_seed(1)
    weights, norms = torch.randn(args.rows, args.cols), torch.rand(args.cols) + 0.1
    for dtype in args.dtype:
        original = weights.to(DTYPES[dtype])
        for name, rule in RULES.items():
            seconds = []
            for _ in range(args.runs + 1):
                w = original.clone()
                start = time.perf_counter()
                rule(w, norms)
                seconds.append(time.perf_counter() - start)
            seconds = seconds[1:]
            median = statistics.median(seconds)
            rate = original.numel() * original.element_size() / median / 1e9
            print(f"{name:31} {dtype:5} {median:9.3f} {min(seconds):8.3f} {max(seconds):8.3f} {rate:7.3f}", flush=True)


if __name__ == "__main__":
    main()
