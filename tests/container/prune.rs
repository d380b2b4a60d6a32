//! Files pruned into copies and into safetensors: the weights are those that a safetensors checkpoint of the same tensors
//! gets, and nothing else of the file differs.

use std::collections::BTreeMap;
use std::path::Path;

use lopper::container::{Container, Kind};
use lopper::pruner::{Layout, Options, Pruner, Recipe, Rule, Selection, Target};
use lopper::safetensors::tensor::{TensorView, serialize_to_file};

use super::common;
use super::fixtures::{Known, fixture, read};

fn pruner() -> Option<Pruner> {
    if std::env::var_os("LOPPER_TEST_NO_GPU").is_some() {
        return None;
    }
    Some(common::pruner(common::gpu()))
}

fn recipe(layout: Layout) -> Recipe {
    let selection = Selection { all: true, ..Selection::default() };
    Recipe::from(Rule { layout, selection, ..Rule::new(Target::Sparsity(0.4)) })
}

/// What a safetensors checkpoint of these tensors becomes.
fn by_checkpoint(
    pruner: &Pruner,
    tensors: &BTreeMap<String, Known>,
    recipe: &Recipe,
    folder: &Path,
) -> BTreeMap<String, Known> {
    let shape = |known: &Known| known.1.iter().map(|dim| *dim as usize).collect();
    let views = tensors.iter().map(|(name, known)| (name, TensorView::new(known.0, shape(known), &known.2).unwrap()));
    let (input, output) = (folder.join("reference.safetensors"), folder.join("pruned.safetensors"));
    serialize_to_file(views, None, &input).unwrap();
    pruner.prune(&input, &output, recipe, &Options { force: true, ..Options::default() }, &|_| go()).unwrap();
    read(&output)
}

fn go() -> std::ops::ControlFlow<()> {
    std::ops::ControlFlow::Continue(())
}

