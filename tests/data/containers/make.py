"""Writes the files beside it: small ones of every format that lopper reads besides safetensors, each made by the package whose
format it is. What is in them is written down in expected.safetensors, and what stands where in expected.json.

    pip install numpy ml_dtypes safetensors torch gguf onnx h5py keras
    KERAS_BACKEND=torch python tests/data/containers/make.py
"""

import json
import os
import zipfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import gguf
import ml_dtypes
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file

HERE = Path(__file__).parent
random = np.random.default_rng(7)
torch.manual_seed(7)
expected = {}  # "file/tensor" -> torch tensor
named = {}  # file -> names in order


def floats(*shape):
    return random.standard_normal(shape).astype(np.float32)


def note(file, name, tensor):
    if not isinstance(tensor, torch.Tensor):
        tensor = np.array(tensor, order="C", copy=True)
        if tensor.dtype == ml_dtypes.bfloat16:
            tensor = torch.from_numpy(tensor.view(np.int16)).view(torch.bfloat16)
        else:
            tensor = torch.from_numpy(tensor.astype(tensor.dtype.newbyteorder("=")))
    expected[f"{file}/{name}"] = tensor.detach().clone().contiguous()
    named.setdefault(file, []).append(name)


# NumPy: both orders, both byte orders, all of its types, shapes without dimensions or elements.
arrays = {
    "rows": floats(9, 14),
    "columns": np.asfortranarray(floats(8, 5, 3)),
    "big": floats(6, 7).astype(">f4"),
    "big_columns": np.asfortranarray(floats(7, 6)).astype(">f2", order="F"),
    "half": floats(10, 4).astype(np.float16),
    "double": random.standard_normal((3, 4)),
    "scalar": np.float32(2.5),
    "empty": np.zeros((0, 5), np.float32),
    "long": np.arange(6, dtype=np.int64),
    "truth": np.array([True, False, True]),
    "complex": (floats(4) + 1j * floats(4)).astype(np.complex64),
    "bytes/inner": np.arange(5, dtype=np.uint8),
}
for name in ("rows", "columns", "big"):
    np.save(HERE / f"{name}.npy", arrays[name])
    note(f"{name}.npy", name, arrays[name])
np.savez(HERE / "arrays.npz", **arrays)
np.savez_compressed(HERE / "compressed.npz", **arrays)
for file in ("arrays.npz", "compressed.npz"):
    for name, array in arrays.items():
        note(file, name, array)
np.savez(HERE / "objects.npz", good=floats(3, 4), objects=np.array([{"a": 1}], dtype=object))
np.save(HERE / "bfloat16.npy", floats(3, 4).astype(ml_dtypes.bfloat16))

# PyTorch: views, strides, shared storage, element types, nesting, parameters.
base = torch.randn(40)
shared = torch.randn(6, 8)
state = {
    "plain.weight": torch.randn(5, 7),
    "transposed": torch.randn(7, 5).t(),
    "view": base[8:20].view(3, 4),
    "strided": base[1:31:2],
    "shared.a": shared,
    "shared.b": shared[2:4],
    "permuted": torch.randn(2, 3, 4, 5).permute(3, 1, 0, 2),
    "expanded": torch.randn(4, 1).expand(4, 3),
    "bf16": torch.randn(6, 5).bfloat16(),
    "f16": torch.randn(6, 5).half(),
    "f64": torch.randn(2).double(),
    "i64": torch.arange(5),
    "i8": torch.arange(5, dtype=torch.int8),
    "u8": torch.arange(5, dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "scalar": torch.tensor(1.5),
    "empty": torch.zeros(0, 3),
    "fp8": torch.randn(4, 4).to(torch.float8_e4m3fn),
}
torch.save(state, HERE / "state.pt")
for name, tensor in state.items():
    note("state.pt", name, tensor)
model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
optimizer = torch.optim.Adam(model.parameters())
model(torch.randn(2, 6)).sum().backward()
optimizer.step()
training = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "best": 0.5, "lr": [1e-3]}
torch.save(training, HERE / "training.pth")


