//! Packed checkpoints: against the files of the Python package `compressed-tensors` 0.14.0 (`tests/data/packed`), and to the
//! byte against what was packed.

#[path = "packed/bad_input.rs"]
mod bad_input;
mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::files::{Tensors, write};
use common::{Fill, Random, file_dtype, gpu, weights};
use lopper::checkpoint::{Checkpoint, Unfinished};
use lopper::packed::{self, PackOptions, Packed, Packing, Unpacked};
use lopper::pruner::{Options, Progress, Pruner, Recipe, Rule, Selection, Target};
use lopper::sparse::{Format, SparseMatrix};
use lopper::{Dtype, Result, reference};
use safetensors::{Dtype as FileDtype, SafeTensors};

const DATA: &str = concat!(env!("LOPPER_TEST_ROOT"), "/tests/data/packed");

fn on(done: u64, all: u64) -> ControlFlow<()> {
    assert!(done <= all, "{done} of {all}");
    ControlFlow::Continue(())
}

fn pack(input: &Path, output: &Path, options: &PackOptions) -> Result<Packed> {
    packed::pack(&Checkpoint::open(input)?, output, options, &Unfinished::default(), &on)
}

fn unpack(input: &Path, output: &Path) -> Result<Unpacked> {
    packed::unpack(&Checkpoint::open(input)?, output, false, &Unfinished::default(), &on)
}

fn of(packing: Packing) -> PackOptions {
    let selection = Some(Selection { all: true, ..Selection::default() });
    PackOptions { packing, selection, force_growth: true, ..PackOptions::default() }
}

type Contents = BTreeMap<String, (FileDtype, Vec<usize>, Vec<u8>)>;

fn read(path: &Path) -> Contents {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter();
    tensors.map(|(name, view)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))).collect()
}

/// A small packed matrix of 2 x 9, in one of the layouts.
fn small(packing: Packing) -> Tensors {
    let longs = |all: &[i64]| all.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let words = |all: &[u32]| all.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let halves = |n: usize| [0, 0x3c].repeat(n);
    match packing {
        Packing::SparseBitmask => vec![
            ("w.compressed", FileDtype::F16, vec![4], halves(4)),
            ("w.bitmask", FileDtype::U8, vec![2, 2], vec![0b11, 1, 0, 1]),
            ("w.row_offsets", FileDtype::I64, vec![2], longs(&[0, 3])),
            ("w.shape", FileDtype::I64, vec![2], longs(&[2, 9])),
        ],
        Packing::Sparse24Bitmask => vec![
            ("w.compressed", FileDtype::F16, vec![2, 4], halves(8)),
            ("w.bitmask", FileDtype::U8, vec![2, 1], vec![0b0011_0101, 0b1100_1010]),
            ("w.shape", FileDtype::I64, vec![2, 1], longs(&[2, 8])),
        ],
        _ => vec![
            ("w.weight.values", FileDtype::F16, vec![4], halves(4)),
            ("w.weight.bits", FileDtype::U32, vec![2, 1], words(&[0b1_0000_0011, 0b1_0000_0000])),
            ("w.weight.offsets", FileDtype::U32, vec![3], words(&[0, 3, 4])),
            ("w.weight.shape", FileDtype::I64, vec![2], longs(&[2, 9])),
        ],
    }
}

#[test]
fn files_of_the_package_are_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for packing in [Packing::SparseBitmask, Packing::Sparse24Bitmask] {
        let data = |kind: &str| Path::new(DATA).join(format!("{packing}{kind}.safetensors"));
        let dense = read(&data(".dense"));
        for kind in ["", ".old"] {
            let output = at(&format!("{packing}{kind}.safetensors"));
            let found = unpack(&data(kind), &output).unwrap();
            assert_eq!(read(&output), dense, "{packing}{kind}");
            assert!(found.tensors.len() >= 3 && found.tensors.iter().all(|t| t.packing == packing));
        }
        let output = at(&format!("{packing}.ours.safetensors"));
        let found = pack(&data(".dense"), &output, &of(packing)).unwrap();
        assert_eq!(found.left.len(), 1, "a bias is no matrix: {:?}", found.left);
        let (ours, theirs) = (read(&output), read(&data("")));
        let form = |all: &Contents| all.iter().map(|(n, (d, s, _))| (n.clone(), *d, s.clone())).collect::<Vec<_>>();
        assert_eq!(form(&ours), form(&theirs));
        if packing == Packing::SparseBitmask {
            assert_eq!(ours, theirs, "there is one way only");
        }
        for tensor in &found.tensors {
            let bytes: usize = ours.iter().filter(|(n, _)| part_of(n, &tensor.name)).map(|(_, t)| t.2.len()).sum();
            assert_eq!(tensor.bytes, bytes as u64, "{}", tensor.name);
        }
    }
}

