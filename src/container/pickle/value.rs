//! What a pickle of tensors is made of, and the few functions that it may name.

use std::rc::Rc;

use safetensors::Dtype;

/// A value's place in the machine's list.
pub type ValueId = usize;

/// The most dimensions: more than any tensor has.
const MAX_RANK: usize = 64;

/// A value. Collections hold places, so a pickle may be as deep or as cyclic as it likes; texts are shared by all that they
/// come to be in, so that what is small in a pickle stays small.
#[derive(Debug, Clone)]
pub enum Value {
    Nothing,
    Number(i64),
    Text(Rc<str>),
    /// A float, a truth value or bytes, of which nothing is needed.
    Plain,
    List(Vec<ValueId>),
    Tuple(Vec<ValueId>),
    Dict(Vec<(Key, ValueId)>),
    Global(Call),
    Storage(Storage),
    Tensor(Tensor),
}

impl Value {
    /// What it holds of its own, in values.
    pub fn weight(&self) -> usize {
        match self {
            Value::List(ids) | Value::Tuple(ids) => ids.len(),
            Value::Dict(entries) => entries.len(),
            Value::Tensor(tensor) => tensor.shape.len() + tensor.strides.len(),
            _ => 0,
        }
    }
}

/// A key of a dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Text(Rc<str>),
    Number(i64),
}

impl Key {
    /// Bytes of its text.
    pub fn len(&self) -> usize {
        if let Key::Text(text) = self { text.len() } else { 0 }
    }
}

/// What a global of [`GLOBALS`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks, marks)`, and without the last three.
    Tensor,
    /// `_rebuild_tensor_v3(storage, offset, shape, strides, requires_grad, hooks, dtype, marks)`, and without the last.
    TypedTensor,
    /// `_rebuild_parameter(tensor, requires_grad, hooks)`.
    Parameter,
    /// `OrderedDict()`.
    Dict,
    /// `torch.Size(tuple)`.
    Size,
    /// A storage of elements of this type.
    Storage(Dtype),
    /// A storage of bytes, whose tensors have a type of their own.
    Bytes,
    /// An element type.
    Dtype(Dtype),
}

/// All that a pickle may name.
pub const GLOBALS: [(&str, &str, Call); 37] = [
    ("torch._utils", "_rebuild_tensor_v2", Call::Tensor),
    ("torch._utils", "_rebuild_tensor", Call::Tensor),
    ("torch._utils", "_rebuild_tensor_v3", Call::TypedTensor),
    ("torch._utils", "_rebuild_parameter", Call::Parameter),
    ("collections", "OrderedDict", Call::Dict),
    ("torch", "Size", Call::Size),
    ("torch", "DoubleStorage", Call::Storage(Dtype::F64)),
    ("torch", "FloatStorage", Call::Storage(Dtype::F32)),
    ("torch", "HalfStorage", Call::Storage(Dtype::F16)),
    ("torch", "BFloat16Storage", Call::Storage(Dtype::BF16)),
    ("torch", "LongStorage", Call::Storage(Dtype::I64)),
    ("torch", "IntStorage", Call::Storage(Dtype::I32)),
    ("torch", "ShortStorage", Call::Storage(Dtype::I16)),
    ("torch", "CharStorage", Call::Storage(Dtype::I8)),
    ("torch", "ByteStorage", Call::Storage(Dtype::U8)),
    ("torch", "BoolStorage", Call::Storage(Dtype::BOOL)),
    ("torch", "ComplexFloatStorage", Call::Storage(Dtype::C64)),
    ("torch", "UntypedStorage", Call::Bytes),
    ("torch.storage", "UntypedStorage", Call::Bytes),
    ("torch", "float64", Call::Dtype(Dtype::F64)),
    ("torch", "float32", Call::Dtype(Dtype::F32)),
    ("torch", "float16", Call::Dtype(Dtype::F16)),
    ("torch", "bfloat16", Call::Dtype(Dtype::BF16)),
    ("torch", "float8_e4m3fn", Call::Dtype(Dtype::F8_E4M3)),
    ("torch", "float8_e5m2", Call::Dtype(Dtype::F8_E5M2)),
    ("torch", "float8_e4m3fnuz", Call::Dtype(Dtype::F8_E4M3FNUZ)),
    ("torch", "float8_e5m2fnuz", Call::Dtype(Dtype::F8_E5M2FNUZ)),
    ("torch", "complex64", Call::Dtype(Dtype::C64)),
    ("torch", "int64", Call::Dtype(Dtype::I64)),
    ("torch", "int32", Call::Dtype(Dtype::I32)),
    ("torch", "int16", Call::Dtype(Dtype::I16)),
    ("torch", "int8", Call::Dtype(Dtype::I8)),
    ("torch", "uint64", Call::Dtype(Dtype::U64)),
    ("torch", "uint32", Call::Dtype(Dtype::U32)),
    ("torch", "uint16", Call::Dtype(Dtype::U16)),
    ("torch", "uint8", Call::Dtype(Dtype::U8)),
    ("torch", "bool", Call::Dtype(Dtype::BOOL)),
];

