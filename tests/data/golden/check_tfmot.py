#!/usr/bin/env python3
"""Compares the masks that make.py has written by tfmot's formulas with those of tfmot itself.

    pip install tensorflow-cpu tf-keras tensorflow-model-optimization safetensors
    TF_USE_LEGACY_KERAS=1 python tests/data/golden/check_tfmot.py

Prints a line per case that differs; exits with 1 if one does.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
from safetensors import safe_open
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_impl import Pruning

HERE = Path(__file__).parent


def schedule(case):
    if "polynomial" in case["case"]:
        return tfmot.sparsity.keras.PolynomialDecay(0.0, 0.5, 0, 100, frequency=1)
    return tfmot.sparsity.keras.ConstantSparsity(case.get("sparsity", 0.5), 0, frequency=1)


def mask_of(case, weights):
    """What tfmot keeps of a tensor in a training step, as its wrapper of layers asks for it."""
    variables = [tf.Variable(weights), tf.Variable(tf.ones_like(weights)), tf.Variable(0.0)]
    block = tuple(reversed(case.get("block", [1, 1])))  # outputs, inputs; its kernels are inputs, outputs
    m_by_n = (case["of"] - case["keep"], case["of"]) if "of" in case else None
    pooling = {"mean": "AVG", "linf": "MAX"}.get(case.get("norm"), "AVG")
    step = tf.constant(1 if m_by_n else 40, tf.int64)  # m by n is looked at in step 1 alone
    pruning = Pruning(lambda: step, [variables], schedule(case), block, pooling, m_by_n)
    pruning.conditional_mask_update()
    return variables[1].numpy() != 0


def main():
    weights = safe_open(HERE / "weights.safetensors", "numpy")
    masks = safe_open(HERE / "masks.safetensors", "numpy")
    compared = wrong = 0
    for case in json.loads((HERE / "cases.json").read_text()):
        for tensor in case["tensors"] if case["peer"] == "tfmot" else []:
            golden = masks.get_tensor(f"{case['case']}/{tensor}") != 0
            differ = np.count_nonzero(mask_of(case, weights.get_tensor(tensor)) != golden)
            compared += 1
            if differ:
                wrong += 1
                print(f"{case['case']}: {tensor}: {differ} weights differ")
    print(f"tfmot {tfmot.__version__}, TensorFlow {tf.__version__}: {compared} masks compared, {wrong} differ")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
