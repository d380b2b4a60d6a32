//! `lopper shrink`: couplings from names, a network or a recipe, shown or carried out.

mod explain;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{ArgGroup, Args, ValueEnum};
use lopper::Target;
use lopper::checkpoint::{Checkpoint, Unfinished};
use lopper::network::Chain;
use lopper::pruner::{Norm, words::NORMS};
use lopper::shrink::{self, Amount, Combine, Config, Couplings, Kind, Options, Outlook, Pass, Report, Score, Side};

pub use explain::{Drawn, Group, Line};

use super::file::{NewFile, json};
use super::page;
use super::progress::Bar;
use super::rule::words;
use super::stop::Stop;
use super::table::{Grid, groups, range};
use super::term::{Paint, paint};
use super::text::{self, bytes, count, percent};
use super::values::{magnitude, share};

const HELP: &str = "\
Examples:
  What hangs together, as text and as a picture; writes no checkpoint:
    lopper shrink llama/ --explain --html couplings.html
  A quarter of the neurons of each MLP, those of the smallest norms, and a width that GPUs like:
    lopper shrink llama/ -o smaller/ --sparsity 0.25 --round-to 64
  6 of 9 query heads in each layer, with the key and value heads that they share:
    lopper shrink SmolLM2-135M/ -o smaller/ --unit head --width 6
  All but 24 layers, those of the smallest norms, or of the lowest scores in a file of yours:
    lopper shrink llama/ -o smaller/ --unit layer --width 24 --score file --scores layers.safetensors
  Half of the neurons of a network, those that act least, what they gave on average put into biases:
    lopper activations digits.toml --data digits.safetensors --inputs train.images --means m.safetensors --moments o.safetensors
    lopper shrink mlp.safetensors -o small.safetensors --network digits.toml --sparsity 0.5 \\
      --score activation --activations m.safetensors --compensate bias --moments o.safetensors
  A model that no pattern knows:
    lopper shrink gpt2/ -o smaller/ --recipe couple.toml --sparsity 0.25