fn part_of(part: &str, weight: &str) -> bool {
    part.rsplit_once('.')
        .is_some_and(|(prefix, _)| Some(prefix) == weight.strip_suffix(".weight") && !part.ends_with(".bias"))
}

/// 2:4, and with -0.0, NaN and infinities among what is kept.
fn two_of_four(dtype: Dtype, n: usize, seed: u64) -> Vec<u8> {
    let mut bytes = weights(dtype, 1, n, Fill::Bits, seed);
    let mut random = Random::new(seed);
    for group in bytes.chunks_mut(4 * dtype.size()) {
        let first = random.next() as usize % 4;
        for zero in [first, (first + 1 + random.next() as usize % 3) % 4] {
            group[zero * dtype.size()..(zero + 1) * dtype.size()].fill(0);
        }
    }
    bytes
}

fn model() -> Tensors {
    let matrix = |name, dtype, rows: usize, cols: usize| {
        (name, file_dtype(dtype), vec![rows, cols], two_of_four(dtype, rows * cols, rows as u64))
    };
    vec![
        matrix("one.weight", Dtype::F32, 5, 12),
        matrix("wide.weight", Dtype::F32, 2, 300_004), // a row is several spans
        matrix("high.weight", Dtype::BF16, 3000, 260),
        matrix("column.weight", Dtype::F16, 33, 4),
        matrix("square.weight", Dtype::F16, 64, 1028),
        ("odd.bias", FileDtype::F32, vec![7], vec![0; 28]),
        ("count", FileDtype::I64, vec![], vec![1; 8]),
    ]
}

#[test]
fn what_is_packed_becomes_what_it_was_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let plain = write(at("plain.safetensors"), &model(), &[("format", "pt")]);
    // The same with entries in another order, spaces, and unknown keys.
    let bytes = fs::read(&plain).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut entries: serde_json::Map<_, _> = serde_json::from_slice(&bytes[8..start]).unwrap();
    let metadata = entries.remove("__metadata__").unwrap();
    let mut lines: Vec<String> = entries.iter().rev().map(|(name, entry)| format!(" \"{name}\" : {entry}")).collect();
    lines.push(format!("\"__metadata__\": {metadata}"));
    let header = format!("{{{} }}  ", lines.join(",\n"));
    let spaced = at("spaced.safetensors");
    fs::write(&spaced, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[start..]].concat()).unwrap();
    for (name, input) in [("plain", &plain), ("spaced", &spaced)] {
        for packing in Packing::ALL {
            let (there, back) =
                (at(&format!("{name}.{packing}.safetensors")), at(&format!("{name}.{packing}.back.safetensors")));
            let packed = pack(input, &there, &of(packing)).unwrap();
            assert_eq!(packed.bytes, fs::metadata(&there).unwrap().len());
            let matrices = if packing == Packing::TiledBitmask { 6 } else { 5 };
            assert_eq!(packed.tensors.len(), matrices, "{:?}", packed.left);
            for tensor in &packed.tensors {
                let (rows, cols) = (tensor.shape[0], tensor.shape[1..].iter().product::<u64>());
                let (rows, cols) = if tensor.shape.len() == 1 { (1, rows) } else { (rows, cols) };
                let size = if tensor.dtype == "F32" { 4 } else { 2 };
                let index = match packing {
                    Packing::SparseBitmask => rows * cols.div_ceil(8) + 8 * rows + 16,
                    Packing::Sparse24Bitmask => rows * cols.div_ceil(8) + 16,
                    _ => {
                        rows * cols.div_ceil(32) * 4
                            + 4 * (rows * cols.div_ceil(1024) + 1)
                            + 8 * tensor.shape.len() as u64
                    }
                };
                assert_eq!(tensor.bytes, tensor.kept * size + index, "{packing} {}", tensor.name);
            }
            unpack(&there, &back).unwrap();
            assert!(fs::read(&back).unwrap() == fs::read(input).unwrap(), "{name} {packing}");
        }
    }
}

