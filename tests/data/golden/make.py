#!/usr/bin/env python3
"""Writes the golden masks beside this file: what each peer prunes of a handful of small tensors.

    pip install torch numpy safetensors
    python tests/data/golden/make.py

Run by hand, and its output committed; README.md says what is in it. torch.nn.utils.prune is called itself. The others
are written anew from what they compute, each in a function headed by its formula; none of their code is in here.
Seeded: the same versions of torch and numpy give the same bytes.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.utils.prune as prune
from safetensors.torch import save_file

HERE = Path(__file__).parent
SPARSITIES = [0.3, 0.5, 0.7]
# Units whose scores are closer than this to the cut's, and not equal, would depend on the order of sums.
CLEAR = 1e-4

random = np.random.default_rng(8)


def made_up(shape, dtype, step=None):
    """Bell-shaped weights with zeros of both signs; rounded to multiples of `step`, so that ties are common."""
    w = random.standard_normal(shape) * 0.1
    if step:
        w = np.round(w / step) * step
    w[random.random(shape) < 0.04] = 0.0
    w[random.random(shape) < 0.03] = -0.0
    return torch.from_numpy(w).to(dtype)


# Three linear layers and a convolution as torch has them; two dense layers and two convolutions as Keras has them.
weights = {
    "tiny.weight": made_up((7, 13), torch.float32, step=1 / 32),
    "even.weight": made_up((16, 24), torch.bfloat16),
    "wide.weight": made_up((33, 40), torch.float16, step=1 / 256),
    "conv.weight": made_up((6, 5, 3, 3), torch.float32),
    "dense.kernel": made_up((24, 16), torch.float32, step=1 / 64),
    "conv5.kernel": made_up((3, 3, 5, 6), torch.float32, step=1 / 64),
    "conv8.kernel": made_up((3, 3, 8, 6), torch.float32),
    "small.kernel": made_up((9, 5), torch.float32),
}
TORCH = ["tiny.weight", "even.weight", "wide.weight", "conv.weight"]
LINEAR = ["tiny.weight", "even.weight", "wide.weight"]
KERAS = ["dense.kernel", "conv5.kernel", "conv8.kernel", "small.kernel"]
INPUTS = {"tiny.weight": 13, "even.weight": 24, "wide.weight": 40, "dense.kernel": 24}


def made_up_norms(inputs):
    """Norms of inputs: skewed, one input dead, two equal, one that outshines the others."""
    x = np.exp(random.standard_normal(inputs)).astype(np.float32)
    x[2], x[5], x[7] = 0.0, x[6], 50.0
    return torch.from_numpy(x)


norms = {name: made_up_norms(inputs) for name, inputs in INPUTS.items()}
# Squared gradients, say: not negative, some zero, some equal.
scores = {
    name: torch.from_numpy(np.round(random.gamma(0.6, 1.0, tuple(weights[name].shape)) * 64).astype(np.float32) / 64)
    for name in TORCH
}
# Weight times gradient, say: either sign.
scores |= {
    f"signed/{name}": torch.from_numpy(np.round(random.standard_normal(tuple(weights[name].shape)) * 64) / 64).float()
    for name in TORCH
}

masks, cases = {}, []


def case(name, peer, kept, compat, match=None, groups=None, **rule):
    """Notes a case. `kept` has a mask per tensor, as the peer leaves it.

    `groups` are (scores, mask) of those that compete. Where what goes and what stays tie in one, the peer leaves open
    which of them goes; then only counts and what is off the cut are to be compared.
    """
    if match is None:
        tied = any(m.any() and not m.all() and s[~m].max() == s[m].min() for s, m in groups)
        match = "cut" if tied else "mask"
    for tensor, mask in kept.items():
        masks[f"{name}/{tensor}"] = mask.to(torch.uint8).contiguous()
    defaults = {"unit": "weight", "scope": "tensor", "score": "magnitude", "layout": "out-in"}
    cases.append({"case": name, "peer": peer, "compat": compat} | defaults | rule
                 | {"tensors": list(kept), "match": match})


def magnitude(name):
    return weights[name].float().abs()


def pairs(score_of, kept):
    return [(score_of(name).flatten(), mask.flatten() != 0) for name, mask in kept.items()]


def joined(groups):
    return [(torch.cat([s for s, _ in groups]), torch.cat([m for _, m in groups]))]


# --- torch.nn.utils.prune, called itself ------------------------------------------------------------------------------


def module(name, dtype=None):
    module = torch.nn.Module()
    module.register_parameter("weight", torch.nn.Parameter(weights[name].to(dtype), requires_grad=False))
    return module


def by_torch(names, method, dtype=None):
    kept = {}
    for name in names:
        m = module(name, dtype)
        method(m, name)
        kept[name] = m.weight_mask != 0
    return kept


def torch_cases():
    for s in SPARSITIES:
        kept = by_torch(TORCH, lambda m, _: prune.l1_unstructured(m, "weight", amount=s))
        case(f"torch/l1_unstructured-{s}", "torch", kept, "torch", groups=pairs(magnitude, kept), sparsity=s)

        kept = together(s)
        case(f"torch/global_unstructured-{s}", "torch", kept, "torch", groups=joined(pairs(magnitude, kept)), sparsity=s,
             scope="global")

        kept = by_torch(TORCH, lambda m, n: prune.l1_unstructured(m, "weight", s, importance_scores=scores[n]))
        case(f"torch/importance_scores-{s}", "torch", kept, "torch", groups=pairs(scores.get, kept), sparsity=s,
             score="file")

        torch.manual_seed(7)
        kept = by_torch(TORCH, lambda m, _: prune.random_unstructured(m, "weight", amount=s))
        case(f"torch/random_unstructured-{s}", "torch", kept, "torch", match="count", sparsity=s, score="random")

        for unit, dim in [("row", 0), ("column", 1)]:
            for norm, n in [("l1", 1), ("l2", 2), ("linf", math.inf)]:
                # In float32: torch would round the norms of smaller types to those types.
                kept = by_torch(TORCH, lambda m, _: prune.ln_structured(m, "weight", s, n, dim), torch.float32)
                groups = [units(magnitude(name).transpose(0, dim).flatten(1), kept[name].transpose(0, dim), norm)
                          for name in TORCH]
                case(f"torch/ln_structured-{unit}-{norm}-{s}", "torch", kept, "torch",
                     groups=groups, sparsity=s, unit=unit, norm=norm)


def together(s):
    modules = [module(name) for name in TORCH]
    prune.global_unstructured([(m, "weight") for m in modules], prune.L1Unstructured, amount=s)
    return {name: m.weight_mask != 0 for name, m in zip(TORCH, modules)}


def units(matrix, kept, norm):
    """Scores of the rows of a matrix, in float64, and which are kept."""
    matrix = matrix.double()
    score = {"l1": matrix.sum(1), "l2": (matrix**2).sum(1).sqrt(), "linf": matrix.amax(1)}[norm]
    mask = kept.flatten(1).any(1)
    clear(score[~mask].max(), score[mask].min())
    return score, mask


def clear(cut, above):
    """Fails where a unit is so near the cut that its place depends on rounding. Multiples of a step add up exactly."""
    assert cut == above or cut * (1 + CLEAR) < above, f"units too near the cut, {cut} and {above}: take another seed"


# --- tfmot: magnitude pruning by its formulas -------------------------------------------------------------------------


def tfmot_keep(values, s):
    """What is at least as large as the one of rank max(round(n * (1 - s)), 1) stays; the count is taken in float32."""
    ranked = np.sort(values, axis=None)[::-1]
    keep = int(max(np.round(np.float32(values.size) * (np.float32(1) - np.float32(s))), 1))
    return values >= ranked[keep - 1]


def tfmot_pool(values, block, pooling):
    """Blocks' means or maxima, first along one dimension, then the other; padded on both sides as SAME pads.

    Padding counts neither for means nor for maxima. Returns also whether every window is the block it is put in: where
    two or more are missing, SAME puts one of them in front, and all windows move.
    """
    straight = True
    for axis, size in enumerate(block):
        n = values.shape[axis]
        out = -(-n // size)
        before = (out * size - n) // 2
        straight &= before == 0
        reduce = np.mean if pooling == "AVG" else np.max
        pooled = []
        for i in range(out):
            window = values.take(range(max(i * size - before, 0), min((i + 1) * size - before, n)), axis)
            pooled.append(reduce(window, axis, keepdims=True, dtype=np.float32) if pooling == "AVG"
                          else reduce(window, axis, keepdims=True))
        values = np.concatenate(pooled, axis)
    return values, straight


def tfmot_blocks(w, block, pooling, s):
    pooled, straight = tfmot_pool(np.abs(w), block, pooling)
    kept = tfmot_keep(pooled, s)
    if pooling == "AVG":
        clear(pooled[~kept].max(), pooled[kept].min())
    return np.kron(kept, np.ones(block, bool))[:w.shape[0], :w.shape[1]], straight


def tfmot_m_by_n(w, m, n):
    """Of every n along the input channels m go, and of equal ones the last; the last group is padded with zeros.

    Returns also the groups.
    """
    channels_last = np.moveaxis(np.abs(w), -1, 0)  # outputs, kernel, inputs
    flat = channels_last.reshape(-1, channels_last.shape[-1])
    padded = np.pad(flat, [(0, 0), (0, -flat.shape[1] % n)]).reshape(-1, n)
    ranked = np.argsort(-padded, axis=1, kind="stable")
    kept = np.zeros(padded.shape, bool)
    np.put_along_axis(kept, ranked[:, :n - m], True, axis=1)
    kept = kept.reshape(len(flat), -1)[:, :flat.shape[1]]
    groups = [(torch.from_numpy(flat[:, at:at + n][i]), torch.from_numpy(kept[:, at:at + n][i]))
              for at in range(0, flat.shape[1], n) for i in range(len(flat))]
    kept = kept.reshape(channels_last.shape)
    return np.moveaxis(kept, 0, -1), groups


def tfmot_polynomial(initial, final, begin, end, step, power=3):
    p = min(max((step - begin) / (end - begin), 0), 1)
    return final + (initial - final) * (1 - p) ** power


def tfmot_cases():
    in_out = {"compat": "tfmot", "layout": "in-out"}
    arrays = {name: weights[name].numpy() for name in KERAS}
    # Of the 45 weights of small.kernel at 0.3, 31.5 stay in float32, hence 32; in float64 a little less, hence 31.
    for s in [*SPARSITIES, 0.999]:
        kept = {name: torch.from_numpy(tfmot_keep(np.abs(w), s)) for name, w in arrays.items()}
        case(f"tfmot/constant-{s}", "tfmot", kept, match="mask", sparsity=s, **in_out)
    s = tfmot_polynomial(0.0, 0.5, 0, 100, 40)
    kept = {name: torch.from_numpy(tfmot_keep(np.abs(w), s)) for name, w in arrays.items()}
    case("tfmot/polynomial-0-0.5-step-40-of-100", "tfmot", kept, match="mask", sparsity=s, **in_out)

    # Keras kernels are [in, out]: a block of h x w is w rows (outputs) by h columns (inputs).
    for block in [(4, 4), (1, 8), (2, 3), (5, 2), (7, 5)]:
        for pooling, norm in [("AVG", "mean"), ("MAX", "linf")]:
            kept, straight = tfmot_blocks(arrays["dense.kernel"], block, pooling, 0.5)
            case(f"tfmot/block-{block[0]}x{block[1]}-{pooling}", "tfmot", {"dense.kernel": torch.from_numpy(kept)},
                 match="mask" if straight else "differs", sparsity=0.5, unit="block", norm=norm,
                 block=[block[1], block[0]], **in_out)

    for m, n in [(2, 4), (1, 2), (5, 8)]:
        for name, w in arrays.items():
            kept, groups = tfmot_m_by_n(w, m, n)
            tail = w.shape[-2] % n
            case(f"tfmot/m_by_n-{m}-of-{n}/{name}", "tfmot", {name: torch.from_numpy(kept)},
                 # lopper leaves a tail as it is, tfmot n - m of it.
                 match="differs" if tail > n - m else None, groups=groups, keep=n - m, of=n, scope="group", **in_out)


# --- Wanda ------------------------------------------------------------------------------------------------------------


def wanda_metric(w, norm):
    """|w| times the norm of its input, in float32. norm = sqrt(mean over samples of the sum of x^2)."""
    return torch.abs(w) * norm.reshape(1, -1)


def wanda_rows(metric, s):
    """The first int(cols * s) of a stable ascending sort of each row go."""
    goes = torch.zeros_like(metric, dtype=torch.bool)
    ranked = torch.sort(metric, dim=-1, stable=True).indices
    return ~goes.scatter(1, ranked[:, :int(metric.shape[1] * s)], True)


def wanda_n_of_m(metric, n, m):
    """The n smallest of every m columns go; which of equal ones, topk leaves open. Returns the groups, too."""
    goes, groups = torch.zeros_like(metric, dtype=torch.bool), []
    for at in range(0, metric.shape[1], m):
        group = metric[:, at:at + m].float()
        goes.scatter_(1, at + torch.topk(group, n, dim=1, largest=False).indices, True)
        groups += [(row, ~mask) for row, mask in zip(group, goes[:, at:at + m])]
    return ~goes, groups


def wanda_cases():
    ones = {name: torch.ones_like(norm) for name, norm in norms.items()}
    for score, of in [("wanda", norms), ("magnitude", ones)]:
        for s in SPARSITIES:
            kept = {name: wanda_rows(wanda_metric(weights[name], of[name]), s) for name in LINEAR}
            case(f"wanda/{score}-row-{s}", "wanda", kept, "wanda", match="mask", sparsity=s, scope="row", score=score)
        # A Keras kernel, transposed for Wanda, which knows [out, in] alone.
        metric = wanda_metric(weights["dense.kernel"].T, of["dense.kernel"])
        case(f"wanda/{score}-row-in-out", "wanda", {"dense.kernel": wanda_rows(metric, 0.5).T}, "wanda", match="mask",
             sparsity=0.5, scope="row", score=score, layout="in-out")
        for n, m in [(2, 4), (4, 8), (1, 4)]:
            for name in ["even.weight", "wide.weight"]:
                kept, groups = wanda_n_of_m(wanda_metric(weights[name], of[name]), n, m)
                case(f"wanda/{score}-{n}-pruned-of-{m}/{name}", "wanda", {name: kept}, "wanda", groups=groups,
                     keep=m - n, of=m, scope="group", score=score)
    for s in SPARSITIES:
        kept = {}
        for name in LINEAR:
            # Its magnitude baseline: everything up to the one of rank int(n * s), counted from 0, goes.
            metric = torch.abs(weights[name])
            kept[name] = metric > torch.sort(metric.flatten()).values[int(metric.numel() * s)]
        case(f"wanda/prune_magnitude-{s}", "wanda", kept, "wanda-magnitude", match="mask", sparsity=s)


# --- llm-compressor, and scores with a sign ---------------------------------------------------------------------------


def other_cases():
    for s in SPARSITIES:
        kept = {}
        for name in TORCH:
            # Everything up to the int(s * n)-th smallest goes.
            score = torch.abs(weights[name])
            k = int(s * score.numel())
            kept[name] = score > torch.topk(score.flatten(), k, largest=False).values[-1]
        case(f"llm-compressor/magnitude-{s}", "llm-compressor", kept, "llm-compressor", match="mask", sparsity=s)

        # No peer prunes by scores with a sign: k = round(s * n), the first k of a stable argsort go.
        kept = {}
        for name in TORCH:
            score = scores[f"signed/{name}"].numpy()
            mask = np.ones(score.size, bool)
            mask[np.argsort(score, axis=None, kind="stable")[:round(s * score.size)]] = False
            kept[name] = torch.from_numpy(mask.reshape(score.shape))
        case(f"numpy/signed-{s}", "numpy", kept, "lopper", match="mask", sparsity=s, score="signed-file")


def main():
    torch_cases()
    tfmot_cases()
    wanda_cases()
    other_cases()
    save_file(weights, HERE / "weights.safetensors")
    save_file(norms, HERE / "activations.safetensors")
    signed = {name.removeprefix("signed/"): t for name, t in scores.items() if name.startswith("signed/")}
    save_file({name: t for name, t in scores.items() if name in weights}, HERE / "scores.safetensors")
    save_file(signed, HERE / "signed_scores.safetensors")
    save_file(masks, HERE / "masks.safetensors")
    lines = ",\n".join(json.dumps(one) for one in cases)
    (HERE / "cases.json").write_text(f"[\n{lines}\n]\n")
    total = sum(path.stat().st_size for path in HERE.iterdir())
    print(f"torch {torch.__version__}, numpy {np.__version__}: {len(cases)} cases, {len(masks)} masks, {total:,} bytes")
    assert total < 300_000


if __name__ == "__main__":
    main()
