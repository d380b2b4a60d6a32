//! Files that are damaged, or made to do harm: each is refused with a message that says what is wrong, and where.

use std::io::Write;
use std::path::{Path, PathBuf};

use lopper::container::Container;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::fixtures::{files, fixture};

fn refused(path: &Path) -> String {
    match Container::open(path) {
        Ok(container) => panic!("{} was opened: {:?}", path.display(), container.tensors()),
        Err(error) => error.to_string(),
    }
}

/// A file of these bytes in a folder of its own.
struct Made(tempfile::TempDir, PathBuf);

fn made(name: &str, bytes: &[u8]) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    Made(folder, path)
}

fn zipped(name: &str, members: &[(&str, &[u8])], method: CompressionMethod) -> Made {
    let mut to = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (member, bytes) in members {
        to.start_file(*member, SimpleFileOptions::default().compression_method(method)).unwrap();
        to.write_all(bytes).unwrap();
    }
    made(name, &to.finish().unwrap().into_inner())
}

/// A checkpoint with this pickle and one storage of 16 floats.
fn pickled(pickle: &[u8]) -> String {
    let data = [0; 64];
    let members: [(&str, &[u8]); 2] = [("m/data.pkl", pickle), ("m/data/0", &data)];
    refused(&zipped("m.pt", &members, CompressionMethod::Stored).1)
}

#[test]
fn pickles_that_ask_for_anything_but_tensors_are_refused_by_name_and_run_nothing() {
    let evil = refused(&fixture("evil.pt"));
    assert!(evil.contains("posix.system") && evil.contains("data.pkl") && evil.contains("nothing was run"), "{evil}");
    let module = refused(&fixture("module.pt"));
    assert!(module.contains("torch.nn.modules.container.Sequential") && module.contains("state_dict()"), "{module}");
    assert!(refused(&fixture("legacy.pt")).contains("before 1.6"));
    for (pickle, why) in [
        (&b"\x80\x02cbuiltins\neval\n."[..], "asks for `builtins.eval`"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "asks for `os.system`"),
        (b"\x80\x02ctorch\nload\n.", "asks for `torch.load`"),
        (b"\x80\x02(ios\nsystem\n.", "the opcode INST 0x69"),
        (b"\x80\x02}}\x81.", "the opcode NEWOBJ 0x81"),
        (b"\x80\x02]}b.", "the opcode BUILD 0x62"),
        (b"\x80\x02\x82\x01.", "the opcode EXT 0x82"),
        (b"\x80\x02K\x01)R.", "something is called that is no function"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "and is no function"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "a tensor has no storage"),
        (b"\x80\x02X\xff\xff\xff\xff.", "a text needs bytes"),
        (b"\x80\x02X\x00\x00\x02\x00", "a text needs bytes"),
        (b"\x80\x02h\x05.", "slot 5 of the memo is empty"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "slot 2147483647"),
        (b"\x80\x02NQ.", "a persistent id is no tuple"),
        (b"\x80\x02}K\x01s.", "a key is neither text nor number"),
        (b"\x80\x02u.", "there is no mark"),
        (b"\x80\x09.", "version 9"),
        (b"\x80\x02.", "the stack is empty"),
        (b"\x80\x02}", "an opcode needs bytes"),
    ] {
        let error = pickled(pickle);
        assert!(error.contains(why), "{pickle:?}: {error}");
    }
}