/// What a global stands for, if it is one of [`GLOBALS`].
pub fn global(module: &str, name: &str) -> Option<Call> {
    GLOBALS.iter().find(|(m, n, _)| (*m, *n) == (module, name)).map(|(.., call)| *call)
}

/// Bytes that lie in a member of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// None for one of bytes.
    pub dtype: Option<Dtype>,
    /// The member's name, behind `data/`.
    pub key: Rc<str>,
}

/// A view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    pub storage: Storage,
    pub dtype: Dtype,
    /// The first element's place.
    pub offset: u64,
    pub shape: Vec<u64>,
    /// Elements from one to the next, of each dimension.
    pub strides: Vec<u64>,
}

impl Storage {
    /// From `("storage", type, key, location, elements)`.
    pub fn read(values: &[Value], id: ValueId) -> Result<Self, String> {
        let Value::Tuple(parts) = &values[id] else { return Err("a persistent id is no tuple".into()) };
        let part = |number: usize| parts.get(number).map(|id| &values[*id]);
        match (part(0), part(1), part(2)) {
            (Some(Value::Text(kind)), Some(Value::Global(call)), Some(Value::Text(key))) if &**kind == "storage" => {
                let dtype = match call {
                    Call::Storage(dtype) => Some(*dtype),
                    Call::Bytes => None,
                    other => return Err(format!("a storage of type {other:?}")),
                };
                Ok(Self { dtype, key: Rc::clone(key) })
            }
            _ => Err("a persistent id is not that of a storage".into()),
        }
    }
}

/// What calling `function` gives.
pub fn called(values: &[Value], function: ValueId, arguments: ValueId) -> Result<Value, String> {
    let (Value::Global(call), Value::Tuple(arguments)) = (&values[function], &values[arguments]) else {
        return Err("something is called that is no function, or without a tuple of arguments".into());
    };
    let argument = |number: usize| arguments.get(number).map(|id| &values[*id]);
    match call {
        Call::Tensor | Call::TypedTensor => {
            let Some(Value::Storage(storage)) = argument(0) else { return Err("a tensor has no storage".into()) };
            let dtype = match (call, storage.dtype, argument(6)) {
                (Call::TypedTensor, _, Some(Value::Global(Call::Dtype(dtype)))) => *dtype,
                (Call::Tensor, Some(dtype), _) => dtype,
                _ => return Err("a tensor has no element type".into()),
            };
            // What is left of a view that is not its storage's values as they are.
            match argument(if *call == Call::Tensor { 6 } else { 7 }) {
                None | Some(Value::Nothing) => {}
                Some(Value::Dict(marks)) if marks.is_empty() => {}
                Some(_) => {
                    let what = "a tensor has marks of a negated or conjugated view: save it with .resolve_neg().resolve_conj()";
                    return Err(what.into());
                }
            }
            let offset = argument(1).and_then(whole).ok_or("a tensor's offset is no number")?;
            let numbers = |number: usize, what: &str| match argument(number) {
                Some(Value::Tuple(ids)) => {
                    let numbers = ranked(ids)?.iter().map(|id| whole(&values[*id])).collect::<Option<Vec<u64>>>();
                    numbers.ok_or_else(|| format!("a tensor's {what} are not all numbers"))
                }
                _ => Err(format!("a tensor's {what} are no tuple of numbers")),
            };
            let (shape, strides) = (numbers(2, "dimensions")?, numbers(3, "strides")?);
            if shape.len() != strides.len() {
                return Err(format!("a tensor has {} dimensions and {} strides", shape.len(), strides.len()));
            }
            Ok(Value::Tensor(Tensor { storage: storage.clone(), dtype, offset, shape, strides }))
        }
        Call::Parameter => match argument(0) {
            Some(Value::Tensor(tensor)) => Ok(Value::Tensor(tensor.clone())),
            _ => Err("a parameter is no tensor".into()),
        },
        Call::Dict if arguments.is_empty() => Ok(Value::Dict(Vec::new())),
        Call::Dict => Err("an OrderedDict is made of something".into()),
        Call::Size => match argument(0) {
            Some(Value::Tuple(ids)) => Ok(Value::Tuple(ranked(ids)?.to_vec())),
            _ => Err("a size is no tuple".into()),
        },
        other => Err(format!("{other:?} is called, and is no function")),
    }
}

/// The same, unless there are more than any tensor has.
fn ranked(ids: &[ValueId]) -> Result<&[ValueId], String> {
    if ids.len() > MAX_RANK {
        return Err(format!("a tensor of {} dimensions: at most {MAX_RANK} are read", ids.len()));
    }
    Ok(ids)
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}