#[test]
fn folders_keep_their_shards_and_config_says_how_they_are_packed() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in");
    fs::create_dir(&input).unwrap();
    let all = model();
    let (first, second) = all.split_at(2);
    write(input.join("model-00001-of-00002.safetensors"), &first.to_vec(), &[("format", "pt")]);
    write(input.join("model-00002-of-00002.safetensors"), &second.to_vec(), &[]);
    let map = |tensors: &[_], shard: &str| {
        let line = |(name, ..): &(&str, FileDtype, Vec<usize>, Vec<u8>)| {
            format!("\"{name}\": \"model-0000{shard}-of-00002.safetensors\"")
        };
        tensors.iter().map(line).collect::<Vec<_>>().join(",\n")
    };
    let index = format!(
        "{{\"weight_map\": {{{},{}}}, \"metadata\": {{\"total_size\":  7}}}}",
        map(first, "1"),
        map(second, "2")
    );
    fs::write(input.join("model.safetensors.index.json"), &index).unwrap();
    let config = "{\n  \"architectures\": [\"X\"],\n  \"tie\": true\n}\n";
    fs::write(input.join("config.json"), config).unwrap();
    fs::write(input.join("tokenizer.json"), "[1]").unwrap();
    for packing in Packing::ALL {
        let (there, back) = (folder.path().join(packing.name()), folder.path().join(format!("{packing}.back")));
        let options = PackOptions { selection: None, ..of(packing) };
        pack(&input, &there, &options).unwrap();
        let text = fs::read_to_string(there.join("config.json")).unwrap();
        let section = &serde_json::from_str::<serde_json::Value>(&text).unwrap()["quantization_config"];
        if packing == Packing::TiledBitmask {
            assert_eq!(text, config);
        } else {
            let sparsity = &section["sparsity_config"];
            assert_eq!(
                (&section["quant_method"], &sparsity["format"]),
                (&"compressed-tensors".into(), &packing.name().into())
            );
            let structure = if packing == Packing::SparseBitmask { "unstructured" } else { "2:4" };
            assert_eq!(sparsity["sparsity_structure"], structure);
            let share = sparsity["global_sparsity"].as_f64().unwrap();
            assert!((0.4..0.6).contains(&share), "{share}");
        }
        let index = fs::read_to_string(there.join("model.safetensors.index.json")).unwrap();
        assert!(!index.contains("wide.weight\":"), "{index}");
        Checkpoint::open(&there).unwrap();
        unpack(&there, &back).unwrap();
        for file in fs::read_dir(&input).unwrap() {
            let name = file.unwrap().file_name();
            assert!(fs::read(back.join(&name)).unwrap() == fs::read(input.join(&name)).unwrap(), "{packing} {name:?}");
        }
        assert_eq!(fs::read_dir(&back).unwrap().count(), fs::read_dir(&input).unwrap().count());
    }
    let again = pack(&folder.path().join("sparse-bitmask"), &folder.path().join("no"), &of(Packing::SparseBitmask));
    assert!(again.unwrap_err().to_string().contains("packed already"));
    assert!(!folder.path().join("no").exists());
}

#[test]
fn ranks_names_and_zeros_that_are_awkward_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (half, zero) = (0x3c00u16.to_le_bytes(), 0x8000u16.to_le_bytes());
    let all: Tensors = vec![
        ("scalar", FileDtype::F16, vec![], half.to_vec()),
        ("cube", FileDtype::F16, vec![2, 3, 5], [half, zero, [0; 2]].concat().repeat(10)),
        ("x.weight.weight", FileDtype::F16, vec![4, 4], [half, [0; 2]].concat().repeat(8)),
        ("two.weight", FileDtype::F16, vec![4, 4], [half, zero, zero, zero].concat().repeat(4)),
    ];
    let input = write(at("in.safetensors"), &all, &[]);
    let tiled = pack(&input, &at("tiled.safetensors"), &of(Packing::TiledBitmask)).unwrap();
    assert_eq!(tiled.tensors.len(), 4);
    unpack(&at("tiled.safetensors"), &at("back.safetensors")).unwrap();
    assert!(fs::read(at("back.safetensors")).unwrap() == fs::read(&input).unwrap());
    let refused = pack(&input, &at("no.safetensors"), &of(Packing::Sparse24Bitmask)).unwrap_err().to_string();
    assert!(refused.contains("none of the 4 tensors"), "{refused}");
    let positive = PackOptions { positive_zeros: true, ..of(Packing::Sparse24Bitmask) };
    let packed = pack(&input, &at("two.safetensors"), &positive).unwrap();
    assert_eq!(packed.tensors.iter().map(|t| &*t.name).collect::<Vec<_>>(), ["two.weight"]);
    assert!(read(&at("two.safetensors"))["two.compressed"].2.chunks(2).all(|w| w == half || w == [0, 0]));
    let bits = pack(&input, &at("bits.safetensors"), &of(Packing::SparseBitmask)).unwrap();
    assert!(bits.left.iter().any(|left| left.name == "x.weight.weight" && left.why.contains("another one's")));
}

