//! Parts that contradict each other, and runs that stop.

use super::*;

#[test]
fn parts_that_contradict_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let metadata = |packing| match packing {
        Packing::TiledBitmask => vec![("lopper.tiled-bitmask", "1")],
        _ => vec![],
    };
    let try_it = |packing, change: &dyn Fn(&mut Tensors)| {
        let mut all = small(packing);
        change(&mut all);
        let input = write(at("in.safetensors"), &all, &metadata(packing));
        unpack(&input, &at("out.safetensors"))
    };
    for packing in Packing::ALL {
        try_it(packing, &|_| {}).unwrap();
        let ones = read(&at("out.safetensors"))["w.weight"].2.chunks(2).filter(|w| w[1] != 0).count();
        assert_eq!(ones, if packing == Packing::Sparse24Bitmask { 8 } else { 4 });
        fs::remove_file(at("out.safetensors")).unwrap();
    }
    let set = |tensor: usize, byte: usize, value: u8| move |all: &mut Tensors| all[tensor].3[byte] = value;
    let whole = |tensor: usize, dtype, shape: &'static [usize], bytes: &'static [u8]| {
        move |all: &mut Tensors| (all[tensor].1, all[tensor].2, all[tensor].3) = (dtype, shape.to_vec(), bytes.to_vec())
    };
    let (any, two, tiled) = (Packing::SparseBitmask, Packing::Sparse24Bitmask, Packing::TiledBitmask);
    type Change = Box<dyn Fn(&mut Tensors)>;
    let cases: Vec<(Packing, Change, &str)> = vec![
        (any, Box::new(set(1, 0, 0b111)), "it has 4 values, its bits keep 5"),
        (any, Box::new(set(1, 1, 0b11)), "row 0 has bits behind its last column"),
        (any, Box::new(set(2, 8, 2)), "its bits come to"),
        (any, Box::new(set(2, 15, 0x80)), "its bits come to"),
        (any, Box::new(set(3, 7, 0x80)), "a shape has no dimension of"),
        (any, Box::new(set(3, 6, 0x7f)), "overflow"),
        (any, Box::new(set(3, 0, 3)), "the bits of 3 rows of 9 weights take 6 bytes of U8, this is 4 of U8"),
        (any, Box::new(whole(0, FileDtype::I32, &[4], &[0; 16])), "values of I32 cannot be unpacked"),
        (any, Box::new(whole(2, FileDtype::I32, &[4], &[0; 16])), "the offsets of 2 rows"),
        (any, Box::new(whole(3, FileDtype::I64, &[0], &[])), "rank 0"),
        (any, Box::new(whole(3, FileDtype::I64, &[3], &[1; 24])), "overflow"),
        (any, Box::new(|all: &mut Tensors| drop(all.pop())), "its shape is missing, which should be `w.shape`"),
        (
            any,
            Box::new(|all: &mut Tensors| all.push(("w.weight", FileDtype::U8, vec![1], vec![1]))),
            "`w.weight` is in the list twice",
        ),
        (two, Box::new(set(1, 0, 0b0111_0101)), "a group of 4 in row 0 does not keep exactly 2"),
        (two, Box::new(set(1, 1, 0b1100_1000)), "a group of 4 in row 1 does not keep exactly 2"),
        (two, Box::new(set(2, 8, 9)), "have 9 values, not 8"),
        (tiled, Box::new(set(2, 8, 5)), "its last offset is 5, its bits keep 4"),
        (tiled, Box::new(set(2, 4, 2)), "its bits come to"),
        (tiled, Box::new(set(1, 1, 0b11)), "row 0 has bits behind its last column"),
        (tiled, Box::new(set(3, 0, 0)), "no weights"),
    ];
    for (packing, change, says) in cases {
        let error = try_it(packing, &*change).unwrap_err().to_string();
        assert!(error.contains(says), "{packing}: {says:?} is not in {error}");
        assert!(!at("out.safetensors").exists());
    }
    for (packing, part) in [(any, 0), (any, 1), (tiled, 0), (tiled, 1), (tiled, 2), (tiled, 3)] {
        let mut all = small(packing);
        let name = all.remove(part).0;
        let input = write(at("in.safetensors"), &all, &metadata(packing));
        let error = unpack(&input, &at("out.safetensors")).unwrap_err().to_string();
        assert!(error.contains("is missing") && error.contains(name), "{error}");
    }
    // A header that is not that of these tensors is not believed.
    let forged = write(
        at("forged.safetensors"),
        &small(any),
        &[("lopper.header", "{\"w.weight\":{\"dtype\":\"F16\",\"shape\":[9,2],\"data_offsets\":[0,36]}}")],
    );
    unpack(&forged, &at("out.safetensors")).unwrap();
    assert_eq!(read(&at("out.safetensors"))["w.weight"].1, [2, 9]);
}

#[test]
fn a_stopped_run_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let stops = |_, _| ControlFlow::Break(());
    let dense = Checkpoint::open(&write(at("dense.safetensors"), &model(), &[])).unwrap();
    let output = at("new/out.safetensors");
    let options = of(Packing::SparseBitmask);
    let stopped = packed::pack(&dense, &output, &options, &Unfinished::default(), &stops);
    assert!(matches!(stopped, Err(lopper::Error::Cancelled)));
    pack(&at("dense.safetensors"), &at("packed.safetensors"), &options).unwrap();
    let packed = Checkpoint::open(&at("packed.safetensors")).unwrap();
    let stopped = packed::unpack(&packed, &output, false, &Unfinished::default(), &stops);
    assert!(matches!(stopped, Err(lopper::Error::Cancelled)));
    assert!(!at("new").exists());
}

#[test]
fn what_is_read_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let dense = write(folder.path().join("dense.safetensors"), &model(), &[]);
    let before = fs::read(&dense).unwrap();
    let forced = PackOptions { force: true, ..of(Packing::SparseBitmask) };
    assert!(pack(&dense, &dense, &forced).unwrap_err().to_string().contains("a file of the input"));
    assert_eq!(fs::read(&dense).unwrap(), before);
}
