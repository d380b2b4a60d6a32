//! `lopper convert`: the same tensors in a file of another format.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use lopper::checkpoint::Unfinished;
use lopper::container::{Container, Kind, convert};

use super::progress::Bar;
use super::stop::Stop;
use super::text::{self, bytes, count};

const HELP: &str = "\
Examples:
  A PyTorch checkpoint without its pickle; nothing in it is run:
    lopper convert pytorch_model.bin -o model.safetensors
  For NumPy, and back:
    lopper convert model.safetensors -o model.npz
    lopper convert model.npz -o model.safetensors
  The float tensors of a GGUF file:
    lopper convert model.gguf -o model.safetensors

  read      safetensors (a file, a folder, an index), .npy, .npz, .pt, .pth, .bin, .gguf, .onnx, .weights.h5, .keras
  written   .safetensors, .npy (one array), .npz, .gguf, .onnx (initializers, no graph)

Names, shapes, types and bits stay as they are; so do layouts, so that Keras's kernels are still [inputs, outputs]. Metadata
and graphs are not converted, but for __metadata__ from safetensors to safetensors; of a PyTorch file it says format pt. A type
that the new format lacks, such as BF16 in NumPy's, is refused, and so are quantised tensors. Zip files with compressed members, such as a compressed .npz, are unpacked into a temporary file first, in TMPDIR.

Exit codes: 0 done, 1 failed or stopped (nothing written), 2 the command line makes no sense";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ConvertArgs {
    /// A file of any format that lopper reads, or a safetensors folder or index
    pub input: PathBuf,
    /// The new file; its name says of which format it is
    #[arg(short, long)]
    pub output: PathBuf,
    /// Replace an output that exists
    #[arg(long)]
    pub force: bool,
    /// No progress, and no word of what was done
    #[arg(short, long)]
    pub quiet: bool,
}

pub fn run(args: &ConvertArgs) -> Result<ExitCode> {
    let Some(kind) = Kind::of_path(&args.output) else {
        bail!(
            "cannot tell the format of {} by its name: let it end with .safetensors, .npz, .gguf or .onnx",
            args.output.display()
        );
    };
    let input = Container::open(&args.input)?;
    let (stop, unfinished) = (Stop::listen(None)?, Unfinished::default());
    stop.cleans_up(unfinished.clone());
    let bar = Bar::new(args.quiet);
    let done = convert(&input, &args.output, kind, args.force, &unfinished, &|done, all| {
        bar.set(done, all);
        if stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(bar);
    let done = done?;
    if !args.quiet {
        let (from, tensors) = (input.kind(), count(done.tensors as u64));
        text::print(&format!("{tensors} tensors, {}, from {from} to {kind}\n", bytes(done.bytes as f64)))?;
    }
    Ok(ExitCode::SUCCESS)
}