#[test]
fn growth_is_refused_and_signs_of_zeros_are_kept_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let full = weights(Dtype::F16, 64, 64, Fill::Normal, 3);
    let mut negative = full.clone();
    negative.chunks_mut(2).step_by(2).for_each(|weight| weight.copy_from_slice(&0x8000u16.to_le_bytes()));
    let all: Tensors = vec![
        ("full.weight", FileDtype::F16, vec![64, 64], full),
        ("negative.weight", FileDtype::F16, vec![64, 64], negative),
    ];
    let input = write(at("in.safetensors"), &all, &[]);
    let careful = |packing| PackOptions { selection: None, force_growth: false, ..of(packing) };
    let refused = pack(&input, &at("no.safetensors"), &careful(Packing::SparseBitmask)).unwrap_err().to_string();
    assert!(refused.contains("none of the 2 tensors") && refused.contains("it would grow from 8192 to"), "{refused}");
    let refused = pack(&input, &at("no.safetensors"), &of(Packing::Sparse24Bitmask)).unwrap_err().to_string();
    assert!(refused.contains("it is not 2:4: 1024 groups of 4 keep more than 2"), "{refused}");
    assert!(!at("no.safetensors").exists());

    let positive = PackOptions { positive_zeros: true, ..careful(Packing::SparseBitmask) };
    let packed = pack(&input, &at("half.safetensors"), &positive).unwrap();
    assert_eq!((packed.tensors.len(), packed.left.len()), (1, 1));
    assert_eq!((packed.tensors[0].negative_zeros, packed.tensors[0].kept), (2048, 2048));
    unpack(&at("half.safetensors"), &at("back.safetensors")).unwrap();
    let (before, after) = (read(&input), read(&at("back.safetensors")));
    let same = before["negative.weight"].2.chunks(2).zip(after["negative.weight"].2.chunks(2));
    assert!(same.enumerate().all(|(i, (a, b))| if i % 2 == 0 { b == [0, 0] } else { a == b }));
    let forced = pack(&input, &at("grown.safetensors"), &of(Packing::SparseBitmask)).unwrap();
    assert!(forced.bytes > forced.bytes_before && forced.tensors.iter().all(|t| t.kept == 4096));
    assert!(
        unpack(&input, &at("no.safetensors")).unwrap_err().to_string().contains("nothing in this checkpoint is packed")
    );
}

#[test]
fn what_cannot_be_packed_is_refused_before_it_is_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let pruner = Pruner::new(gpu().clone());
    let recipe: Recipe = Rule::new(Target::Sparsity(0.9)).into();
    let refused = |input: &Path, packing: Packing| {
        let packing = PackOptions { packing, ..PackOptions::default() };
        let never = |_: &Progress| -> ControlFlow<()> { panic!("it is pruned") };
        let paths = (input, &*at("no"));
        packed::prune(&pruner, paths, &recipe, &Options::default(), &packing, (&never, &on)).unwrap_err().to_string()
    };
    let halves = weights(Dtype::F16, 64, 66, Fill::Normal, 3);
    let odd: Tensors = vec![("odd.weight", FileDtype::F16, vec![64, 66], halves)];
    let input = write(at("in.safetensors"), &odd, &[]);
    let says = refused(&input, Packing::Sparse24Bitmask);
    assert!(says.contains("none of the 1 tensors") && says.contains("66 columns, no multiple of 4"), "{says}");
    fs::create_dir(at("quantized")).unwrap();
    write(at("quantized/model.safetensors"), &odd, &[]);
    fs::write(at("quantized/config.json"), "{\"quantization_config\": {\"quant_method\": \"gptq\"}}").unwrap();
    let says = refused(&at("quantized"), Packing::SparseBitmask);
    assert!(says.contains("its `quantization_config` says already"), "{says}");
    let mut both = odd.clone();
    both.extend(small(Packing::SparseBitmask));
    let says = refused(&write(at("both.safetensors"), &both, &[]), Packing::TiledBitmask);
    assert!(says.contains("the checkpoint is packed already"), "{says}");
    assert!(!at("no").exists());

    let (packing, into) = (PackOptions::default(), at("new/"));
    let pruned = |_: &Progress| ControlFlow::Continue(());
    packed::prune(&pruner, (&input, &into), &recipe, &Options::default(), &packing, (&pruned, &on)).unwrap();
    assert!(at("new/in.safetensors").is_file());
    assert!(
        fs::read_dir(folder.path()).unwrap().all(|e| !e.unwrap().file_name().to_string_lossy().contains(".lopper"))
    );
}

