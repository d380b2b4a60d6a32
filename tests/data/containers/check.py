"""Has lopper write files of every format, loads them with the packages whose formats they are, and compares.

    python tests/data/containers/check.py target/debug/lopper

Prunes each fixture into a copy, and converts each to every format that can be made; what lopper reads of a pruned file is
what it converts to safetensors. Needs an adapter (see scripts/driver.sh) and the packages of make.py.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import gguf
import h5py
import ml_dtypes
import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import load_file

HERE = Path(__file__).parent
LOPPER = Path(sys.argv[1]).resolve()
checked = 0


def lopper(*arguments):
    subprocess.run([LOPPER, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def bits(array):
    array = np.asarray(array)
    return array.shape, array.astype(array.dtype.newbyteorder("=")).tobytes()


def tensor_bits(tensor):
    tensor = tensor.contiguous()
    raw = tensor.reshape(-1).view(torch.uint8) if tensor.numel() else torch.zeros(0, dtype=torch.uint8)
    return tuple(tensor.shape), raw.numpy().tobytes()


def load(path):
    """Name -> (shape, little-endian bytes in row-major order), by the format's own package."""
    name = path.name
    if name.endswith(".safetensors"):
        return {k: tensor_bits(v) for k, v in load_file(path).items()}
    if name.endswith(".npy"):
        return {"": bits(np.ascontiguousarray(np.load(path)) if np.load(path).ndim else np.load(path))}
    if name.endswith(".npz"):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
        with np.load(path) as arrays:
            return {k: bits(np.array(arrays[k], order="C")) for k in arrays.files}
    if name.endswith(".gguf"):
        read = {}
        for tensor in gguf.GGUFReader(path).tensors:
            if tensor.tensor_type.name in ("F32", "F16", "BF16", "F64", "I8", "I16", "I32", "I64"):
                shape = tuple(int(dim) for dim in reversed(tensor.shape))
                read[tensor.name] = (shape, np.asarray(tensor.data).tobytes())
        return read
    if name.endswith(".onnx"):
        model = onnx.load(path)
        onnx.checker.check_model(model)
        return {t.name: bits(numpy_helper.to_array(t)) for t in model.graph.initializer}
    if name.endswith(".keras"):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            with archive.open("model.weights.h5") as weights:
                return datasets(weights)
    return datasets(path)


def datasets(handle):
    read = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and item.chunks is None and item.dtype.kind in "fiub":
            read[name] = bits(item[()])

    with h5py.File(handle) as file:
        file.visititems(visit)
    return read


def compare(what, ours, theirs):
    global checked
    assert ours.keys() == theirs.keys(), (what, ours.keys() ^ theirs.keys())
    for name in ours:
        assert ours[name] == theirs[name], (what, name)
    checked += len(ours)


with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    for source in sorted([*HERE.glob("*.np[yz]"), *HERE.glob("*.gguf"), *HERE.glob("*.onnx"), *HERE.glob("*.h5"), *HERE.glob("*.keras"), HERE / "beside/model.onnx"]):
        if source.name in ("objects.npz", "bfloat16.npy"):
            continue
        pruned = folder / source.name
        lopper("prune", source, "-o", pruned, "--sparsity", "0.5", "--all", "--force", "-q")
        before, after = load(source), load(pruned)
        assert before.keys() == after.keys() and before != after, source
        if source.name not in ("small.gguf", "typed.onnx", "odd.h5"):
            again = folder / "again.safetensors"
            lopper("convert", pruned, "-o", again, "--force", "-q")
            read = load(again)
            if source.name.endswith(".npy"):
                read = {"": next(iter(read.values()))}
            compare(source, read, after)
    for source in ("rows.npy", "arrays.npz", "compressed.npz", "state.pt", "training.pth", "aligned.gguf", "inside.onnx", "network.keras"):
        plain = folder / "plain.safetensors"
        lopper("convert", HERE / source, "-o", plain, "--force", "-q")
        for ending in ("npz", "gguf", "onnx"):
            out = folder / f"out.{ending}"
            done = subprocess.run([LOPPER, "convert", plain, "-o", out, "--force", "-q"], stderr=subprocess.PIPE, text=True)
            if done.returncode:
                print(f"{source} to {ending}: {done.stderr.strip()}")
                continue
            compare((source, ending), load(out), load(plain))
    import keras

    lopper("prune", HERE / "network.keras", "-o", folder / "half.keras", "--sparsity", "0.5", "--force", "-q")
    half = keras.saving.load_model(folder / "half.keras")
    shares = [float((np.asarray(w) == 0).mean()) for w in half.get_layer("dense").get_weights()]
    assert abs(shares[0] - 0.5) < 0.01, shares
print(f"{checked} tensors are the same in lopper's files and by the packages' own readers")
