//! Files that are made anew: everything in them but the bytes of tensors, whose places are known before the first is written.

use std::collections::BTreeMap;
use std::path::Path;

use super::Kind;
use super::archive::Member;
use super::place::Place;
use super::problem::ContainerProblem as Problem;
use super::wire::Message;
use super::write::Laid;
use super::{gguf, npy, onnx};
use crate::checkpoint::{self, NewShard, TensorInfo};
use crate::{Error, Result};

/// The most bytes of an ONNX model: what Protocol Buffers allow. Larger ones have their data in a file beside them.
const MAX_MODEL: u64 = (1 << 31) - 1;

/// What a file of this kind with these tensors is made of.
pub(super) fn lay_out(kind: Kind, tensors: &[TensorInfo], metadata: &[(&str, String)], output: &Path) -> Result<Laid> {
    let refused = |problem| Error::Container { path: output.to_owned(), problem };
    kind.creatable().map_err(refused)?;
    match kind {
        Kind::Safetensors => safetensors(tensors, metadata, output),
        Kind::Npy => one(tensors).map_err(refused),
        Kind::Npz => npz(tensors).map_err(refused),
        Kind::Gguf => of_gguf(tensors).map_err(refused),
        _ => of_onnx(tensors, output).map_err(refused),
    }
}

fn not_held(info: &TensorInfo, what: String) -> Problem {
    let hint = "write a .safetensors file, which holds every type and shape";
    Problem::NotHeld { tensor: info.name.clone(), what, hint }
}

fn alone(fixed: Vec<(u64, Vec<u8>)>, places: Vec<u64>, members: Vec<Member>) -> Laid {
    let places = places.into_iter().map(|at| Place::plain(0, at)).collect();
    Laid { names: Vec::new(), fixed: fixed.into_iter().map(|(at, bytes)| (0, at, bytes)).collect(), places, members }
}

fn safetensors(tensors: &[TensorInfo], metadata: &[(&str, String)], output: &Path) -> Result<Laid> {
    let metadata: BTreeMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let name = output.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let shard = NewShard { name, tensors: tensors.to_vec(), metadata };
    let (header, placed) = checkpoint::lay_out(&shard, 0, output.parent().unwrap_or(Path::new("")))?;
    Ok(alone(vec![(0, header)], placed.iter().map(|info| info.range.start).collect(), Vec::new()))
}

/// What stands in front of an array's data.
fn front(info: &TensorInfo) -> Result<Vec<u8>, Problem> {
    let descr = npy::descr(info.dtype).ok_or_else(|| not_held(info, format!("NumPy has no type {}", info.dtype)))?;
    if info.shape.len() > 64 {
        return Err(not_held(info, format!("it has {} dimensions, NumPy's arrays have at most 64", info.shape.len())));
    }
    Ok(npy::front(descr, &info.shape))
}

fn one(tensors: &[TensorInfo]) -> Result<Laid, Problem> {
    let [info] = tensors else {
        let what = format!("a .npy file holds one array, and there are {}", tensors.len());
        let tensor = tensors.first().map_or_else(String::new, |info| info.name.clone());
        return Err(Problem::NotHeld { tensor, what, hint: "write a .npz file" });
    };
    let front = front(info)?;
    let at = front.len() as u64;
    Ok(alone(vec![(0, front)], vec![at], Vec::new()))
}

