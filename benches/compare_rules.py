#!/usr/bin/env python3
"""Which weights `lopper prune` takes by each of its rules, against the same rule in numpy. Sibling of compare_masks.py.

    pip install torch safetensors numpy
    cargo build --release
    python benches/compare_rules.py target/release/lopper MODEL... [--activations FILE] [--rules GLOB...]
    python benches/compare_rules.py --golden     # the rules as written here, against tests/data/golden

MODEL is a .safetensors file, or a folder with one or several. For every model and rule of RULES below lopper runs once;
its report says which tensors were pruned, and all outputs are read with nothing but numpy:

- weights: a stable argsort of the scores of those that compete. The output must be equal to the bit: +0.0 where pruned,
  the input's bits elsewhere, and the input's bytes in tensors that were not selected. Tensors too small for a block
  are excluded.
- rows, columns and blocks: norms in float64. Units whose norm is within 1e-5 of the cut may be taken for each other,
  since sums depend on their order; how many are pruned must be equal.
- random: how many are pruned per tensor; the same output for the same seed, another for another.

Scores are made up, with ties, and so are norms of inputs where --activations has none. Prints a line per rule:
tensors, weights, weights that differ, and units that were taken for each other. Exits with 1 if one differs that may
not. Torch is only there for compare_masks.py. Memory: about 40 bytes per weight for scope `global`.
"""

import argparse
import fnmatch
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from compare_masks import tensors, values
from torch_l1 import shards_of

GOLDEN = Path(__file__).parent.parent / "tests/data/golden"
NEAR = 1e-5


def rule(sparsity=None, keep=None, of=None, unit="weight", block=None, norm="l2", scope="tensor", score="magnitude",
         compat="lopper", layout="out-in"):
    """A rule, with lopper's defaults; `block` is (rows, columns), with unit `block`."""
    return argparse.Namespace(**locals())


RULES = {
    "magnitude, tensor": rule(0.5),
    "magnitude, row": rule(0.5, scope="row"),
    "magnitude, global": rule(0.5, scope="global"),
    "magnitude, row, in-out": rule(0.3, scope="row", layout="in-out"),
    "magnitude, 2:4": rule(keep=2, of=4),
    "magnitude, 4:8": rule(keep=4, of=8),
    "magnitude, 1:32": rule(keep=1, of=32),
    "magnitude, 16:32": rule(keep=16, of=32),
    "magnitude, 2:6": rule(keep=2, of=6),
    "magnitude, 2:4, in-out": rule(keep=2, of=4, layout="in-out"),
    "rows, l1": rule(0.3, unit="row", norm="l1"),
    "rows, l2": rule(0.3, unit="row", norm="l2"),
    "rows, linf": rule(0.3, unit="row", norm="linf"),
    "rows, mean, global": rule(0.3, unit="row", norm="mean", scope="global"),
    "columns, l2": rule(0.3, unit="column", norm="l2"),
    "columns, l1, in-out": rule(0.3, unit="column", norm="l1", layout="in-out"),
    "blocks 4x4, mean": rule(0.5, unit="block", block=(4, 4), norm="mean"),
    "blocks 1x16, linf": rule(0.5, unit="block", block=(1, 16), norm="linf"),
    "blocks 5x7, l2": rule(0.5, unit="block", block=(5, 7), norm="l2"),
    "wanda, row": rule(0.5, score="wanda", scope="row"),
    "wanda, row, as wanda": rule(0.3, score="wanda", scope="row", compat="wanda"),
    "wanda, 2:4": rule(score="wanda", keep=2, of=4),
    "file, tensor": rule(0.5, score="file"),
    "file, rows, l1": rule(0.3, score="file", unit="row", norm="l1"),
    "signed file, tensor": rule(0.5, score="signed-file"),
    "random, tensor": rule(0.5, score="random"),
    "random, row": rule(0.3, score="random", scope="row"),
    "magnitude, as tfmot": rule(0.5, compat="tfmot"),
    "magnitude, as wanda": rule(0.3, compat="wanda-magnitude"),
    "magnitude, as llm-compressor": rule(0.3, compat="llm-compressor"),
}


