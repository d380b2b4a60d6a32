//! Masks applied to other tensors, and runs that stop.

use super::*;

#[test]
fn masks_are_applied_to_other_weights_and_to_an_optimizers_state() {
    let folder = tempfile::tempdir().unwrap();
    let (path, masks, _) = extracted(folder.path(), "a", 1);
    let opened = Masks::open(&path, None).unwrap();
    // Fine-tuned: everywhere something, of other types; and one tensor that has no mask.
    let mut random = Random::new(5);
    let dtypes = [Dtype::BF16, Dtype::F32, Dtype::F16];
    let (shapes, _) = model(1);
    let mut tuned: Tensors = vec![("other", FileDtype::I64, vec![2], vec![7; 16])];
    let mut expected = BTreeMap::new();
    for (i, (name, _, shape, _)) in shapes.iter().filter(|t| masks.contains_key(t.0)).enumerate() {
        let dtype = dtypes[i % 3];
        let n: usize = shape.iter().product();
        let bytes: Vec<u8> =
            (0..n).flat_map(|_| encode(dtype, random.normal()).to_le_bytes()[..dtype.size()].to_vec()).collect();
        let mut masked = bytes.clone();
        masks[*name].iter().enumerate().filter(|(_, kept)| !**kept).for_each(|(i, _)| {
            masked[i * dtype.size()..(i + 1) * dtype.size()].fill(0);
        });
        expected.insert(*name, masked);
        tuned.push((name, file_dtype(dtype), shape.clone(), bytes));
    }
    let input = write(folder.path().join("tuned.safetensors"), &tuned, &[("format", "pt")]);
    let output = folder.path().join("out.safetensors");
    let applied = apply(&opened, &input, &output, ApplyOptions::default()).unwrap();
    let (before, after) = (fs::read(&input).unwrap(), fs::read(&output).unwrap());
    let file = SafeTensors::deserialize(&after).unwrap();
    for (name, bytes) in &expected {
        assert!(file.tensor(name).unwrap().data() == &bytes[..], "{name}");
    }
    assert_eq!(file.tensor("other").unwrap().data(), [7; 16]);
    let header = |bytes: &[u8]| 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(before[..header(&before)], after[..header(&after)], "the layout is the same");
    assert_eq!((applied.copied, applied.tensors.len()), (1, masks.len()));
    for tensor in &applied.tensors {
        assert_eq!(tensor.kept, masks[&tensor.name].iter().filter(|kept| **kept).count() as u64);
    }

    // Kept weights that are zero are given the values that they had.
    let revive = Some(Checkpoint::open(&input).unwrap());
    let inverse = folder.path().join("inverse.safetensors");
    to(&inverse, |to| masks::invert(&opened, to)).unwrap();
    let back = folder.path().join("back.safetensors");
    let whole = apply(&opened, &output, &back, ApplyOptions { revive: revive.clone(), ..Default::default() }).unwrap();
    assert!(whole.tensors.iter().all(|t| t.cleared == 0 && t.revived == 0));
    let other = folder.path().join("other.safetensors");
    let flipped = Masks::open(&inverse, None).unwrap();
    let whole = apply(&flipped, &output, &other, ApplyOptions { revive, ..Default::default() }).unwrap();
    assert!(whole.tensors.iter().any(|t| t.revived > 0));
    let after = fs::read(&other).unwrap();
    let file = SafeTensors::deserialize(&after).unwrap();
    for (name, dtype, _, bytes) in &tuned[1..] {
        let size = dtype.bitsize() / 8;
        let data = file.tensor(name).unwrap().data().to_vec();
        for (i, kept) in masks[*name].iter().enumerate() {
            let at = i * size..(i + 1) * size;
            assert!(if *kept { data[at].iter().all(|b| *b == 0) } else { data[at.clone()] == bytes[at] }, "{name} {i}");
        }
    }

    // Of an optimizer: two tensors for each weight.
    let state: Tensors = vec![
        ("a.weight.exp_avg", FileDtype::F64, vec![5, 7], 1f64.to_le_bytes().repeat(35)),
        ("a.weight.exp_avg_sq", FileDtype::F32, vec![5, 7], 1f32.to_le_bytes().repeat(35)),
        ("a.weight.step", FileDtype::F32, vec![], 3f32.to_le_bytes().into()),
    ];
    let input = write(folder.path().join("state.safetensors"), &state, &[]);
    let only = Selection { include: vec!["a.*".into()], ..Selection::default() };
    let one = Masks::open(&path, Some(&only)).unwrap();
    let names = vec!["{}.exp_avg".to_owned(), "{}.exp_avg_sq".to_owned()];
    let output = folder.path().join("state.out.safetensors");
    let applied = apply(&one, &input, &output, ApplyOptions { names, ..Default::default() }).unwrap();
    let pruned = masks["a.weight"].iter().filter(|kept| !**kept).count() as u64;
    assert!(applied.tensors.len() == 2 && applied.tensors.iter().all(|t| t.cleared == pruned));
    let refused = apply(&one, &input, &folder.path().join("no.safetensors"), ApplyOptions::default()).unwrap_err();
    assert!(refused.to_string().contains("its mask is for no tensor here: there is no `a.weight`"), "{refused}");
    let refused = apply(
        &one,
        &input,
        &path,
        ApplyOptions { force: true, names: vec!["{}.exp_avg".into()], ..Default::default() },
    );
    assert!(refused.unwrap_err().to_string().contains("a file of the input"));
}