/// A tensor of one dimension in storage 0.
fn tensor(offset: u32, len: u32, stride: u32) -> Vec<u8> {
    let mut pickle = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    pickle.extend(b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x10tQ");
    let number = |number: u32| [b"J".to_vec(), number.to_le_bytes().to_vec()].concat();
    pickle.extend([number(offset), number(len), b"\x85".to_vec(), number(stride), b"\x85\x89}tRs.".to_vec()].concat());
    pickle
}

#[test]
fn views_do_not_leave_their_storage_and_do_not_multiply() {
    let data = [0; 64];
    let at = |pickle: &[u8]| zipped("m.pt", &[("m/data.pkl", pickle), ("m/data/0", &data)], CompressionMethod::Stored);
    let good = at(&tensor(4, 4, 3));
    assert_eq!(Container::open(&good.1).unwrap().tensors()[0].shape, [4]);
    for (pickle, why) in [
        (tensor(4, 5, 3), "tensor `w`: its elements need"),
        (tensor(16, 1, 1), "tensor `w`: its elements need"),
        (tensor(0, 0x7fff_ffff, 0x7fff_ffff), "tensor `w`: its elements need"),
        (tensor(0xffff_ffff, 1, 1), "offset is no number"),
        (tensor(0, 0x7fff_ffff, 0), "bytes of tensors that share theirs"),
    ] {
        let error = refused(&at(&pickle).1);
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn views_that_negate_or_conjugate_are_refused() {
    let data = [0; 64];
    let with = |marks: &[u8]| {
        let plain = tensor(4, 4, 3);
        let pickle = [plain.strip_suffix(b"tRs.").unwrap(), marks, b"tRs."].concat();
        let file = zipped("m.pt", &[("m/data.pkl", &pickle), ("m/data/0", &data)], CompressionMethod::Stored);
        Container::open(&file.1).map(|container| container.tensors().len()).map_err(|error| error.to_string())
    };
    assert_eq!(with(b""), Ok(1));
    assert_eq!(with(b"N"), Ok(1));
    assert_eq!(with(b"}"), Ok(1));
    for marks in [&b"}X\x03\x00\x00\x00neg\x88s"[..], b"}X\x04\x00\x00\x00conj\x88s", b"K\x01"] {
        let error = with(marks).unwrap_err();
        assert!(error.contains("save it with .resolve_neg().resolve_conj()"), "{error}");
    }
}

#[test]
fn pickles_that_grow_are_bounded() {
    // A thousand million names out of a few hundred bytes: dictionaries of ten times the one before.
    let mut pickle = b"\x80\x02}q\x00".to_vec();
    for level in 0u8..9 {
        pickle.extend(b"}(");
        for key in 0u8..10 {
            pickle.extend([b'K', key, b'h', level]);
        }
        pickle.extend([b'u', b'q', level + 1]);
    }
    pickle.push(b'.');
    assert!(pickled(&pickle).contains("or has more than"));
    // One that holds itself.
    assert!(pickled(b"\x80\x02]q\x00h\x00a.").contains("deep"));
    // More values than any checkpoint has.
    let mut many = b"\x80\x02(".to_vec();
    many.resize(3 << 20, b']');
    assert!(pickled(&many).contains("values of"));
}

#[test]
fn every_file_that_ends_early_is_refused_or_loses_no_tensor() {
    for file in files().iter().map(String::as_str).chain(["objects.npz", "typed.onnx", "evil.pt", "odd.h5"]) {
        if file.starts_with("beside") {
            continue;
        }
        let whole = std::fs::read(fixture(file)).unwrap();
        let count = Container::open(&fixture(file)).map_or(0, |container| container.tensors().len());
        for len in (0..whole.len()).step_by((whole.len() / 60).max(1)) {
            let cut = made(Path::new(file).file_name().unwrap().to_str().unwrap(), &whole[..len]);
            match Container::open(&cut.1) {
                Err(error) => assert!(!error.to_string().contains(char::is_control), "{file}: {error}"),
                // A model that ends between two fields is one of fewer fields.
                Ok(_) if file.ends_with(".onnx") => {}
                Ok(container) => assert_eq!(container.tensors().len(), count, "{file} of {len} bytes"),
            }
        }
    }
}

#[test]
fn zip_files_that_lie_are_refused() {
    // A bomb: zeros, a thousand to one.
    let zeros = vec![0; 80 << 20];
    let array = [
        &b"\x93NUMPY\x01\x00\x46\x00{'descr': '|u1', 'fortran_order': False, 'shape': (83886080,), }      \n"[..],
        &zeros,
    ]
    .concat();
    let bomb = zipped("bomb.npz", &[("a.npy", &array)], CompressionMethod::Deflated);
    let error = refused(&bomb.1);
    assert!(error.contains("would unpack to 83886"), "{error}");
    // Two members in one place.
    let good = zipped(
        "o.npz",
        &[("a.npy", &b"\x93NUMPY first"[..]), ("b.npy", b"\x93NUMPY other")],
        CompressionMethod::Stored,
    );
    let mut bytes = std::fs::read(&good.1).unwrap();
    let central: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"PK\x01\x02")).collect();
    bytes.copy_within(central[0] + 42..central[0] + 46, central[1] + 42);
    let error = refused(&made("o.npz", &bytes).1);
    assert!(error.contains("overlap"), "{error}");
    // A member under the other's name.
    let mut bytes = std::fs::read(&good.1).unwrap();
    bytes[central[1] + 46] = b'a';
    let error = refused(&made("o.npz", &bytes).1);
    assert!(error.contains("one name"), "{error}");
    // Data that is not what its checksum says.
    let squeezed = std::fs::read(fixture("compressed.npz")).unwrap();
    let mut broken = squeezed.clone();
    let crc = (0..broken.len()).find(|at| broken[*at..].starts_with(b"PK\x01\x02")).unwrap() + 16;
    broken[crc] ^= 1;
    let error = refused(&made("c.npz", &broken).1);
    assert!(error.contains("cannot be unpacked") || error.contains("hecksum"), "{error}");
}

/// A GGUF file of no metadata with these tensors: name, dimensions, type, offset.
fn gguf(count: u64, entries: u64, tensors: &[(&str, &[u64], u32, u64)], data: usize) -> Made {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(count.to_le_bytes());
    bytes.extend(entries.to_le_bytes());
    for (name, dims, kind, offset) in tensors {
        bytes.extend((name.len() as u64).to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|dim| bytes.extend(dim.to_le_bytes()));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(32) + data, 0);
    made("m.gguf", &bytes)
}

#[test]
fn counts_and_shapes_that_cannot_be_are_refused() {
    let most = u64::MAX;
    assert_eq!(Container::open(&gguf(1, 0, &[("w", &[8, 4], 0, 0)], 128).1).unwrap().tensors()[0].shape, [4, 8]);
    for (file, why) in [
        (gguf(most, 0, &[], 0), "tensors: there would be 18446744073709551615"),
        (gguf(0, most, &[], 0), "metadata entries: there would be"),
        (gguf(1 << 20, 0, &[], 0), "needs bytes"),
        (gguf(1, 0, &[("w", &[most, most], 0, 0)], 0), "tensor `w`: its 2 dimensions overflow"),
        (gguf(1, 0, &[("w", &[8], 0, most - 31)], 32), "overflow"),
        (gguf(1, 0, &[("w", &[9], 0, 0)], 32), "tensor `w`: its elements need 36 bytes"),
        (gguf(1, 0, &[("w", &[8], 0, 4)], 64), "no multiple of the alignment"),
        (gguf(2, 0, &[("w", &[8], 0, 0), ("w", &[8], 0, 32)], 64), "it has `w` twice"),
    ] {
        let error = refused(&file.1);
        assert!(error.contains(why), "{why}: {error}");
    }
    let npy = |shape: &str| {
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        let len = (text.len() as u16).to_le_bytes();
        made("a.npy", &[b"\x93NUMPY\x01\x00", &len[..], text.as_bytes(), &[0; 16]].concat())
    };
    assert!(Container::open(&npy("(2, 2)").1).is_ok());
    for (shape, why) in [
        ("(5,)", "its elements need 20 bytes, there are 16"),
        ("(4294967296, 4294967296, 4)", "overflows 64 bits"),
        ("(0, 18446744073709551615, 18446744073709551615)", "overflow"),
        ("(-1,)", "no number"),
    ] {
        let error = refused(&npy(shape).1);
        assert!(error.contains(why), "{shape}: {error}");
    }
}

/// An ONNX model of one initializer, `w`, of four floats, with external data there.
fn external(entries: &[(&str, &str)]) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8], bytes].concat();
    let mut tensor = [&[0x08, 4, 0x10, 1][..], &field(8, b"w")].concat();
    for (key, value) in entries {
        tensor.extend(field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat()));
    }
    tensor.extend([14 << 3, 1]);
    [&[0x08, 10][..], &field(7, &field(5, &tensor))].concat()
}

