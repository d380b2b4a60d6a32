//! `lopper prune` of other programs' files: by the same rules, into a copy or a file of another format.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lopper::container::{Container, Kind};
use lopper::pruner::{Options, Plan, Pruner, Recipe};

use super::args::PruneArgs;
use super::device;
use super::file::{NewFile, json};
use super::progress::Lines;
use super::prune::{outcome, preview};
use super::stop::Stop;
use super::text;

/// The input, unless both it and the output are safetensors.
pub fn of(args: &PruneArgs) -> Result<Option<Container>> {
    let named = |path: &Path| Kind::of_path(path).filter(|_| !path.is_dir());
    let other_output = args.output.as_deref().and_then(named).is_some_and(|kind| kind != Kind::Safetensors);
    let plain = args.input.is_dir()
        || named(&args.input) == Some(Kind::Safetensors)
        || args.input.extension().is_some_and(|e| e == "json");
    if plain && !other_output || !args.input.exists() {
        return Ok(None);
    }
    let container = Container::open(&args.input)?;
    Ok(Some(container).filter(|container| container.kind() != Kind::Safetensors || other_output))
}

/// What is read, and what may come to lie beside the output: data of the same names, or of the output's own.
fn files(container: &Container, output: Option<&Path>) -> Vec<PathBuf> {
    let read: Vec<PathBuf> = container.paths().into_iter().map(Path::to_owned).collect();
    let Some(output) = output else { return read };
    let folder = output.parent().unwrap_or(Path::new(""));
    let names = read.iter().skip(1).filter_map(|path| path.file_name());
    let mut own = output.file_name().unwrap_or_default().to_owned();
    own.push(".data");
    let written: Vec<PathBuf> = names.map(|name| folder.join(name)).chain([folder.join(own)]).collect();
    read.into_iter().chain(written).collect()
}

pub fn prune(args: &PruneArgs, container: &Container, asked: Recipe) -> Result<ExitCode> {
    let from = container.kind();
    for (given, option) in [
        (args.from_mask, "--from-mask"),
        (args.html.is_some(), "--html"),
        (args.resume, "--resume"),
        (args.restart, "--restart"),
        (args.pack.is_some(), "--pack"),
    ] {
        if given {
            bail!("{option} is for safetensors on both sides: `lopper convert` makes a .safetensors file of this one");
        }
    }
    // A recipe says itself how tensors lie.
    let mut recipe = if args.rule.recipe.is_some() { asked } else { asked.for_container(container) };
    if let Some(layout) = args.rule.layout {
        recipe.rules.iter_mut().for_each(|rule| rule.layout = layout);
    }
    let plan = Plan::new(&recipe, container.tensors())?;
    let output = args.output.as_deref();
    let files = files(container, output);
    let report = |path: &PathBuf| NewFile::create_apart(path, &args.input, output, &files);
    let report_file = args.report.as_ref().map(report).transpose()?;
    let (report, mut shown) = match output {
        Some(output) if !args.dry_run => {
            let Some(to) = Kind::of_path(output) else {
                bail!(
                    "cannot tell the format of {} by its name: let it end with .{from} or .safetensors",
                    output.display()
                );
            };
            let stop = Stop::listen(report_file.as_ref().map(NewFile::temporary))?;
            let pruner = Pruner::new(device::open(args.adapter.as_deref())?);
            stop.cleans_up(pruner.unfinished());
            let options = Options { force: args.force, ..Options::default() };
            let options = Options { memory: args.memory.unwrap_or(options.memory), ..options };
            let name = args.input.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let lines = Lines::new(args.quiet, vec![name]);
            let report = pruner.prune_container(container, output, to, &recipe, &options, &|progress| {
                lines.set(progress);
                if stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            drop(lines);
            let report = report?;
            let shown = outcome(&report);
            (report, shown)
        }
        _ => (plan.dry_report(&recipe, container.tensors()), preview(&plan, container.tensors(), &recipe)),
    };
    if let Some(file) = report_file {
        file.write(json(&report)).context("the report was not written")?;
    }
    if let [first, ..] = container.others() {
        let (n, name, what) = (container.others().len(), text::printable(&first.name), text::printable(&first.what));
        shown.push_str(&format!("{n} more copied as they are, of kinds that are not pruned: {name} ({what})"));
        shown.push_str(if n > 1 { " and others\n" } else { "\n" });
    }
    if from.inputs_first() && args.rule.recipe.is_none() && args.rule.layout.is_none() {
        shown.push_str("layout: in-out, as Keras has it\n");
    }
    if !args.quiet {
        text::print(&shown)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_beside_input_and_output_is_theirs() {
        let model = Path::new(env!("LOPPER_TEST_ROOT")).join("tests/data/containers/beside/model.onnx");
        let data = model.with_file_name("weights.data");
        let container = Container::open(&model).unwrap();
        assert_eq!(files(&container, None), [model.clone(), data.clone()]);
        let written = ["new/weights.data", "new/m.onnx.data"].map(PathBuf::from);
        assert_eq!(files(&container, Some(Path::new("new/m.onnx"))), [&[model, data][..], &written].concat());
    }
}
