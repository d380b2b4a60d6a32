#!/usr/bin/env python3
"""Peak memory of `lopper` on headers and indexes of 100 MB that are made to be as costly as they can be.

    cargo build --release
    benches/hostile_headers.py [--lopper target/release/lopper] [NAME...]

Writes each file to a temporary folder (100 MB and a few), runs `lopper prune FILE --dry-run --sparsity 0.5` and
`lopper verify FILE FILE` on it, and prints the largest resident set of each process, its seconds and its exit code.
Exits with 1 if one reached 1 GiB.
"""

import argparse
import itertools
import os
import struct
import subprocess
import sys
import tempfile
import time

SIZE = 100_000_000
LIMIT = 1 << 30
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def names():
    """Names that are all different and as short as can be."""
    for length in itertools.count(1):
        for letters in itertools.product(LETTERS, repeat=length):
            yield "".join(letters)


def fill(start, parts, end):
    """`start`, as many parts as fit with commas between them, `end`, and spaces up to the size."""
    text, room, first = [start], SIZE - len(start) - len(end), True
    for part in parts:
        part = part if first else "," + part
        if len(part) > room:
            break
        text.append(part)
        room, first = room - len(part), False
    return "".join([*text, end, " " * room])


def header(text):
    """A writer of a file with this header, and with one byte of data for each tensor of one weight."""

    def write(folder):
        made = text()
        with open(os.path.join(folder, "x.safetensors"), "wb") as file:
            file.write(struct.pack("<Q", len(made)) + made.encode())
            file.truncate(file.tell() + made.count("[1,1]"))

    return write


def index(text):
    def write(folder):
        with open(os.path.join(folder, "a.safetensors"), "wb") as file:
            file.write(struct.pack("<Q", 2) + b"{}")
        with open(os.path.join(folder, "model.safetensors.index.json"), "wb") as file:
            file.write(text().encode())

    return write


def tensors(dtype, shape, size):
    places = ((n, i * size, i * size + size) for i, n in enumerate(names()))
    return (f'"{n}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{a},{b}]}}' for n, a, b in places)


FILES = {
    "empty tensors, short names": header(lambda: fill("{", tensors("U8", "[0]", 0), "}")),
    "tensors of one weight": header(lambda: fill("{", tensors("F8_E5M2", "[1,1]", 1), "}")),
    "one tensor, all dimensions": header(
        lambda: fill('{"w":{"dtype":"F32","shape":[', itertools.repeat("0"), '],"data_offsets":[0,0]}}')
    ),
    "metadata": header(lambda: fill('{"__metadata__":{', (f'"{n}":""' for n in names()), "}}")),
    "escaped metadata": header(lambda: fill('{"__metadata__":{', (f'"{n}\\n":"\\n"' for n in names()), "}}")),
    "unknown keys": header(
        lambda: fill('{"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0],', (f'"{n}":0' for n in names()), "}}")
    ),
    "deep nesting": header(lambda: '{"w":{"x":' + "[" * (SIZE - 10)),
    "one long name": header(lambda: '{"' + "w" * (SIZE - 57) + '":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
    "one long dtype": header(lambda: '{"w":{"dtype":"' + "w" * (SIZE - 18) + '"}}'),
    "index, one shard": index(lambda: fill('{"weight_map":{', (f'"{n}":"a.safetensors"' for n in names()), "}}")),
    "index, short shard name": index(lambda: fill('{"weight_map":{', (f'"{n}":"a"' for n in names()), "}}")),
    "index, many shards": index(lambda: fill('{"weight_map":{', (f'"{n}":"{n}"' for n in names()), "}}")),
    "index, unknown keys": index(lambda: fill("{", (f'"{n}":0' for n in names()), "}")),
}


def measure(command):
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    message = child.stderr.read().decode(errors="replace").strip().splitlines()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * 1024, time.monotonic() - start, child.returncode, message[0] if message else ""


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lopper", default="target/release/lopper")
    arguments.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FILES))
    given = arguments.parse_args()
    worst = 0
    print("| 100 MB of | `prune --dry-run` MiB | s | exit | `verify` MiB | s | exit |")
    print("|---|---|---|---|---|---|---|")
    for name in given.names or FILES:
        with tempfile.TemporaryDirectory() as folder:
            # In a process of its own: what this one has held counts as the memory of those it starts.
            path = os.path.join(folder, "x.safetensors")
            if os.fork() == 0:
                FILES[name](folder)
                os._exit(0)
            if os.wait()[1] != 0:
                sys.exit(f"cannot write {name}")
            if not os.path.exists(path):
                path = folder
            runs = [["prune", path, "--dry-run", "--sparsity", "0.5"], ["verify", path, path]]
            cells = []
            for run in runs:
                peak, seconds, code, message = measure([given.lopper, *run])
                worst = max(worst, peak)
                cells += [f"{peak / 2**20:.0f}", f"{seconds:.1f}", f"{code}"]
                if message:
                    print(f"{name}: {message[:300]}", file=sys.stderr)
            print("|", " | ".join([name, *cells]), "|", flush=True)
    return 1 if worst >= LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
