//! Small safetensors files.

use std::path::PathBuf;

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

/// Names, types, shapes and bytes.
pub type Tensors = Vec<(&'static str, Dtype, Vec<usize>, Vec<u8>)>;

/// Writes them as the `safetensors` crate does.
pub fn write(path: PathBuf, tensors: &Tensors, metadata: &[(&str, &str)]) -> PathBuf {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    let metadata = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    serialize_to_file(views, Some(metadata), &path).unwrap();
    path
}
