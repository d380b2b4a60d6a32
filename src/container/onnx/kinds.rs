//! Element types, by their numbers.

use safetensors::Dtype;

/// `TensorProto.DataType`, where safetensors has the same.
const KINDS: [(u64, Dtype); 16] = [
    (1, Dtype::F32),
    (2, Dtype::U8),
    (3, Dtype::I8),
    (4, Dtype::U16),
    (5, Dtype::I16),
    (6, Dtype::I32),
    (7, Dtype::I64),
    (9, Dtype::BOOL),
    (10, Dtype::F16),
    (11, Dtype::F64),
    (12, Dtype::U32),
    (13, Dtype::U64),
    (14, Dtype::C64),
    (16, Dtype::BF16),
    (17, Dtype::F8_E4M3),
    (19, Dtype::F8_E5M2),
];

pub(super) fn element(kind: u64) -> Option<Dtype> {
    KINDS.iter().find(|(number, _)| *number == kind).map(|(_, dtype)| *dtype)
}

/// The number of a type, if ONNX has it.
pub(in crate::container) fn kind(dtype: Dtype) -> Option<u64> {
    KINDS.iter().find(|(_, known)| *known == dtype).map(|(number, _)| *number)
}

pub(super) fn kind_name(kind: u64) -> String {
    match (kind, element(kind)) {
        (_, Some(dtype)) => dtype.to_string(),
        (8, _) => "STRING".into(),
        (15, _) => "COMPLEX128".into(),
        (18, _) => "FLOAT8E4M3FNUZ".into(),
        (20, _) => "FLOAT8E5M2FNUZ".into(),
        (21, _) => "UINT4".into(),
        (22, _) => "INT4".into(),
        (23, _) => "FLOAT4E2M1".into(),
        (other, _) => format!("number {other}"),
    }
}