def options(rule, files, seed=7):
    """The rule as lopper's options; those that are its defaults are left out."""
    words = ["--keep", rule.keep, "--of", rule.of, "--unit", "nm"] if rule.of else ["--sparsity", rule.sparsity]
    if rule.unit != "weight":
        words += ["--unit", "{}x{}".format(*rule.block) if rule.block else rule.unit, "--norm", rule.norm]
    words += {"wanda": ["--activations", files["wanda"]], "random": ["--seed", seed],
              "file": ["--scores", files["file"]], "signed-file": ["--scores", files["signed-file"]]}.get(rule.score, [])
    for name, default in [("scope", "tensor"), ("score", "magnitude"), ("layout", "out-in"), ("compat", "lopper")]:
        if getattr(rule, name) != default:
            words += [f"--{name}", getattr(rule, name)]
    return [str(word) for word in words]


def cut(rule, n):
    """How many of n go, counting from the lowest, and what becomes of those that tie with the last of them."""
    if rule.of:
        return n - min(rule.keep, n), "exact"
    s = rule.sparsity
    if rule.compat == "wanda":
        return int(s * n), "exact"
    if rule.compat == "wanda-magnitude":
        return min(int(s * n) + 1, n), "go"
    if rule.compat == "llm-compressor":
        return int(s * n), "go"
    if rule.compat == "tfmot":
        # All below the last one that stays go; float32 is what tfmot counts in.
        stay = min(max(int(np.round(np.float32(n) * (np.float32(1) - np.float32(s)))), 1), n)
        return n - stay + 1, "stay"
    return round(s * n), "exact"


def goes(rule, scores):
    """Which go of those that compete along the last axis. NaN last; of equal ones the first."""
    k, ties = cut(rule, scores.shape[-1])
    gone = np.zeros(scores.shape, bool)
    if k == 0:
        return gone
    ranked = np.argsort(scores, axis=-1, kind="stable")
    if ties == "exact":
        np.put_along_axis(gone, ranked[..., :k], True, axis=-1)
        return gone
    last = np.take_along_axis(scores, ranked[..., k - 1:k], axis=-1)
    return scores <= last if ties == "go" else scores < last


def axes(rule, array):
    """A tensor as [outputs, inputs, kernel], whatever its layout; a kernel has one place but in convolutions."""
    if rule.layout == "out-in":
        return array.reshape(*array.shape[:2], -1)
    return array.reshape(-1, *array.shape[-2:]).transpose(2, 1, 0)


def logical(rule, array):
    """A tensor as [outputs, inputs and kernel]: in this order ties go, and blocks lie."""
    return axes(rule, array).reshape(array.shape[0 if rule.layout == "out-in" else -1], -1)


def along_inputs(rule, shape, vector):
    """A vector with an element per input, in a shape that broadcasts to the tensor's."""
    axis = 1 if rule.layout == "out-in" else len(shape) - 2
    return vector.reshape([-1 if i == axis else 1 for i in range(len(shape))])


def inputs_of(rule, shape):
    return shape[1] if rule.layout == "out-in" else shape[-2]


def scores_of(rule, name, weights, files):
    """A score per weight, in float32, shaped as the weights."""
    if rule.score in ("file", "signed-file"):
        return files.get(rule.score, name).reshape(weights.shape)
    if rule.score == "wanda":
        return np.abs(weights) * along_inputs(rule, weights.shape, files.get("wanda", name))
    return np.abs(weights)


