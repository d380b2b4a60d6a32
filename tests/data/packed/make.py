"""Makes the fixtures of this folder, and checks lopper's files: pip install compressed-tensors==0.14.0 'transformers<5' torch

    python make.py                      writes dense.safetensors and what the package makes of it
    python make.py check PACKED DENSE   reads PACKED with the package, and compares it with DENSE
"""

import json
import pathlib
import sys

import torch
from compressed_tensors.compressors import BaseCompressor, ModelCompressor
from compressed_tensors.config import BitmaskConfig, Sparse24BitMaskConfig
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
CONFIGS = {"sparse-bitmask": BitmaskConfig, "sparse-24-bitmask": Sparse24BitMaskConfig}


def compressor(name):
    structure = "2:4" if "24" in name else "unstructured"
    return BaseCompressor.load_from_registry(name, config=CONFIGS[name](format=name, sparsity_structure=structure))


def make():
    torch.manual_seed(1)
    # Awkward columns; every type; no -0.0, of which the package loses the sign.
    dense = {}
    for name, dtype, shape in [
        ("a", torch.float32, (5, 7)),
        ("b", torch.float16, (3, 16)),
        ("c", torch.bfloat16, (9, 33)),
        ("d", torch.float8_e4m3fn, (4, 10)),
        ("empty", torch.float32, (2, 9)),
    ]:
        values = torch.randn(shape)
        values[torch.rand(shape) < (1.0 if name == "empty" else 0.6)] = 0
        dense[f"{name}.weight"] = values.to(dtype)
    dense["a.bias"] = torch.randn(5)
    two = {}
    for name, dtype, shape in [("a", torch.float32, (5, 12)), ("b", torch.float16, (3, 16)), ("c", torch.bfloat16, (6, 4))]:
        values = torch.randn(shape)
        order = values.abs().view(-1, 4).argsort(dim=1)
        values.view(-1, 4).scatter_(1, order[:, :2], 0)
        values.view(-1, 4)[0] = torch.tensor([0.0, 0.0, 0.5, 0.0])
        two[f"{name}.weight"] = values.to(dtype)
    two["a.bias"] = torch.randn(5)
    for name, tensors in [("sparse-bitmask", dense), ("sparse-24-bitmask", two)]:
        save_file(tensors, HERE / f"{name}.dense.safetensors")
        targets = {key[: -len(".weight")] for key in tensors if key.endswith(".weight")}
        packed = compressor(name).compress(dict(tensors), compression_targets=targets)
        save_file(packed, HERE / f"{name}.safetensors")
        # As releases up to 0.8.1 named them.
        parts = ("compressed", "bitmask", "row_offsets", "shape")
        old = {k if not k.endswith(parts) else k[: k.rindex(".")] + ".weight" + k[k.rindex(".") :]: v for k, v in packed.items()}
        save_file(old, HERE / f"{name}.old.safetensors")


def check(packed, dense):
    packed, dense = pathlib.Path(packed), pathlib.Path(dense)
    config = json.loads((packed / "config.json").read_text())["quantization_config"]
    sparsity = ModelCompressor.parse_sparsity_config(config)
    quantization = ModelCompressor.parse_quantization_config(config)
    assert config["quant_method"] == "compressed-tensors" and not quantization, quantization
    found = dict(compressor(sparsity["format"]).decompress(str(packed)))
    expected = {}
    for shard in sorted(dense.glob("*.safetensors")):
        expected |= load_file(shard)
    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and found[name].shape == value.shape, name
        assert torch.equal(found[name].contiguous().view(torch.uint8), value.contiguous().view(torch.uint8)), name
    print(f"{len(found)} tensors are the same; sparsity_config: {json.dumps(sparsity)[:200]}")


if __name__ == "__main__":
    check(*sys.argv[2:]) if sys.argv[1:2] == ["check"] else make()
