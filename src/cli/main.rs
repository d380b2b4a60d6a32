//! The command line of lopper. Every decision is the library's; this is arguments, text and exit codes.

#![forbid(unsafe_code)]

mod activations;
mod args;
mod bench;
mod compare;
mod container;
mod convert;
mod device;
mod devices;
mod file;
mod generated;
mod help;
mod infer;
mod inspect;
mod mask;
mod network;
mod pack;
mod page;
mod plan;
mod progress;
mod prune;
mod recipe;
mod rule;
mod schedule;
mod shrink;
mod stop;
mod sweep;
mod table;
mod term;
mod text;
mod tune;
mod values;
mod verify;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    term::choose(cli.color);
    let done = match cli.command {
        args::Command::Prune(args) => prune::run(&args),
        args::Command::Shrink(args) => shrink::run(&args),
        args::Command::Inspect(args) => inspect::run(&args),
        args::Command::Sweep(args) => sweep::run(&args),
        args::Command::Compare(args) => compare::run(&args),
        args::Command::Convert(args) => convert::run(&args),
        args::Command::Recipe(args) => recipe::run(&args),
        args::Command::Verify(args) => verify::run(&args),
        args::Command::Schedule(args) => schedule::run(&args),
        args::Command::Mask(args) => mask::run(&args),
        args::Command::Pack(args) => pack::pack(&args),
        args::Command::Unpack(args) => pack::unpack(&args),
        args::Command::Infer(args) => infer::run(&args),
        args::Command::Activations(args) => activations::run(&args),
        args::Command::Bench(args) => bench::run(&args),
        args::Command::Tune(args) => tune::run(&args),
        args::Command::Devices(args) => devices::run(&args),
        args::Command::Completions(args) => generated::completions(&args),
        args::Command::Man(args) => generated::man(&args),
    };
    done.unwrap_or_else(|error| text::failure(&error))
}