def walk(file, prefix, value):
    if isinstance(value, torch.Tensor):
        note(file, prefix, value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            walk(file, f"{prefix}.{key}" if prefix else str(key), inner)
    elif isinstance(value, (list, tuple)):
        for at, inner in enumerate(value):
            walk(file, f"{prefix}.{at}", inner)


walk("training.pth", "", training)
torch.save(model, HERE / "module.pt")  # refused: it names classes
torch.save(model.state_dict(), HERE / "legacy.pt", _use_new_zipfile_serialization=False)


class Evil:
    def __reduce__(self):
        return (os.system, ("touch /tmp/lopper-was-here",))


torch.save({"weight": torch.randn(2, 2), "evil": Evil()}, HERE / "evil.pt")

# GGUF: floats, an integer, a quantised tensor, an alignment of its own.
for file, alignment in (("small.gguf", 32), ("aligned.gguf", 128)):
    writer = gguf.GGUFWriter(HERE / file, "llama")
    if alignment != 32:
        writer.add_custom_alignment(alignment)
    writer.add_block_count(1)
    writer.add_token_list(["a", "b", "c"])
    tensors = {
        "token_embd.weight": floats(8, 32),
        "blk.0.ffn_up.weight": floats(12, 32),
        "blk.0.attn_q.weight": floats(6, 32).astype(np.float16),
        "blk.0.attn_norm.weight": floats(32),
        "positions": np.arange(7, dtype=np.int32),
    }
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
        note(file, name, tensor)
    half = floats(4, 32).astype(ml_dtypes.bfloat16)
    writer.add_tensor("blk.0.attn_k.weight", half.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
    note(file, "blk.0.attn_k.weight", half)
    if alignment == 32:
        quantised = gguf.quants.quantize(floats(4, 64), gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor("blk.0.ffn_down.weight", quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ONNX: raw and typed data, element types, data beside the model.
def initializers(file):
    made = []
    for name, array in {
        "w1": floats(6, 8),
        "w2": floats(8, 4).astype(np.float16),
        "b1": floats(8),
        "shape": np.array([2, 4], np.int64),
        "scalar": np.array(3.0, np.float32),
        "double": random.standard_normal((2, 3)),
    }.items():
        made.append(numpy_helper.from_array(array, name))
        note(file, name, array)
    half = floats(5, 4).astype(ml_dtypes.bfloat16)
    made.append(helper.make_tensor("bf16", TensorProto.BFLOAT16, half.shape, half.tobytes(), raw=True))
    note(file, "bf16", half)
    typed = floats(3, 5)
    made.append(helper.make_tensor("typed", TensorProto.FLOAT, typed.shape, typed.flatten().tolist()))
    note(file, "typed", typed)
    return made


def model_of(made):
    node = helper.make_node("MatMul", ["x", "w1"], ["y"])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 6])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 8])
    graph = helper.make_graph([node], "g", [x], [y], made)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])


onnx.save(model_of(initializers("inside.onnx")), HERE / "inside.onnx")
(HERE / "beside").mkdir(exist_ok=True)
onnx.save(
    model_of(initializers("beside/model.onnx")),
    HERE / "beside/model.onnx",
    save_as_external_data=True,
    location="weights.data",
    size_threshold=64,
)
longs = helper.make_tensor("longs", TensorProto.INT64, [3], [1, -1, 2])
onnx.save(model_of([numpy_helper.from_array(floats(6, 8), "w1"), longs]), HERE / "typed.onnx")

# Keras 3: a small model with convolution, dense and normalisation, its optimizer, as weights and as a whole.
import keras  # noqa: E402
import h5py  # noqa: E402

keras.utils.set_random_seed(7)
network = keras.Sequential(
    [
        keras.Input((8, 8, 2)),
        keras.layers.Conv2D(4, 3, name="conv"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Flatten(),
        keras.layers.Dense(5, activation="relu", name="dense"),
        keras.layers.Dense(3, name="head"),
    ]
)
network.compile("adam", "mse")
network.fit(floats(4, 8, 8, 2), floats(4, 3), verbose=0)
network.save(HERE / "network.keras")
network.save_weights(HERE / "network.weights.h5")
for file in ("network.keras", "network.weights.h5"):
    handle = HERE / file
    if file.endswith(".keras"):
        handle = zipfile.ZipFile(handle).open("model.weights.h5")

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu":
            note(file, name, item[()])

    h5py.File(handle).visititems(visit)
with h5py.File(HERE / "odd.h5", "w") as odd:
    odd["plain"] = floats(4, 5)
    odd["big"] = floats(4, 5).astype(">f4")
    odd["truth"] = np.array([True, False])
    odd.create_dataset("chunked", data=floats(8, 8), chunks=(4, 4), compression="gzip")
    odd["text"] = "hello"
    for name in ("plain", "big", "truth"):
        note("odd.h5", name, odd[name][()])
with h5py.File(HERE / "latest.h5", "w", libver="latest") as latest:
    latest["group/weight"] = floats(4, 5)
    note("latest.h5", "group/weight", latest["group/weight"][()])

save_file(expected, HERE / "expected.safetensors")
(HERE / "expected.json").write_text(json.dumps(named, indent=1) + "\n")