#[test]
fn external_data_that_climbs_out_of_its_folder_is_not_opened() {
    let outside = made("secret.bin", &[7; 64]);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("good.bin"), [1; 32]).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&outside.1, at("link.bin")).unwrap();
    let open = |entries: &[(&str, &str)]| {
        std::fs::write(at("m.onnx"), external(entries)).unwrap();
        Container::open(&at("m.onnx"))
    };
    assert_eq!(open(&[("location", "good.bin"), ("offset", "8"), ("length", "16")]).unwrap().tensors()[0].shape, [4]);
    let name = outside.1.file_name().unwrap().to_str().unwrap();
    let climbing = format!("../{}/{name}", outside.0.path().file_name().unwrap().to_str().unwrap());
    for (entries, why) in [
        (vec![("location", climbing.as_str())], "not a file in the model's folder"),
        (vec![("location", outside.1.to_str().unwrap())], "not a file in the model's folder"),
        (vec![("location", "sub/../../x")], "not a file in the model's folder"),
        (vec![("location", "..\\x")], "not a file in the model's folder"),
        (vec![("location", "")], "not a file in the model's folder"),
        (vec![("location", "missing.bin")], "cannot be opened"),
        (vec![("location", "good.bin"), ("offset", "24")], "its elements need 16 bytes, there are 8"),
        (vec![("location", "good.bin"), ("offset", "18446744073709551615")], "its elements need 16 bytes"),
        (vec![("location", "good.bin"), ("offset", "-1")], "no number of 64 bits"),
        (vec![("location", "good.bin"), ("length", "999")], "its elements need 16 bytes, there are 999"),
        #[cfg(unix)]
        (vec![("location", "link.bin"), ("length", "16")], "a link that leads out"),
    ] {
        let error = open(&entries).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("`w`"), "{entries:?}: {error}");
    }
}