#[test]
fn a_tiled_file_is_loaded_as_it_is_and_multiplies_like_one_packed_on_the_gpu() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let shapes = [
        ("a", Dtype::F32, 33usize, 257usize),
        ("b", Dtype::BF16, 7, 2049),
        ("c", Dtype::F16, 64, 1024),
        ("d", Dtype::F16, 3, 5),
    ];
    let of_shape = |(name, dtype, rows, cols): (&'static str, Dtype, usize, usize)| {
        let fill = if name == "d" { Fill::Equal } else { Fill::Sparse };
        (name, file_dtype(dtype), vec![rows, cols], weights(dtype, rows, cols, fill, 9))
    };
    let all: Tensors = shapes.into_iter().map(of_shape).collect();
    let input = write(at("in.safetensors"), &all, &[]);
    pack(&input, &at("out.safetensors"), &of(Packing::TiledBitmask)).unwrap();
    let checkpoint = Checkpoint::open(&at("out.safetensors")).unwrap();
    let kernels = &common::both_tunings()[0];
    for ((name, dtype, rows, cols), (_, _, _, bytes)) in shapes.into_iter().zip(&all) {
        let loaded = SparseMatrix::load(gpu().device(), &checkpoint, name).unwrap();
        let shape = lopper::Shape::new(rows as u64, cols as u64);
        let words = shape.mask_words_per_row() as usize;
        let mut mask = vec![0u32; rows * words];
        for i in (0..rows * cols).filter(|i| dtype.bits(bytes, *i) != 0) {
            mask[i / cols * words + i % cols / 32] |= 1 << (i % cols % 32);
        }
        let (weights, bits) = (common::buffer(bytes), common::buffer(bytemuck::cast_slice(&mask)));
        let view = lopper::kernels::MatrixView::dense(&weights, 0, dtype, rows as u32, cols as u32);
        let packed = SparseMatrix::pack(gpu(), kernels, &view, &bits, Format::Bitmask).unwrap();
        assert_eq!(loaded.download(gpu()).unwrap(), packed.download(gpu()).unwrap(), "{name}: every word");
        let twin =
            reference::Packed::pack(reference::Matrix::dense(dtype, shape, bytes), &mask, Format::Bitmask).unwrap();
        assert_eq!(loaded.download(gpu()).unwrap(), twin, "{name}");
        let x: Vec<f32> = (0..cols).map(|i| (i % 7) as f32 - 3.0).collect();
        let x = common::buffer(bytemuck::cast_slice(&x));
        let product = |matrix: &SparseMatrix| {
            let y = common::poisoned(4 * rows as u64);
            common::run_pass(|pass| matrix.matmul(kernels, pass, 1, &x, &y, Default::default()).unwrap());
            common::read(&y)
        };
        assert_eq!(product(&loaded), product(&packed), "{name}");
    }
    let refused = |path: &Path, name: &str| {
        let checkpoint = Checkpoint::open(path).unwrap();
        SparseMatrix::load(gpu().device(), &checkpoint, name).unwrap_err().to_string()
    };
    assert!(refused(&at("out.safetensors"), "e").contains("there is no `e.values`"));
    assert!(refused(&input, "a").contains("not packed as tiled-bitmask"));
    let broken = |name: &str, tensor: usize, byte: usize, value: u8| -> PathBuf {
        let mut all = small(Packing::TiledBitmask);
        all[tensor].3[byte] = value;
        write(at(name), &all, &[("lopper.tiled-bitmask", "1")])
    };
    assert!(refused(&broken("1.safetensors", 2, 8, 9), "w.weight").contains("its last offset says 9"));
    assert!(refused(&broken("2.safetensors", 2, 4, 9), "w.weight").contains("before tile 1"));
    assert!(refused(&broken("3.safetensors", 1, 1, 9), "w.weight").contains("behind its last column"));
    assert!(refused(&broken("4.safetensors", 3, 0, 3), "w.weight").contains("by its shape it should be U32 [3, 1]"));
}
