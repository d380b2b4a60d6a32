//! PyTorch's zip checkpoints, as `torch.save` has written them since 1.6: a pickle that describes tensors, and a member for
//! each storage.
//!
//! Layout: `<name>/data.pkl`, `<name>/data/<key>`, `<name>/byteorder`; see `caffe2/serialize/inline_container.h` and
//! `torch/serialization.py` of PyTorch. Names of tensors are the keys on the way to them, joined by dots.

use super::archive::Member;
use super::files::Files;
use super::list::{Found, List};
use super::pickle::{self, Key, Tensor, Value, ValueId};
use super::place::{Place, leaves};
use super::problem::ContainerProblem as Problem;
use crate::Result;

/// Keys on the way to a tensor, at most.
const MAX_DEPTH: usize = 64;
/// Values that are looked at, and bytes of their names: one that is shared is looked at from each place that it is at.
const MOST_VISITS: usize = 1 << 21;
const MOST_NAMES: usize = 64 << 20;

/// How the pickle's member ends.
pub(super) const PICKLE: &str = "/data.pkl";

/// Reads the tensors of file number `file`, which has these members.
pub(super) fn read(files: &Files, file: usize, members: &[Member], list: &mut List) -> Result<()> {
    let member = |name: &str| members.iter().find(|member| member.name == name);
    let pickles: Vec<&Member> = members.iter().filter(|member| member.name.ends_with(PICKLE)).collect();
    let [pickle] = pickles[..] else {
        let what = format!("{} members are called data.pkl", pickles.len());
        return Err(files.problem(file, Problem::Malformed { at: 0, what }));
    };
    let root = &pickle.name[..pickle.name.len() - PICKLE.len()];
    if members.iter().any(|member| member.name == format!("{root}/constants.pkl")) {
        let what = "it is a TorchScript program: save `model.state_dict()` with torch.save".to_owned();
        return Err(files.problem(file, Problem::Member { member: pickle.name.clone(), what }));
    }
    let big = match member(&format!("{root}/byteorder")) {
        Some(order) => {
            let mut cursor = files.cursor(file, order.at, order.end());
            cursor.text("the byte order", order.len, 16)? == "big"
        }
        None => false,
    };
    let mut cursor = files.cursor(file, pickle.at, pickle.end());
    let (values, top) = pickle::run(&mut cursor, &pickle.name)?;
    let storages: std::collections::HashMap<&str, &Member> = members
        .iter()
        .filter_map(|member| Some((member.name.strip_prefix(root)?.strip_prefix("/data/")?, member)))
        .collect();
    let mut walk = vec![(String::new(), top, 0)];
    let (mut visits, mut names) = (0, 0);
    while let Some((name, id, depth)) = walk.pop() {
        visits += 1;
        // What a collection's members are called is known before any of those names is made.
        names += match &values[id] {
            Value::Dict(entries) => entries.iter().map(|(key, _)| name.len() + 24 + key.len()).sum(),
            Value::List(ids) | Value::Tuple(ids) => ids.len() * (name.len() + 24),
            _ => 0,
        };
        if visits > MOST_VISITS || depth > MAX_DEPTH || names > MOST_NAMES {
            let what =
                format!("it is more than {MAX_DEPTH} deep, or has more than {MOST_VISITS} values, or too long names");
            return Err(files.problem(file, Problem::Member { member: pickle.name.clone(), what }));
        }
        let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        match &values[id] {
            Value::Tensor(tensor) => {
                let name = if name.is_empty() { "tensor".to_owned() } else { name };
                let Some(member) = storages.get(&*tensor.storage.key) else {
                    let what = format!("its storage data/{} is missing", tensor.storage.key);
                    return Err(files.problem(file, Problem::Tensor { tensor: name, what }));
                };
                let found = found(file, member, &name, tensor, big).map_err(|problem| files.problem(file, problem))?;
                list.push(&cursor, found)?;
            }
            // In their order: what is pushed last is looked at first.
            Value::Dict(entries) => walk.extend(entries.iter().rev().map(|(key, id): &(Key, ValueId)| match key {
                Key::Text(text) => (inner(text), *id, depth + 1),
                Key::Number(number) => (inner(&number.to_string()), *id, depth + 1),
            })),
            Value::List(ids) | Value::Tuple(ids) => {
                walk.extend(ids.iter().enumerate().rev().map(|(i, id)| (inner(&i.to_string()), *id, depth + 1)));
            }
            _ => {}
        }
    }
    Ok(())
}

fn found(file: usize, member: &Member, name: &str, tensor: &Tensor, big: bool) -> Result<Found, Problem> {
    let size = (tensor.dtype.bitsize() / 8) as u64;
    let overflows =
        || Problem::Tensor { tensor: name.to_owned(), what: "its shape and strides overflow 64 bits".into() };
    let from = tensor.offset.checked_mul(size).ok_or_else(overflows)?;
    let at = member.at.checked_add(from).ok_or_else(overflows)?;
    let (place, bytes) = Place::strided(file, at, size, &tensor.shape, &tensor.strides).ok_or_else(overflows)?;
    if bytes > member.len.saturating_sub(from) {
        return Err(leaves(name, bytes, member.len.saturating_sub(from)));
    }
    let place = if big { place.swapped(tensor.dtype) } else { place };
    Ok(Found { name: name.to_owned(), dtype: tensor.dtype, shape: tensor.shape.clone(), place })
}