#[test]
fn an_output_among_the_masks_is_refused_under_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (tensors, _) = model(1);
    fs::create_dir(at("pruned")).unwrap();
    fs::create_dir(at("in")).unwrap();
    write(at("pruned/model.safetensors"), &tensors, &[]);
    let input = write(at("in/model.safetensors"), &tensors, &[]);
    let masks = Masks::open(&at("pruned"), Some(&all())).unwrap();
    let refused = |masks: &Masks, input: &Path, output: &str, force: bool| {
        let options = ApplyOptions { force, ..Default::default() };
        apply(masks, input, &at(output), options).unwrap_err().to_string()
    };
    // A second shard with the same tensors would lie there.
    assert!(refused(&masks, &input, "pruned/ticket.safetensors", false).contains("inside the input"));
    assert!(!at("pruned/ticket.safetensors").exists());
    // The masks, by a link, are what the output would replace.
    fs::create_dir(at("out")).unwrap();
    let mask = write(at("out/model.safetensors"), &tensors, &[]);
    let before = fs::read(&mask).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&mask, at("m.safetensors")).unwrap();
        let linked = Masks::open(&at("m.safetensors"), Some(&all())).unwrap();
        assert!(refused(&linked, &at("in"), "out", true).contains("a file of the input"));
    }
    let direct = Masks::open(&mask, Some(&all())).unwrap();
    assert!(refused(&direct, &at("in"), "out", true).contains("a file of the input"));
    assert_eq!(fs::read(&mask).unwrap(), before);
}

#[test]
fn a_stopped_run_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, ..) = extracted(folder.path(), "a", 1);
    let masks = Masks::open(&path, None).unwrap();
    let output = folder.path().join("sub/no.safetensors");
    let unfinished = Unfinished::default();
    let to =
        MaskTo { output: &output, force: false, unfinished: &unfinished, progress: &|_, _| ControlFlow::Break(()) };
    assert!(matches!(masks::invert(&masks, &to), Err(lopper::Error::Cancelled)));
    assert!(!folder.path().join("sub").exists());
    let over =
        MaskTo { output: &path, force: true, unfinished: &unfinished, progress: &|_, _| ControlFlow::Continue(()) };
    assert!(masks::invert(&masks, &over).unwrap_err().to_string().contains("input"));

    // Also what reads more than masks.
    let (tensors, _) = model(1);
    let weights = Checkpoint::open(&write(folder.path().join("w.safetensors"), &tensors, &[])).unwrap();
    let stops = |_, _| ControlFlow::Break(());
    let (output, options) = (folder.path().join("new/a.safetensors"), ApplyOptions::default());
    let stopped = masks::apply(&masks, &weights, &output, &options, &unfinished, &stops);
    assert!(matches!(stopped, Err(lopper::Error::Cancelled)));
    let by = Regrow { weights: &weights, scores: &weights, fraction: 0.5 };
    let to = MaskTo { output: &output, force: false, unfinished: &unfinished, progress: &stops };
    assert!(matches!(masks::regrow(&masks, &by, &to), Err(lopper::Error::Cancelled)));
    assert!(!folder.path().join("new").exists());
}
