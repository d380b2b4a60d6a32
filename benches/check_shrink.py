#!/usr/bin/env python3
"""Runs a checkpoint that `lopper shrink` made, and the original with what went masked, in numpy, and compares what they give.

    pip install numpy
    lopper shrink MODEL -o SMALLER --sparsity 0.25 --report report.json [--unit head|layer]
    python benches/check_shrink.py MODEL SMALLER report.json [--tokens 48] [--arithmetic f64|f32|bf16]
    python benches/check_shrink.py mlp.safetensors small.safetensors report.json --data digits.safetensors

MODEL is a folder of a LLaMA-like or a BERT-like model, or the file of a chain of `fcN.weight` and `fcN.bias` with ReLU between.
It shares no code with lopper: sizes come from the smaller config.json alone, so that one which does not fit fails. The masked
model is the original with rows, biases and columns of the units that went set to 0, or without its layers. Tokens are random.
Arithmetic is that of float32 unless another is named; bf16 is float32 with the output of every layer rounded to bfloat16. Sums of
other lengths round otherwise, so the last line says how far the masked model in this arithmetic is from itself in float64.
"""

import argparse
import json
import math
import struct
from pathlib import Path

import numpy as np

TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32, "U8": np.uint8}


def read(path):
    """Name to array; bfloat16 as float32."""
    tensors = {}
    for file in sorted(path.glob("*.safetensors")) if path.is_dir() else [path]:
        data = file.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        for name, entry in json.loads(data[8:8 + length]).items():
            if name == "__metadata__":
                continue
            begin, end = (8 + length + at for at in entry["data_offsets"])
            if entry["dtype"] == "BF16":
                array = (np.frombuffer(data[begin:end], np.uint16).astype(np.uint32) << 16).view(np.float32)
            else:
                array = np.frombuffer(data[begin:end], TYPES[entry["dtype"]])
            array = array.astype(np.float32) if array.dtype.kind == "f" else array
            tensors[name] = array.reshape(entry["shape"]).copy()
    return tensors


def to_bf16(x):
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