A recipe names tensors that hang together; those in whose names the stars stand for the same do:

    [[couple]]
    members = [
        { tensor = \"h.*.mlp.c_fc.weight\", axis = \"columns\", takes = false },  # GPT-2 has [inputs, outputs]
        { tensor = \"h.*.mlp.c_fc.bias\", axis = \"rows\" },
        { tensor = \"h.*.mlp.c_proj.weight\", axis = \"rows\", takes = true },
    ]                            # and group = 64, where a unit is so many rows or columns

Known by names are LLaMA-like and BERT-like models. config.json is changed where it says how many there are, and nothing else
of it. BERT's heads that went are listed there under `pruned_heads`, which only transformers below 5 reads. Units of the same score
go by their index, the lowest first.

Exit codes: 0 done, 1 failed or stopped (nothing written, unless it says otherwise), 2 the command line makes no sense";

const HOW_MUCH: &str = "How much (one of these)";
const TOGETHER: &str = "What hangs together";
const FIRST: &str = "What goes first";
const RUNS: &str = "How it runs";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
#[command(group = ArgGroup::new("how much").args(["sparsity", "width", "threshold"]))]
pub struct ShrinkArgs {
    /// A .safetensors file, or the folder or index of a sharded checkpoint
    pub input: PathBuf,
    /// Where the smaller checkpoint goes; never over the input
    #[arg(short, long, required_unless_present = "explain")]
    pub output: Option<PathBuf>,

    /// Remove this share of the units, from 0 to 1
    #[arg(long, value_name = "S", value_parser = share, required_unless_present_any = ["width", "threshold", "explain"], help_heading = HOW_MUCH)]
    pub sparsity: Option<f64>,
    /// Keep so many: neurons, query heads or layers
    #[arg(long, value_name = "N", help_heading = HOW_MUCH)]
    pub width: Option<u64>,
    /// Remove every unit whose score is at most T
    #[arg(long, value_name = "T", value_parser = magnitude, help_heading = HOW_MUCH)]
    pub threshold: Option<f64>,
    /// Keep a multiple of M; of a share or a threshold fewer go, until it is
    #[arg(long, value_name = "M", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u64).range(1..), help_heading = HOW_MUCH)]
    pub round_to: u64,
    /// Which units compete: those of a coupling (this unless given), or of all couplings, which end up with widths of their own
    #[arg(long, value_enum, default_value = "coupling", hide_default_value = true, help_heading = HOW_MUCH)]
    pub scope: ScopeWord,

    /// What goes as a whole
    #[arg(long, value_enum, default_value = "neuron", conflicts_with_all = ["network", "recipe"], help_heading = TOGETHER)]
    pub unit: KindWord,
    /// The network, a TOML file: its layers in order, as for `lopper infer`
    #[arg(long, value_name = "FILE.toml", help_heading = TOGETHER)]
    pub network: Option<PathBuf>,
    /// A recipe with [[couple]], as below
    #[arg(long, value_name = "FILE.toml", conflicts_with = "network", help_heading = TOGETHER)]
    pub recipe: Option<PathBuf>,

    /// What decides which units go: the norm of their weights in all coupled tensors (this unless given), or a file
    #[arg(long, value_enum, default_value = "norm", hide_default_value = true, help_heading = FIRST)]
    pub score: ScoreWord,
    /// For --score activation: a safetensors file with a mean for each neuron, as `lopper activations --means` writes it
    #[arg(long, value_name = "FILE", requires = "score", required_if_eq("score", "activation"), help_heading = FIRST)]
    pub activations: Option<PathBuf>,
    /// For --score file: a safetensors file with a vector for each coupling, under its name or that of a tensor which makes the
    /// units
    #[arg(long, value_name = "FILE", requires = "score", required_if_eq("score", "file"), help_heading = FIRST)]
    pub scores: Option<PathBuf>,
    /// The norm within a tensor; l2 unless given, max is linf
    #[arg(long, value_parser = words(&NORMS), help_heading = FIRST)]
    pub norm: Option<Norm>,
    /// How the norms in several tensors become one: the root of the sum of squares unless given
    #[arg(long, value_parser = words(&COMBINES), help_heading = FIRST)]
    pub combine: Option<Combine>,
    /// Of which tensors norms are taken: those that make units (rows), those that take them (columns), or both, as unless given
    #[arg(long, value_parser = words(&SIDES), conflicts_with_all = ["activations", "scores"], help_heading = FIRST)]
    pub side: Option<Side>,

    /// Put what goes gave on average into the biases of what takes it
    #[arg(long, value_enum, default_value = "none", hide_default_value = true, requires_if("bias", "moments"), help_heading = RUNS)]
    pub compensate: CompensateWord,
    /// For --compensate bias: a safetensors file as `lopper activations --moments` writes it
    #[arg(long, value_name = "FILE", requires = "compensate", help_heading = RUNS)]
    pub moments: Option<PathBuf>,
    /// Show what hangs together, and what would come of it; writes no checkpoint
    #[arg(long, help_heading = RUNS)]
    pub explain: bool,
    /// Write a page with a picture of what hangs together
    #[arg(long, value_name = "FILE.html", help_heading = RUNS)]
    pub html: Option<PathBuf>,
    /// Write what was done to this JSON file, the units that went by their numbers
    #[arg(long, value_name = "FILE", conflicts_with = "explain", help_heading = RUNS)]
    pub report: Option<PathBuf>,
    /// Replace an output that exists
    #[arg(long, help_heading = RUNS)]
    pub force: bool,
    /// No progress and no table
    #[arg(short, long, help_heading = RUNS)]
    pub quiet: bool,
}

const COMBINES: [(&str, Combine); 4] = [
    (Combine::Squares.name(), Combine::Squares),
    (Combine::Sum.name(), Combine::Sum),
    (Combine::Max.name(), Combine::Max),
    (Combine::Product.name(), Combine::Product),
];

const SIDES: [(&str, Side); 3] =
    [(Side::Both.name(), Side::Both), (Side::Makes.name(), Side::Makes), (Side::Takes.name(), Side::Takes)];

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScopeWord {
    Coupling,
    Global,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KindWord {
    Neuron,
    Head,
    Layer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScoreWord {
    Norm,
    Activation,
    File,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompensateWord {
    None,
    Bias,
}

pub fn run(args: &ShrinkArgs) -> Result<ExitCode> {
    let checkpoint = Checkpoint::open(&args.input)?;
    let couplings = args.couplings(&checkpoint)?;
    let drawn = Drawn::new(&couplings, checkpoint.tensors());
    let output = args.output.as_deref();
    let read = args.read();
    let new = |path: &PathBuf| {
        NewFile::check_none_of(path, &read)?;
        NewFile::create(path, &args.input, output)
    };
    let html_file = args.html.as_ref().map(new).transpose()?;
    let report_file = args.report.as_ref().map(new).transpose()?;
    let Some(output) = output.filter(|_| !args.explain) else {
        let outlook = args.amount().map(|amount| shrink::outlook(&checkpoint, &couplings, &amount)).transpose()?;
        if let Some(file) = html_file {
            page::shrink::page(&args.input, &drawn, None).write(file)?;
        }
        text::print(&format!("{}{}", drawn.text(), looked(&checkpoint, &couplings, outlook.flatten().as_ref())))?;
        return Ok(ExitCode::SUCCESS);
    };
    let amount = args.amount().context("there is no amount")?;
    let moments = (args.compensate == CompensateWord::Bias).then(|| args.moments.clone()).flatten();
    let options = Options { score: args.score(), moments, sources: read, force: args.force, ..Options::new(amount) };
    let stop = Stop::listen(report_file.as_ref().map(NewFile::temporary))?;
    let unfinished = Unfinished::default();
    stop.cleans_up(unfinished.clone());
    let bar = Bar::new(args.quiet);
    let report = shrink::shrink(&checkpoint, &couplings, output, &options, &unfinished, &|pass, done, all| {
        if pass != Pass::Commit {
            bar.set(done, all);
        }
        if stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    drop(bar);
    if let Some(file) = html_file {
        let page = page::shrink::page(&args.input, &drawn, Some(&report));
        page.write(file).context("the smaller checkpoint was written, its page was not")?;
    }
    if let Some(file) = report_file {
        file.write(json(&report)).context("the smaller checkpoint was written, its report was not")?;
    }
    if !args.quiet {
        text::print(&outcome(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl ShrinkArgs {
    fn couplings(&self, checkpoint: &Checkpoint) -> Result<Couplings> {
        let tensors = checkpoint.tensors();
        let found = match (&self.network, &self.recipe) {
            (Some(path), _) => shrink::of_chain(&Chain::read(path)?, tensors),
            (None, Some(path)) => shrink::of_couples(&shrink::recipe::read(path)?, tensors),
            (None, None) => {
                let kind = match self.unit {
                    KindWord::Neuron => Kind::Neuron,
                    KindWord::Head => Kind::Head,
                    KindWord::Layer => Kind::Layer,
                };
                shrink::by_names(kind, tensors, Config::of(checkpoint)?.as_ref())
            }
        };
        Ok(found.map_err(lopper::Error::from)?)
    }

    /// The files that are read, the checkpoint apart.
    fn read(&self) -> Vec<PathBuf> {
        let files = [&self.network, &self.recipe, &self.activations, &self.scores, &self.moments];
        files.into_iter().flatten().cloned().collect()
    }

    fn amount(&self) -> Option<Amount> {
        let target = match (self.sparsity, self.width, self.threshold) {
            (Some(share), ..) => Target::Sparsity(share),
            (_, Some(width), _) => Target::Keep(width),
            (.., Some(threshold)) => Target::Threshold(threshold),
            _ => return None,
        };
        Some(Amount { global: self.scope == ScopeWord::Global, round_to: self.round_to, ..Amount::new(target) })
    }

    fn score(&self) -> Score {
        let (norm, combine) = (self.norm.unwrap_or_default(), self.combine.unwrap_or_default());
        let file = match self.score {
            ScoreWord::Norm => None,
            ScoreWord::Activation => self.activations.clone(),
            ScoreWord::File => self.scores.clone(),
        };
        match file {
            None => Score::Norm { norm, combine, side: self.side.unwrap_or_default() },
            Some(path) => Score::File { path, norm, combine },
        }
    }
}

/// What is known before anything is read.
fn looked(checkpoint: &Checkpoint, couplings: &Couplings, outlook: Option<&Outlook>) -> String {
    let before: u64 = checkpoint.tensors().iter().map(|info| info.bytes()).sum();
    let uniform = couplings.uniform.as_ref().map_or(String::new(), |why| format!("all keep as many: {why}\n"));
    let would = outlook.map_or(String::new(), |outlook| {
        let (kept, after) =
            (range(outlook.kept.iter().map(|kept| (kept * couplings.per_unit()) as f64)), outlook.tensor_bytes);
        let (share, kind) = (percent(after, before), couplings.kind.name());
        format!(
            "{kept} {kind}s would stay in each; tensors of {} would have {} ({share})\n",
            bytes(before as f64),
            bytes(after as f64)
        )
    });
    format!("{uniform}{would}nothing was written\n")
}

/// What a run shows: the couplings, and the totals.
fn outcome(report: &Report) -> String {
    let unit = format!("{}s", report.unit);
    let mut grid =
        Grid::new(&["shrunk", "n", &unit, "kept", "highest score that went", "lowest that stayed"], &[1, 2, 3]);
    for (name, members) in groups(&report.couplings, |c| &c.name, |c| c.units) {
        let (n, units) = (members.len().to_string(), count(members[0].units * report.per_unit));
        let kept = range(members.iter().map(|c| (c.kept * report.per_unit) as f64));
        let of = |score: fn(&shrink::CouplingReport) -> Option<f64>| range(members.iter().filter_map(|c| score(c)));
        grid.short_row([name, n, units, kept, of(|c| c.highest_removed), of(|c| c.lowest_kept)]);
    }
    let mut biases = Grid::new(&["compensated", "n", "expected error", "without"], &[1]);
    for (name, members) in groups(&report.compensated, |c| &c.tensor, |_| ()) {
        let of = |error: fn(&shrink::ConsumerReport) -> f64| range(members.iter().map(|c| error(c)));
        biases.short_row([name, members.len().to_string(), of(|c| c.error), of(|c| c.error_uncompensated)]);
    }
    let ([before, after], written, seconds) = (report.tensor_bytes, report.bytes_written, report.seconds.total);
    let rate = if seconds > 0.0 { bytes(before as f64 / seconds) } else { "-".into() };
    let totals = format!(
        "{} of tensors became {} ({}), {} written in {}; {rate}/s of what was there",
        bytes(before as f64),
        bytes(after as f64),
        percent(after, before),
        bytes(written as f64),
        text::seconds(seconds)
    );
    let notes: String = report.notes.iter().map(|note| format!("note: {note}\n")).collect();
    format!("{grid}{biases}{}\n{notes}", paint(Paint::Bold, &totals))
}
