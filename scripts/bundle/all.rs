//! All tests that need a GPU, and those of the tool, in one binary: `scripts/bundle.sh`.

#![allow(clippy::duplicate_mod, reason = "each of these files brings what it shares with others")]

#[path = "../../tests/bench.rs"]
mod bench;
#[path = "../../tests/checkpoint.rs"]
mod checkpoint;
#[path = "../../tests/cli.rs"]
mod cli;
#[path = "../../tests/container.rs"]
mod container;
#[path = "../../tests/golden.rs"]
mod golden;
#[path = "../../tests/infer.rs"]
mod infer;
#[path = "../../tests/inspect.rs"]
mod inspect;
#[path = "../../tests/kernels.rs"]
mod kernels;
#[path = "../../tests/large.rs"]
mod large;
#[path = "../../tests/masks.rs"]
mod masks;
#[path = "../../tests/network.rs"]
mod network;
#[path = "../../tests/own_device.rs"]
mod own_device;
#[path = "../../tests/packed.rs"]
mod packed;
#[path = "../../tests/products.rs"]
mod products;
#[path = "../../tests/prune.rs"]
mod prune;
#[path = "../../tests/pruner.rs"]
mod pruner;
#[path = "../../tests/record.rs"]
mod record;
#[path = "../../tests/resume.rs"]
mod resume;
#[path = "../../tests/shrink.rs"]
mod shrink;
#[path = "../../tests/sparse.rs"]
mod sparse;
#[path = "../../tests/stress.rs"]
mod stress;
#[path = "../../tests/tune.rs"]
mod tune;
#[path = "../../tests/units.rs"]
mod units;