class Run:
    def __init__(self, tensors, config, arithmetic):
        self.float = np.float64 if arithmetic == "f64" else np.float32
        self.t = {name: a.astype(self.float) if a.dtype.kind == "f" else a for name, a in tensors.items()}
        self.c, self.r = config, to_bf16 if arithmetic == "bf16" else lambda x: x

    def linear(self, x, name):
        y = x @ self.t[name + ".weight"].T
        return self.r(y + self.t[name + ".bias"] if name + ".bias" in self.t else y)

    def softmax(self, x):
        x = np.exp(x - x.max(-1, keepdims=True))
        return x / x.sum(-1, keepdims=True)

    def llama(self, tokens):
        c, n = self.c, len(tokens)
        heads = c["num_attention_heads"]
        shared = c.get("num_key_value_heads") or heads
        dim = c.get("head_dim") or c["hidden_size"] // heads
        x = self.r(self.t["model.embed_tokens.weight"][tokens])
        angle = np.outer(np.arange(n), c.get("rope_theta", 10000.0) ** (-np.arange(0, dim, 2) / dim))
        cos, sin = (np.concatenate([f(angle)] * 2, -1).astype(self.float)[:, None] for f in (np.cos, np.sin))
        turn = lambda v: v * cos + np.concatenate([-v[..., dim // 2:], v[..., :dim // 2]], -1) * sin
        norm = lambda v, name: self.r(v / np.sqrt((v * v).mean(-1, keepdims=True) + c["rms_norm_eps"]) * self.t[name])
        past = np.triu(np.full((n, n), -np.inf, self.float), 1)
        for layer in range(c["num_hidden_layers"]):
            p = f"model.layers.{layer}."
            h = norm(x, p + "input_layernorm.weight")
            q, k, v = (self.linear(h, p + f"self_attn.{part}_proj") for part in "qkv")
            q, k, v = turn(q.reshape(n, heads, dim)), turn(k.reshape(n, shared, dim)), v.reshape(n, shared, dim)
            k, v = (np.repeat(a, heads // shared, 1) for a in (k, v))
            scores = self.softmax(np.einsum("ihd,jhd->hij", q, k) / math.sqrt(dim) + past)
            x = self.r(x + self.linear(self.r(np.einsum("hij,jhd->ihd", scores, v)).reshape(n, -1), p + "self_attn.o_proj"))
            h = norm(x, p + "post_attention_layernorm.weight")
            gate, up = self.linear(h, p + "mlp.gate_proj"), self.linear(h, p + "mlp.up_proj")
            assert gate.shape[1] == c["intermediate_size"]
            x = self.r(x + self.linear(self.r(gate / (1 + np.exp(-gate)) * up), p + "mlp.down_proj"))
        x = norm(x, "model.norm.weight")
        return x @ self.t.get("lm_head.weight", self.t["model.embed_tokens.weight"]).T

    def bert(self, tokens):
        c, n = self.c, len(tokens)
        # What `pruned_heads` means: a head is as long as it was.
        dim = c["hidden_size"] // c["num_attention_heads"]
        erf = np.vectorize(math.erf, otypes=[self.float])
        p = next(name for name in self.t if name.endswith("embeddings.word_embeddings.weight"))[:-len("embeddings.word_embeddings.weight")]

        def norm(v, name):
            v = v - v.mean(-1, keepdims=True)
            v = v / np.sqrt((v * v).mean(-1, keepdims=True) + c["layer_norm_eps"])
            return self.r(v * self.t[name + ".weight"] + self.t[name + ".bias"])

        e = p + "embeddings."
        x = self.t[e + "word_embeddings.weight"][tokens] + self.t[e + "position_embeddings.weight"][:n]
        x = norm(x + self.t[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
        for layer in range(c["num_hidden_layers"]):
            q = f"{p}encoder.layer.{layer}."
            heads = c["num_attention_heads"] - len(c.get("pruned_heads", {}).get(str(layer), []))
            a = [self.linear(x, q + f"attention.self.{part}").reshape(n, heads, dim) for part in ("query", "key", "value")]
            scores = self.softmax(np.einsum("ihd,jhd->hij", a[0], a[1]) / math.sqrt(dim))
            h = self.r(np.einsum("hij,jhd->ihd", scores, a[2])).reshape(n, -1)
            x = norm(x + self.linear(h, q + "attention.output.dense"), q + "attention.output.LayerNorm")
            h = self.linear(x, q + "intermediate.dense")
            assert h.shape[1] == c["intermediate_size"]
            h = self.r(h * (1 + erf(h / math.sqrt(2))) / 2)
            x = norm(x + self.linear(h, q + "output.dense"), q + "output.LayerNorm")
        return x

    def chain(self, x):
        count = sum(name.endswith(".weight") for name in self.t)
        for layer in range(1, count + 1):
            x = self.linear(x.astype(self.float), f"fc{layer}")
            x = np.maximum(x, 0) if layer < count else x
        return x


def mask(tensors, config, report):
    """The original with what went set to 0; a configuration that goes with it."""
    config = dict(config)
    for coupling in report["couplings"]:
        gone = np.array(coupling["removed"], int)
        name = coupling["name"]
        if report["unit"] == "layer":
            stay = [layer for layer in range(coupling["units"]) if layer not in coupling["removed"]]
            for old in list(tensors):
                if old.startswith(name + "."):
                    number, rest = old[len(name) + 1:].split(".", 1)
                    array = tensors.pop(old)
                    if int(number) in stay:
                        tensors[f"{name}.{stay.index(int(number))}.{rest}~"] = array
            for old in [n for n in tensors if n.endswith("~")]:
                tensors[old[:-1]] = tensors.pop(old)
            config["num_hidden_layers"] = len(stay)
            continue
        if name.endswith("mlp"):
            rows, columns = [f"{name}.gate_proj", f"{name}.up_proj"], [f"{name}.down_proj"]
        elif name.endswith("self_attn"):
            rows, columns = [f"{name}.{part}_proj" for part in "qkv"], [f"{name}.o_proj"]
        elif name.endswith("intermediate"):
            rows, columns = [f"{name}.dense"], [name[:-len("intermediate")] + "output.dense"]
        elif name.endswith("attention"):
            rows, columns = [f"{name}.self.{part}" for part in ("query", "key", "value")], [f"{name}.output.dense"]
        else:
            layer = int(name[2:].split(".")[0])
            rows, columns = [f"fc{layer}"], [f"fc{layer + 1}"]
        places = lambda length: (gone[:, None] * (length // coupling["units"]) + np.arange(length // coupling["units"])).ravel()
        for row in rows:
            for part in (".weight", ".bias"):
                if row + part in tensors:
                    tensors[row + part][places(len(tensors[row + part]))] = 0
        for column in columns:
            weight = tensors[column + ".weight"]
            weight[:, places(weight.shape[1])] = 0
    return tensors, config


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("original", type=Path)
    parser.add_argument("smaller", type=Path)
    parser.add_argument("report", type=Path)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--arithmetic", choices=["f64", "f32", "bf16"], default="f32")
    parser.add_argument("--data", type=Path, help="for a chain: a file with test.images and test.labels")
    args = parser.parse_args()
    report = json.loads(args.report.read_text())
    config = lambda path: json.loads((path / "config.json").read_text()) if path.is_dir() else {}
    whole = (read(args.original), config(args.original))
    masked = mask({name: array.copy() for name, array in whole[0].items()}, whole[1], report)
    smaller = (read(args.smaller), config(args.smaller))
    if args.data:
        data = read(args.data)
        x = data["test.images"]
    else:
        x = np.random.default_rng(5).integers(0, whole[1]["vocab_size"], args.tokens)
    kind = "chain" if args.data else "bert" if "bert" in whole[1]["model_type"] else "llama"
    run = lambda model, arithmetic: getattr(Run(*model, arithmetic), kind)(x).astype(np.float64)
    given = [run(model, args.arithmetic) for model in (whole, masked, smaller)]
    distance = lambda a, b: np.linalg.norm(a - b) / np.linalg.norm(b)
    size = lambda tensors: sum(array.size for array in tensors.values())
    print(f"{kind}, {report['unit']}s, {size(whole[0]):,} numbers, {size(smaller[0]):,} left"
          f" ({100 * size(smaller[0]) / size(whole[0]):.2f} %)")
    print(f"smaller against masked:   {distance(given[2], given[1]):.2e}")
    print(f"smaller against original: {distance(given[2], given[0]):.2e}")
    if args.arithmetic != "f64":
        print(f"masked, {args.arithmetic} against f64: {distance(given[1], run(masked, 'f64')):.2e}")
    if args.data:
        right = [int((y.argmax(1) == data["test.labels"]).sum()) for y in given]
        print(f"right, original, masked and smaller: {right}")


if __name__ == "__main__":
    main()