def units_of(rule, shape):
    """The number of the unit of each weight, as [outputs, inputs and kernel], and how many there are."""
    if rule.unit == "column":
        inputs = inputs_of(rule, shape)
        return logical(rule, np.broadcast_to(along_inputs(rule, shape, np.arange(inputs)), shape)), inputs
    rows, cols = logical(rule, np.empty(shape, np.uint8)).shape
    row, col = np.arange(rows)[:, None], np.arange(cols)[None, :]
    if rule.unit == "row":
        return np.broadcast_to(row, (rows, cols)), rows
    across = -(-cols // rule.block[1])
    return row // rule.block[0] * across + col // rule.block[1], -(-rows // rule.block[0]) * across


def norms_of(rule, scores, unit, count):
    """The norm of each unit's scores, in float64."""
    unit, scores = unit.ravel(), np.abs(scores.ravel().astype(np.float64))
    if rule.norm == "linf":
        norms = np.zeros(count)
        np.maximum.at(norms, unit, scores)
        return norms
    sums = np.bincount(unit, scores**2 if rule.norm == "l2" else scores, count)
    return {"l1": lambda: sums, "l2": lambda: np.sqrt(sums), "mean": lambda: sums / np.bincount(unit, None, count)}[
        rule.norm]()


def together(rule, parts):
    """`goes` in the rule's scope, of one vector of scores per tensor."""
    if rule.scope != "global":
        return [goes(rule, part) for part in parts]
    gone = goes(rule, np.concatenate(parts))
    return np.split(gone, np.cumsum([part.size for part in parts])[:-1])


def reference(rule, chosen, files):
    """Per tensor: which weights go, as [outputs, inputs and kernel], and, for units, (unit, norms, which units go).

    `chosen` has (name, weights in float32). One tensor after the other, but for scope `global`.
    """
    if rule.scope == "global":
        yield from reference_parts(rule, chosen, files)
    else:
        for one in chosen:
            yield from reference_parts(rule, [one], files)


def groups(rule, scores):
    """N:M along the inputs, at each place of the kernel, of scores as [outputs, inputs, kernel]. A tail stays."""
    outputs, inputs, kernel = scores.shape
    whole = inputs // rule.of * rule.of
    gone = np.zeros(scores.shape, bool)
    along = scores[:, :whole].transpose(0, 2, 1).reshape(outputs, kernel, -1, rule.of)
    gone[:, :whole] = goes(rule, along).reshape(outputs, kernel, whole).transpose(0, 2, 1)
    return gone


def reference_parts(rule, chosen, files):
    found = [scores_of(rule, name, weights, files) for name, weights in chosen]
    if rule.of:
        for scores in found:
            yield groups(rule, axes(rule, scores)).reshape(logical(rule, scores).shape), None
        return
    found = [logical(rule, scores) for scores in found]
    if rule.unit != "weight":
        units = [units_of(rule, weights.shape) for _, weights in chosen]
        norms = [norms_of(rule, scores, *unit) for scores, unit in zip(found, units)]
        for (unit, _), norm, gone in zip(units, norms, together(rule, norms)):
            yield gone[unit], (unit, norm, gone)
    elif rule.scope == "row":
        for scores in found:
            yield goes(rule, scores), None
    else:
        for scores, gone in zip(found, together(rule, [scores.ravel() for scores in found])):
            yield gone.reshape(scores.shape), None


class Files:
    """Files of scores: the user's norms of inputs, and what is made up."""

    def __init__(self, paths):
        self.paths = paths
        self.open = {score: safe_open(path, "numpy") for score, path in paths.items()}

    def __getitem__(self, score):
        return self.paths[score]

    def get(self, score, name):
        return self.open[score].get_tensor(name)


def make_up(scratch, chosen, activations):
    """Files with scores for these tensors, (name, weights): a third of them small whole numbers, so that many tie."""
    random = np.random.default_rng(5)
    paths = {"wanda": activations or scratch / "norms.safetensors", "file": scratch / "scores.safetensors",
             "signed-file": scratch / "signed.safetensors"}
    if not activations:
        save_file({name: np.exp(random.standard_normal(weights.shape[1])).astype(np.float32)
                   for name, weights in chosen}, paths["wanda"])
    signed = {}
    for name, weights in chosen:
        scores = random.standard_normal(weights.shape, np.float32)
        signed[name] = np.where(random.random(weights.shape, np.float32) < 1 / 3, np.round(scores), scores)
    save_file(signed, paths["signed-file"])
    save_file({name: np.abs(scores) for name, scores in signed.items()}, paths["file"])
    return Files(paths)


class Tally:
    """What a rule came to."""

    def __init__(self):
        self.tensors = self.weights = self.differ = self.near = 0
        self.wrong = []

    def add(self, rule, name, bits, out, gone, units):
        """`bits` and `out` are input and output as [outputs, inputs and kernel]."""
        self.tensors += 1
        self.weights += bits.size
        differ = out != np.where(gone, np.zeros_like(bits), bits)
        if not differ.any():
            return
        if units and (taken := self.taken_for_each_other(bits, out, gone, differ, *units)):
            self.near += taken
            return
        self.differ += int(np.count_nonzero(differ))
        self.wrong.append(f"{name}: {np.count_nonzero(differ):,} of {bits.size:,} weights differ")

    @staticmethod
    def taken_for_each_other(bits, out, gone, differ, unit, norms, units_gone):
        """How many units differ, where they are all near the cut and as many go as should; 0 otherwise."""
        odd = np.unique(unit[differ])
        # Those that should go are untouched, and those that should stay are zero.
        if not np.array_equal(out[differ], np.where(gone, bits, np.zeros_like(bits))[differ]):
            return 0
        if not all(np.array_equal(differ[unit == u], bits[unit == u] != 0) for u in odd):
            return 0
        edge = norms[units_gone].max()
        near = np.abs(norms[odd] - edge) <= NEAR * edge
        return len(odd) if near.all() and 2 * np.count_nonzero(units_gone[odd]) == len(odd) else 0

    def add_random(self, rule, name, bits, out):
        """Counts alone, and that what is left is the input's."""
        self.tensors += 1
        self.weights += bits.size
        k = cut(rule, out.shape[1] if rule.scope == "row" else out.size)[0]
        pruned = (out != bits) | (bits == 0)  # a weight of +0.0 may have been pruned
        spare = np.count_nonzero(bits == 0, axis=1)
        counts = np.count_nonzero(pruned, axis=1)
        if rule.scope != "row":
            counts, spare = counts.sum(), spare.sum()
        bad = np.count_nonzero((counts < k) | (counts - spare > k)) + np.count_nonzero(out[out != bits])
        if bad:
            self.differ += int(bad)
            self.wrong.append(f"{name}: another count than {k:,}, or weights that are neither kept nor 0")


def run(args, model, target, report, words):
    """Runs lopper; None, or what it says where it fails."""
    command = [args.lopper, "prune", model, "-o", target, "--quiet", "--report", report, *words]
    for name in ("adapter", "memory"):
        if getattr(args, name):
            command += [f"--{name}", getattr(args, name)]
    for glob in args.include or []:
        command += ["--include", glob]
    done = subprocess.run(command, capture_output=True, text=True)
    return None if done.returncode == 0 else (done.stderr.strip() or f"exit {done.returncode}").splitlines()[0]


def pruned_of(report):
    return {t["name"] for t in json.loads(report.read_text())["tensors"] if t["action"] == "prune"}


def load(model, folder=None):
    """(name, dtype, shape, bits) of all tensors of a model, or of its output in a folder, in file order."""
    return [part for shard in shards_of(model)[0] for part in tensors(folder / shard.name if folder else shard)[1]]


def too_small(rule, chosen):
    """Tensors that a block is too large for, which lopper refuses."""
    shapes = {name: logical(rule, weights).shape for name, weights in chosen} if rule.block else {}
    return [name for name, shape in shapes.items() if shape[0] < rule.block[0] or shape[1] < rule.block[1]]


def compare(args, model, inputs, rule, files, chosen, scratch):
    tally = Tally()
    excluded = [word for name in too_small(rule, chosen) for word in ("--exclude", name)]

    def output(what, seed):
        folder = scratch / what
        folder.mkdir()
        failed = run(args, model, folder / model.name if model.is_file() else folder / "out", folder / "report.json",
                     options(rule, files, seed) + excluded)
        if failed:
            tally.wrong.append(failed)
            return None, None
        return pruned_of(folder / "report.json"), load(model, folder if model.is_file() else folder / "out")

    selected, outs = output("first", 7)
    if selected is None:
        return tally
    pairs = []
    for (tensor, dtype, shape, bits), (_, _, _, out) in zip(inputs, outs, strict=True):
        if tensor in selected:
            pairs.append((tensor, dtype, bits.reshape(shape), out.reshape(shape)))
        elif not np.array_equal(bits, out):
            tally.wrong.append(f"{tensor}: is not selected, and was changed")
    if rule.score == "random":
        for tensor, _, bits, out in pairs:
            tally.add_random(rule, tensor, logical(rule, bits), logical(rule, out))
        for seed, same in [(7, True), (8, False)]:
            again = output(f"seed {seed}", seed)[1]
            if again and same != all(np.array_equal(a[3], b[3]) for a, b in zip(outs, again)):
                tally.wrong.append("seeds 7 and 7 differ" if same else "seeds 7 and 8 do the same")
        return tally
    chosen = [(tensor, values(dtype, bits.ravel()).reshape(bits.shape)) for tensor, dtype, bits, _ in pairs]
    for (tensor, _, bits, out), (gone, units) in zip(pairs, reference(rule, chosen, files)):
        tally.add(rule, tensor, logical(rule, bits), logical(rule, out), gone, units)
    return tally


def check_model(args, model, scratch):
    """A line per rule; returns whether one was wrong."""
    failed = run(args, model, scratch / "none", scratch / "dry.json", ["--sparsity", "0.5", "--dry-run"])
    if failed:
        sys.exit(f"{model}: {failed}")
    inputs, selected = load(model), pruned_of(scratch / "dry.json")
    chosen = [(n, values(d, b).reshape(s)) for n, d, s, b in inputs if n in selected]
    files, wrong = make_up(scratch, chosen, args.activations), False
    for i, (name, rule) in enumerate(RULES.items()):
        if not any(fnmatch.fnmatch(name, glob) for glob in args.rules):
            continue
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            tally = compare(args, model, inputs, rule, files, chosen, Path(folder))
        print(f"{model.stem[:20]:20} {name:30} {tally.tensors:7,} {tally.weights:13,} {tally.differ:11,}"
              f" {tally.near:5,}", flush=True)
        for line in tally.wrong[:5]:
            print(f"MISMATCH: {name}: {line}", flush=True)
        wrong |= bool(tally.wrong)
    return wrong


def check_golden():
    """The rules as written here against the peers' masks; returns whether one was wrong."""
    weights, masks = load(GOLDEN / "weights.safetensors"), safe_open(GOLDEN / "masks.safetensors", "numpy")
    weights = {name: values(dtype, bits).reshape(shape) for name, dtype, shape, bits in weights}
    files = Files({"wanda": GOLDEN / "activations.safetensors", "file": GOLDEN / "scores.safetensors",
                   "signed-file": GOLDEN / "signed_scores.safetensors"})
    tally = dict.fromkeys(["equal", "equal but for ties", "not compared"], 0)
    wrong = 0
    for case in json.loads((GOLDEN / "cases.json").read_text()):
        known = {key: case[key] for key in vars(rule()) if key in case and case[key] != "group"}
        chosen = [(name, weights[name]) for name in case["tensors"]]
        for (name, w), (gone, _) in zip(chosen, reference(rule(**known), chosen, files)):
            golden = logical(rule(**known), masks.get_tensor(f"{case['case']}/{name}") == 0)
            if case["match"] in ("differs", "count"):
                tally["not compared"] += 1
            elif np.array_equal(gone, golden):
                tally["equal"] += 1
            elif case["match"] == "cut" and (case["scope"] == "global" or gone.sum() == golden.sum()):
                tally["equal but for ties"] += 1
            else:
                wrong += 1
                print(f"MISMATCH: {case['case']}: {name}: {np.count_nonzero(gone != golden)} weights")
    print(", ".join(f"{count} masks {what}" for what, count in tally.items()) + f", {wrong} wrong")
    return wrong > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lopper", type=Path, nargs="?", help="the binary")
    parser.add_argument("models", type=Path, nargs="*", metavar="MODEL")
    parser.add_argument("--activations", type=Path, help="norms of inputs, for all tensors that are pruned")
    parser.add_argument("--rules", nargs="+", default=["*"], metavar="GLOB", help="only rules of these names")
    parser.add_argument("--include", nargs="+", metavar="GLOB", help="passed on to lopper")
    parser.add_argument("--scratch", type=Path, help="where outputs go meanwhile, one at a time")
    parser.add_argument("--adapter", help="passed on to lopper")
    parser.add_argument("--memory", help="passed on to lopper")
    parser.add_argument("--golden", action="store_true", help="compare with the golden masks, and run no lopper")
    args = parser.parse_args()
    if args.golden:
        sys.exit(check_golden())
    if not args.models:
        parser.error("the binary and a MODEL are needed")
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    print(f"{'model':20} {'rule':30} {'tensors':>7} {'weights':>13} {'differing':>11} {'near':>5}")
    wrong = False
    for model in args.models:
        with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
            wrong |= check_model(args, model, Path(scratch))
    print("MISMATCH" if wrong else "no difference that may not be")
    sys.exit(wrong)


if __name__ == "__main__":
    main()