/// A zip file whose members are stored: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>. Numbers of 64 bits stand
/// in an extra field where they do not fit; checksums are filled in at the end.
fn npz(tensors: &[TensorInfo]) -> Result<Laid, Problem> {
    let (mut fixed, mut places, mut members) = (Vec::new(), Vec::new(), Vec::new());
    let (mut at, mut directory) = (0u64, Vec::new());
    for info in tensors {
        let climbs = info.name.split(['/', '\\']).any(|part| part == "..");
        let name = format!("{}.npy", info.name);
        if climbs || info.name.starts_with('/') || info.name.contains('\0') || name.len() > usize::from(u16::MAX) {
            return Err(not_held(info, "its name is none for a member of a zip file".into()));
        }
        let front = front(info)?;
        let len = front.len() as u64 + info.bytes();
        let large = len >= u64::from(u32::MAX);
        let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let mut common = Vec::new();
        // Version, flags (the name is UTF-8), stored, the time at which zip's calendar begins, checksum, both lengths.
        common.extend(if large { 45u16 } else { 20 }.to_le_bytes());
        common.extend([0x00, 0x08, 0, 0, 0, 0, 0x21, 0]);
        common.extend(0u32.to_le_bytes());
        for _ in 0..2 {
            common.extend((if large { u32::MAX } else { len as u32 }).to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        let mut local = b"PK\x03\x04".to_vec();
        local.extend(&common);
        local.extend((if large { 20u16 } else { 0 }).to_le_bytes());
        local.extend(name.as_bytes());
        let mut extra = Vec::new();
        if large {
            extra.extend([len, len].map(u64::to_le_bytes).concat());
            local.extend([1, 0, 16, 0]);
            local.extend(&extra);
        }
        if at >= u64::from(u32::MAX) {
            extra.extend(at.to_le_bytes());
        }
        let central = directory.len() as u64;
        directory.extend(b"PK\x01\x02\x2d\x00");
        directory.extend(&common);
        directory.extend((if extra.is_empty() { 0 } else { extra.len() as u16 + 4 }).to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(short(at).to_le_bytes());
        directory.extend(name.as_bytes());
        if !extra.is_empty() {
            directory.extend([1, 0]);
            directory.extend((extra.len() as u16).to_le_bytes());
            directory.extend(extra);
        }
        let begin = at + local.len() as u64;
        members.push(Member { name, at: begin, len, checksums: [at + 14, central + 16], checksum: 0 });
        places.push(begin + front.len() as u64);
        local.extend(front);
        fixed.push((at, local));
        at = begin + len;
    }
    for member in &mut members {
        member.checksums[1] += at;
    }
    let (count, size) = (tensors.len() as u64, directory.len() as u64);
    let end = at + size;
    // The end of the directory with numbers of 64 bits, where it is, and the end for those that know 32 only.
    directory.extend(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
    directory.extend([count, count, size, at].map(u64::to_le_bytes).concat());
    directory.extend(b"PK\x06\x07\0\0\0\0");
    directory.extend(end.to_le_bytes());
    directory.extend(b"\x01\0\0\0PK\x05\x06\0\0\0\0");
    let few = u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes();
    directory.extend([few, few].concat());
    directory.extend([size, at].map(|number| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()).concat());
    directory.extend([0, 0]);
    fixed.push((at, directory));
    Ok(alone(fixed, places, members))
}

fn of_gguf(tensors: &[TensorInfo]) -> Result<Laid, Problem> {
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    let mut head = gguf::MAGIC.to_vec();
    head.extend(gguf::VERSION.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend(2u64.to_le_bytes());
    // The one key that every GGUF file has to have. What the tensors are a model of is not known.
    text(&mut head, "general.architecture");
    head.extend(gguf::KIND_TEXT.to_le_bytes());
    text(&mut head, "unknown");
    text(&mut head, gguf::ALIGNMENT_KEY);
    head.extend(gguf::KIND_U32.to_le_bytes());
    head.extend((gguf::ALIGNMENT as u32).to_le_bytes());
    let (mut offset, mut offsets) = (0u64, Vec::new());
    for info in tensors {
        let kind = gguf::kind(info.dtype).ok_or_else(|| not_held(info, format!("GGUF has no type {}", info.dtype)))?;
        if info.shape.len() > 4 || info.name.len() > 63 {
            let (rank, len) = (info.shape.len(), info.name.len());
            let what = format!("it has {rank} dimensions and a name of {len} bytes, GGUF holds 4 and 63 at most");
            return Err(not_held(info, what));
        }
        text(&mut head, &info.name);
        head.extend((info.shape.len() as u32).to_le_bytes());
        info.shape.iter().rev().for_each(|dim| head.extend(dim.to_le_bytes()));
        head.extend(kind.to_le_bytes());
        head.extend(offset.to_le_bytes());
        offsets.push(offset);
        offset = (offset + info.bytes()).next_multiple_of(gguf::ALIGNMENT);
    }
    head.resize(head.len().next_multiple_of(gguf::ALIGNMENT as usize), 0);
    let data = head.len() as u64;
    let places: Vec<u64> = offsets.into_iter().map(|offset| data + offset).collect();
    let mut fixed = vec![(0, head)];
    // The last tensor is padded too.
    if let (Some(at), Some(info)) = (places.last(), tensors.last()) {
        let (end, padded) = (at + info.bytes(), data + offset);
        fixed.push((end, vec![0; (padded - end) as usize]));
    }
    Ok(alone(fixed, places, Vec::new()))
}

/// A model of initializers only.
fn of_onnx(tensors: &[TensorInfo], output: &Path) -> Result<Laid, Problem> {
    use onnx::number::{
        DIMS, EXTERNAL, GRAPH, GRAPH_NAME, INITIALIZER, IR_VERSION, LOCATION, NAME, OPSET, OPSET_VERSION, PRODUCER,
        RAW, TYPE,
    };
    let mut fronts = Vec::new();
    for info in tensors {
        let kind = onnx::kind(info.dtype).ok_or_else(|| not_held(info, format!("ONNX has no type {}", info.dtype)))?;
        let mut front = Message::default();
        for dim in &info.shape {
            front.number(DIMS, *dim);
        }
        front.number(TYPE, kind).bytes(NAME, info.name.as_bytes());
        fronts.push(front);
    }
    let data = tensors.iter().fold(0u64, |sum, info| sum.saturating_add(info.bytes() + 64));
    let named = fronts.iter().map(|front| front.0.len() as u64 + 256).sum::<u64>();
    let beside = data.saturating_add(named) > MAX_MODEL;
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".data");
    let (mut offset, mut offsets) = (0u64, Vec::new());
    for (info, front) in tensors.iter().zip(&mut fronts) {
        if beside {
            for (key, value) in [
                ("location", name.to_string_lossy().into_owned()),
                ("offset", offset.to_string()),
                ("length", info.bytes().to_string()),
            ] {
                let mut entry = Message::default();
                entry.bytes(1, key.as_bytes()).bytes(2, value.as_bytes());
                front.bytes(EXTERNAL, &entry.0);
            }
            front.number(LOCATION, 1);
            offsets.push(offset);
            // As onnx aligns them.
            offset = (offset + info.bytes()).next_multiple_of(4096);
        } else {
            front.front(RAW, info.bytes());
        }
    }
    let held = |info: &TensorInfo| if beside { 0 } else { info.bytes() };
    let mut head = Message::default();
    let mut opset = Message::default();
    opset.number(OPSET_VERSION, 21);
    head.number(IR_VERSION, 10).bytes(PRODUCER, b"lopper").bytes(OPSET, &opset.0);
    let mut graph = Message::default();
    graph.bytes(GRAPH_NAME, b"tensors");
    let mut pieces = vec![graph];
    let mut len = pieces[0].0.len() as u64;
    for (info, front) in tensors.iter().zip(fronts) {
        let mut piece = Message::default();
        piece.front(INITIALIZER, front.0.len() as u64 + held(info));
        piece.0.extend(front.0);
        len += piece.0.len() as u64 + held(info);
        pieces.push(piece);
    }
    head.front(GRAPH, len);
    let number = usize::from(beside);
    let (mut fixed, mut places) = (vec![(number, 0, head.0)], Vec::new());
    let mut at = fixed[0].2.len() as u64;
    for (piece, info) in pieces.into_iter().zip(std::iter::once(None).chain(tensors.iter().map(Some))) {
        fixed.push((number, at, piece.0));
        at += fixed[fixed.len() - 1].2.len() as u64;
        if let Some(info) = info {
            places.push(at);
            at += held(info);
        }
    }
    let places = if beside { offsets } else { places };
    let places = places.into_iter().map(|at| Place::plain(0, at)).collect();
    Ok(Laid { names: if beside { vec![name] } else { Vec::new() }, fixed, places, members: Vec::new() })
}
