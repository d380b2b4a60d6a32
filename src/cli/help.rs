//! What is printed below the options of each command.

pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed, or stopped: no checkpoint was written, unless the message says that it was
  2  the command line makes no sense
  3  `verify` found a mismatch";

pub const PRUNE_HELP: &str = "\
Examples:
  Half of every matrix, by magnitude:
    lopper prune model.safetensors -o half.safetensors --sparsity 0.5
  What would be pruned, and why; needs no GPU, writes nothing:
    lopper prune llama/ --sparsity 0.5 --dry-run
  One cut over all MLP weights of a sharded model, in 1 GiB of memory, with a report:
    lopper prune llama/ -o pruned/ --sparsity 0.6 --scope global --include '*mlp*' --memory 1GiB --report prune.json
  2:4, which is to keep 2 weights of every 4 inputs, by Wanda's score:
    lopper prune llama/ -o pruned/ --keep 2 --of 4 --score wanda --activations norms.safetensors
  As much as a schedule has at step 500 of a training run:
    lopper prune model.safetensors -o out.safetensors --schedule polynomial:0:0.8:begin=100:end=1000 --step 500
  Half of what an earlier round has left:
    lopper prune half.safetensors -o quarter.safetensors --sparsity 0.5 --from-mask
  Half of it, and only what is left of it stored, as compressed-tensors reads it:
    lopper prune llama/ -o packed/ --sparsity 0.5 --pack sparse-bitmask
  A quarter of the filters of a Keras model, those of the smallest L1 norm:
    lopper prune model.safetensors -o out.safetensors --sparsity 0.25 --unit row --norm l1 --layout in-out
  The weights of other programs' files, into a copy, or into safetensors:
    lopper prune model.gguf -o half.gguf --sparsity 0.5
    lopper prune model.keras -o half.keras --sparsity 0.5
    lopper prune pytorch_model.bin -o half.safetensors --sparsity 0.5
  A rule for each kind of layer; look at it first:
    lopper recipe check recipe.toml llama/
    lopper prune llama/ -o pruned/ --recipe recipe.toml

Which tensors: float tensors of two dimensions or more whose name is no embedding, output head or normalisation.
--include, --exclude and --all change that. Globs match whole names; * also crosses dots.

Ctrl-C stops a run at its next chunk, or ends it after five seconds; a second one ends it at once. Nothing is left under a
final name then. What is done is kept in a folder .lopper-… beside the output, also of a run that failed or was killed: the
same command with --resume goes on from there, with --restart it deletes that and begins anew.

Exit codes: 0 done, 1 failed or stopped (nothing written, unless it says otherwise), 2 the command line makes no sense";

pub const VERIFY_HELP: &str = "\
Examples:
  By the recipe in the pruned checkpoint's metadata:
    lopper verify model.safetensors half.safetensors
  What another program pruned: is it 2:4, does Wanda's score say the same?
    lopper verify llama/ pruned/ --keep 2 --of 4
    lopper verify llama/ pruned/ --sparsity 0.5 --scope row --score wanda --activations norms.safetensors
  By a recipe, for another program to read:
    lopper verify llama/ pruned/ --recipe recipe.toml --json | jq .mismatches

Without a rule, and where the metadata names none, any cut by magnitude will do. Files that a checkpoint's metadata names are
not opened: give --recipe, or the options, where the scores are to be checked too.

Exit codes: 0 all as it must be, 1 could not be checked, 2 the command line makes no sense, 3 a mismatch was found";

pub const INSPECT_HELP: &str = "\
Examples:
  lopper inspect model.safetensors
  lopper inspect llama/ --tensors | less -S
  lopper inspect llama/ --json | jq '.tensors[] | select(.values.nan > 0) | .name'

Tensors whose names differ in numbers only are one kind; of medians and cuts the table shows the middle one, of maxima and
norms the ends, of 2:4 the least share of groups of 4 along a row of which 2 are zero. The last column counts magnitudes by
powers of two, up to the one at its end.

Exit codes: 0 done, 1 could not be read, 2 the command line makes no sense";

pub const SWEEP_HELP: &str = "\
Examples:
  What a sparsity does to each kind of tensors:
    lopper sweep llama/
  0.5 of all, where it costs least, but no more than 0.7 of any tensor; and then do it:
    lopper sweep llama/ --allocate error --sparsity 0.5 --max 0.7 -o recipe.toml
    lopper prune llama/ -o pruned/ --recipe recipe.toml
  By outliers, as OWL does:
    lopper sweep llama/ --allocate owl --sparsity 0.7 --activations norms.safetensors -o recipe.toml

Errors are of weights, not of what a model says: measure that after pruning.

Exit codes: 0 done, 1 could not be read or not be shared out, 2 the command line makes no sense";

pub const COMPARE_HELP: &str = "\
Examples:
  What fine-tuning did to a pruned model, and whether its zeros are still there:
    lopper compare pruned.safetensors tuned.safetensors
  Two ways of pruning:
    lopper compare magnitude/ wanda/ --json | jq '.tensors[] | [.name, .agreement]'

Masks agree where a weight is zero in both or in neither. Tensors are compared by value, so their types may differ.

Exit codes: 0 done, whether they differ or not, 1 could not be read, 2 the command line makes no sense";

pub const COMPLETIONS_HELP: &str = "\
Examples:
  lopper completions bash > ~/.local/share/bash-completion/completions/lopper
  lopper completions zsh > \"${fpath[1]}/_lopper\"
  lopper completions fish > ~/.config/fish/completions/lopper.fish";

pub const MAN_HELP: &str = "\
Examples:
  lopper man | man -l -
  lopper man -o ~/.local/share/man/man1";

pub const RECIPE_HELP: &str = "\
A recipe is rules in order; the last one that selects a tensor decides, and what none selects is copied. Its keys are the
options of `lopper prune`; paths start from the recipe's folder:

    [[rule]]                     # every matrix, but for embeddings, heads and norms
    sparsity = 0.5

    [[rule]]                     # 2:4 for MLPs, but for those of the first layer
    include = \"*.mlp.*\"
    exclude = \"model.layers.0.*\"
    keep = 2
    of = 4
    score = \"wanda\"
    activations = \"norms.safetensors\"

Examples:
  lopper recipe check recipe.toml llama/
  lopper recipe check recipe.toml llama/ --json | jq '.tensors[] | select(.rule == 1)'
  lopper prune llama/ -o pruned/ --recipe recipe.toml

Exit codes: 0 it can be carried out, 1 it cannot, or could not be read, 2 the command line makes no sense";

pub const DEVICES_HELP: &str = "\
Examples:
  lopper devices
  lopper devices --json | jq '.[].limits'

Exit codes: 0 at least one adapter will do, 1 none will, 2 the command line makes no sense";