/// Places at which two files of one length differ.
fn differing(a: &Path, b: &Path) -> Vec<usize> {
    let (a, b) = (std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
    assert_eq!(a.len(), b.len());
    (0..a.len()).filter(|at| a[*at] != b[*at]).collect()
}

#[test]
fn copies_hold_what_a_checkpoint_would_and_differ_in_nothing_else() {
    let Some(pruner) = pruner() else { return };
    let files = [
        "rows.npy",
        "columns.npy",
        "big.npy",
        "arrays.npz",
        "compressed.npz",
        "objects.npz",
        "small.gguf",
        "aligned.gguf",
        "inside.onnx",
        "typed.onnx",
        "network.weights.h5",
        "network.keras",
        "odd.h5",
        "latest.h5",
    ];
    for file in files {
        let folder = tempfile::tempdir().unwrap();
        let input = Container::open(&fixture(file)).unwrap();
        let layout = if input.kind().inputs_first() { Layout::InOut } else { Layout::OutIn };
        let output = folder.path().join(file);
        let recipe = recipe(layout);
        let report = pruner.prune_container(&input, &output, input.kind(), &recipe, &Options::default(), &|_| go());
        let report = report.unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(report.totals.zeros > 0, "{file}");
        let want = by_checkpoint(&pruner, &read(&fixture(file)), &recipe, folder.path());
        let got = read(&output);
        for (name, known) in &want {
            assert!(got[name] == *known, "{file}: {name}: {:?} is not {known:?}", got[name]);
        }
        assert_eq!(got.len(), want.len(), "{file}");
        assert_eq!(Container::open(&output).unwrap().others(), input.others(), "{file}");
        if file != "compressed.npz" {
            // Weights, and two checksums for each member of a zip file.
            let zip = matches!(input.kind(), Kind::Npz | Kind::KerasModel);
            let changed = differing(&fixture(file), &output).len();
            let bytes: usize = want.values().map(|known| known.2.len()).sum();
            if zip {
                let mut archive = zip::ZipArchive::new(std::fs::File::open(&output).unwrap()).unwrap();
                for member in 0..archive.len() {
                    // Read to its end, its checksum is compared.
                    std::io::copy(&mut archive.by_index(member).unwrap(), &mut std::io::sink()).unwrap();
                }
            }
            assert!(changed > 0 && changed <= bytes + if zip { 8 * want.len() } else { 0 }, "{file}: {changed}");
        }
    }
}

#[test]
fn a_damaged_member_is_refused_and_gets_no_new_checksum() {
    let Some(pruner) = pruner() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.npz"), folder.path().join("out.npz"));
    let mut bytes = std::fs::read(fixture("arrays.npz")).unwrap();
    let holds = |bytes: &[u8]| {
        std::fs::write(&input, bytes).unwrap();
        let input = Container::open(&input).unwrap();
        let recipe = recipe(Layout::OutIn);
        pruner.prune_container(&input, &output, input.kind(), &recipe, &Options::default(), &|_| go())
    };
    assert!(holds(&bytes).is_ok());
    std::fs::remove_file(&output).unwrap();
    // The last byte of the first array that is pruned.
    let report = Container::open(&input).unwrap();
    let info = report.tensors().iter().find(|info| info.shape.len() == 2).unwrap().clone();
    let number = report.tensors().iter().position(|other| *other == info).unwrap();
    let mut last = vec![0; 8];
    report.read_at(number, info.bytes() - 8, &mut last).unwrap();
    let at = bytes.windows(8).position(|window| window == last).unwrap();
    bytes[at] ^= 1;
    let error = holds(&bytes).unwrap_err().to_string();
    assert!(error.contains(&info.name) && error.contains("damaged: its checksum is"), "{error}");
    assert!(!output.exists());
}

#[test]
fn data_beside_a_model_is_pruned_beside_the_copy_and_never_over_the_original() {
    let Some(pruner) = pruner() else { return };
    let folder = tempfile::tempdir().unwrap();
    let input = Container::open(&fixture("beside/model.onnx")).unwrap();
    let (recipe, output) = (recipe(Layout::OutIn), folder.path().join("half.onnx"));
    pruner.prune_container(&input, &output, Kind::Onnx, &recipe, &Options::default(), &|_| go()).unwrap();
    let want = by_checkpoint(&pruner, &read(&fixture("beside/model.onnx")), &recipe, folder.path());
    assert!(read(&output) == want);
    assert!(differing(&fixture("beside/model.onnx"), &output).len() <= 64, "only what is in the model itself");
    // In the model's own folder its data would be replaced.
    let own = tempfile::tempdir().unwrap();
    for name in ["model.onnx", "weights.data"] {
        std::fs::copy(fixture("beside").join(name), own.path().join(name)).unwrap();
    }
    let input = Container::open(&own.path().join("model.onnx")).unwrap();
    let options = Options { force: true, ..Options::default() };
    let refused =
        pruner.prune_container(&input, &own.path().join("half.onnx"), Kind::Onnx, &recipe, &options, &|_| go());
    assert!(refused.unwrap_err().to_string().contains("a file of the input"));
    let left: Vec<_> = std::fs::read_dir(own.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_pickle_is_pruned_into_safetensors_and_never_into_a_pickle() {
    let Some(pruner) = pruner() else { return };
    let folder = tempfile::tempdir().unwrap();
    let input = Container::open(&fixture("state.pt")).unwrap();
    let (recipe, output) = (recipe(Layout::OutIn), folder.path().join("out.safetensors"));
    pruner.prune_container(&input, &output, Kind::Safetensors, &recipe, &Options::default(), &|_| go()).unwrap();
    assert!(read(&output) == by_checkpoint(&pruner, &read(&fixture("state.pt")), &recipe, folder.path()));
    let refused = pruner.prune_container(
        &input,
        &folder.path().join("out.pt"),
        Kind::Torch,
        &recipe,
        &Options::default(),
        &|_| go(),
    );
    assert!(refused.unwrap_err().to_string().contains("write a .safetensors file"));
    assert!(!folder.path().join("out.pt").exists());
}

#[test]
fn kernels_of_keras_are_pruned_by_outputs_and_its_optimizer_is_left_alone() {
    let input = Container::open(&fixture("network.keras")).unwrap();
    let recipe = Recipe::from(Rule::new(Target::Sparsity(0.5))).for_container(&input);
    let plan = lopper::pruner::Plan::new(&recipe, input.tensors()).unwrap();
    for (planned, info) in plan.tensors.iter().zip(input.tensors()) {
        let pruned = planned.rule.is_some();
        assert_eq!(pruned, !info.name.starts_with("optimizer/") && info.shape.len() > 1, "{}", info.name);
        if let ([.., outputs], true) = (&info.shape[..], pruned) {
            assert_eq!(planned.shape.rows, *outputs, "{}", info.name);
        }
    }
}
