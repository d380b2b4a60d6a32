//! `lopper tune`: the kernels' knobs, searched on this adapter.

use std::fmt::Write;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use lopper::gpu::{AdapterInfo, Gpu};
use lopper::tune::{Table, Tuned, tune};

use super::bench::milliseconds;
use super::device::table_path;
use super::file::NewFile;
use super::progress::Bar;
use super::stop::Stop;
use super::table::Grid;
use super::term::{Paint, paint};
use super::text;

const HELP: &str = "\
Examples:
  Search the knobs of this adapter, and keep them for all commands from now on:
    lopper tune
  Look longer, at another adapter:
    lopper tune --time 300 --adapter nvidia
  What is known, and how to be rid of it:
    lopper tune --show
    lopper tune --forget

Each setting is timed in turn with the best so far, on prunings and products of a matrix of 2048 x 4096, after its results were
found to be the same. Knobs change times, never results. What is found is kept for this adapter, its driver and this version of
lopper in the user's folder for caches, lopper/tuning.json, which is safe to delete; it is only kept where it is at least 3 %
faster in a last comparison. Programs give the same file to `lopper::tune::Table`.

Exit codes: 0 done, also where nothing better was found, 1 failed, 2 the command line makes no sense";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct TuneArgs {
    /// Seconds for the search
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub time: u64,
    /// The adapter to use: a part of its name, or its number in `lopper devices`
    #[arg(long, value_name = "NAME|INDEX")]
    pub adapter: Option<String>,
    /// Search, and show what was found, but keep it nowhere
    #[arg(long, conflicts_with_all = ["show", "forget"])]
    pub dry_run: bool,
    /// Print the table of what is known, and search nothing
    #[arg(long, conflicts_with = "forget")]
    pub show: bool,
    /// Forget what is known of this adapter, and search nothing
    #[arg(long)]
    pub forget: bool,
    /// Print what was found as JSON
    #[arg(long, conflicts_with_all = ["show", "forget"])]
    pub json: bool,
    /// No progress
    #[arg(short, long)]
    pub quiet: bool,
}

pub fn run(args: &TuneArgs) -> Result<ExitCode> {
    let path = table_path().context("there is no folder for caches: set XDG_CACHE_HOME, or HOME");
    if args.show {
        return show(&path?);
    }
    if args.forget {
        let gpu = pollster::block_on(Gpu::open(args.adapter.as_deref()))?;
        return forget(&path?, gpu.info());
    }
    // A place that cannot be written to is found before a minute's work, not after.
    let path = if args.dry_run { None } else { Some(path?) };
    let file = path.as_deref().map(place).transpose()?;
    let gpu = pollster::block_on(Gpu::open(args.adapter.as_deref()))?;
    let stop = Stop::listen(file.as_ref().map(NewFile::temporary))?;
    let bar = Bar::new(args.quiet);
    let found = tune(&gpu, Duration::from_secs(args.time), &|what, share| {
        bar.say(what, (args.time as f64 * share) as u64, args.time);
        if stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    drop(bar);
    let kept = match (file, &path) {
        (Some(file), Some(path)) if found.after != found.before => {
            let mut table = known(path);
            table.keep(&found.adapter, found.after);
            file.write(|to| to.write_all(table.to_json().as_bytes())).context("what was found was not kept")?;
            Some(path)
        }
        _ => None,
    };
    if args.json {
        text::print_json(&found)?;
    } else {
        text::print(&shown(&found)?)?;
    }
    match kept {
        Some(path) => text::tell(&format!("kept in {}", text::printable(&path.display().to_string()))),
        None if found.after != found.before => text::tell("not kept, as asked"),
        None => text::tell("no setting is 3 % faster: the knobs for its class of adapter stay"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The table's file, about to be written.
fn place(path: &Path) -> Result<NewFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = text::printable(&folder.display().to_string());
    fs::create_dir_all(folder).with_context(|| {
        format!("cannot make the folder {name}, in which tunings are kept; XDG_CACHE_HOME names another, --dry-run keeps none")
    })?;
    NewFile::alone(path)
}

/// What is in the table; nothing where it cannot be read, as it is about to be written anew.
fn known(path: &Path) -> Table {
    Table::read(path).unwrap_or_default()
}

fn show(path: &Path) -> Result<ExitCode> {
    let name = text::printable(&path.display().to_string());
    if !path.exists() {
        text::print(&format!("nothing is known: there is no {name}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let table = Table::read(path)?;
    let header =
        ["adapter", "driver", "lopper", "workgroup", "workgroups", "row_workgroup", "lanes", "capacity", "sample"];
    let mut grid = Grid::new(&header, &[3, 4, 5, 6, 7, 8]);
    for found in table.adapters() {
        let t = found.tuning;
        let numbers =
            [t.workgroup, t.workgroups, t.row_workgroup, t.lanes, t.capacity, t.sample].map(|n| n.to_string());
        let words = [format!("{} ({})", found.adapter, found.backend), found.driver.clone(), found.lopper.clone()];
        grid.row(words.into_iter().chain(numbers));
    }
    text::print(&format!("{grid}{name}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn forget(path: &Path, adapter: &AdapterInfo) -> Result<ExitCode> {
    let mut table = if path.exists() { Table::read(path)? } else { Table::default() };
    let name = text::printable(&adapter.name);
    if table.forget(adapter) {
        let json = table.to_json();
        NewFile::alone(path)?.write(|to| to.write_all(json.as_bytes()))?;
        text::tell(&format!("forgotten: {name}"));
    } else {
        text::tell(&format!("nothing was known of {name} with its driver"));
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(found: &Tuned) -> Result<String> {
    let mut text = String::new();
    let adapter = &found.adapter;
    writeln!(text, "{} ({}, {})", text::printable(&adapter.name), adapter.backend, text::printable(&adapter.driver))?;
    let mut grid = Grid::new(&["knob", "from", "to", "times as fast", "kept"], &[1, 2, 3]);
    for step in &found.steps {
        let gain = step.gain.map_or_else(|| "-".into(), |gain| format!("{gain:.2} x"));
        let kept = match (&step.why, step.kept) {
            (Some(why), _) => format!("no: {}", why.lines().next().unwrap_or_default()),
            (None, true) => "yes".into(),
            (None, false) => "no".into(),
        };
        grid.row([step.knob.into(), step.from.to_string(), step.to.to_string(), gain, kept]);
    }
    write!(text, "{grid}")?;
    if found.cut_short {
        writeln!(text, "{}", paint(Paint::Note, "the search was cut short: --time gives it more"))?;
    }
    if !found.gains.is_empty() {
        let mut grid = Grid::new(&["task", "before", "after", "times as fast"], &[1, 2, 3]);
        for gain in &found.gains {
            let time = |moment: &lopper::bench::Moment| {
                format!("{}{}", if moment.steady { "" } else { "~ " }, milliseconds(moment.seconds))
            };
            grid.row([gain.task.clone(), time(&gain.before), time(&gain.after), format!("{:.2} x", gain.gain)]);
        }
        let as_paint = if found.after == found.before { Paint::Note } else { Paint::Good };
        let mean = paint(as_paint, &format!("{:.2} x as fast, geometric mean", found.gain));
        write!(text, "\n{grid}{mean}; {}\n", text::seconds(found.seconds))?;
    }
    Ok(text)
}