#[test]
fn what_is_of_no_known_format_is_said_to_be_so() {
    assert!(refused(&made("x.dat", b"hello, this is some text").1).contains("of no format that lopper reads"));
    assert!(refused(&made("x.npy", b"").1).contains("damaged or not fully downloaded"));
    assert!(refused(&made("x.h5", b"\x89HDF\r\n\x1a\n").1).contains("HDF5 structure cannot be read"));
    let stray = zipped("x.zip", &[("readme.txt", b"hello")], CompressionMethod::Stored);
    assert!(refused(&stray.1).contains("of no format"));
}

#[test]
fn what_of_an_onnx_model_is_no_initializer_is_told_and_its_graph_ends_where_it_says() {
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat();
    // ir_version 9; a graph with a sparse initializer, whatever is in that.
    let version = [8, 9];
    let model = made("m.onnx", &[&version[..], &field(7, &field(15, b"\x0a\x00"))].concat());
    let opened = Container::open(&model.1).unwrap();
    assert!(opened.tensors().is_empty());
    let [other] = opened.others() else { panic!("{:?}", opened.others()) };
    assert!(other.what.contains("sparse ONNX tensor"), "{}", other.what);
    // An initializer of 9 bytes in a graph of 4, with bytes of the model behind it.
    let graph = [7 << 3 | 2, 4, 5 << 3 | 2, 9, 0, 0];
    let longer = refused(&made("m.onnx", &[&version[..], &graph, &field(2, b"producer")].concat()).1);
    assert!(longer.contains("m.onnx"), "{longer}");
}
