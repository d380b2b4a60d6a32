//! The formats, by their names.

use std::fmt;
use std::path::Path;

use super::problem::ContainerProblem as Problem;

/// A format that tensors are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// safetensors: one file, an index, or a folder.
    Safetensors,
    /// NumPy's `.npy`: one array, called by the file's name.
    Npy,
    /// NumPy's `.npz`: a zip file of arrays.
    Npz,
    /// PyTorch's zip checkpoints, `.pt`, `.pth` or `.bin`: read only.
    Torch,
    /// GGUF.
    Gguf,
    /// ONNX: a model's initializers.
    Onnx,
    /// Keras 3's weights in an HDF5 file, `.weights.h5`.
    KerasWeights,
    /// Keras 3's whole models, `.keras`: a zip file with such weights.
    KerasModel,
}

impl Kind {
    const NAMES: [(&'static str, Kind); 8] = [
        ("safetensors", Kind::Safetensors),
        ("npy", Kind::Npy),
        ("npz", Kind::Npz),
        ("pt", Kind::Torch),
        ("gguf", Kind::Gguf),
        ("onnx", Kind::Onnx),
        ("weights.h5", Kind::KerasWeights),
        ("keras", Kind::KerasModel),
    ];

    /// What a file's name says it is.
    pub fn of_path(path: &Path) -> Option<Kind> {
        Some(match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "safetensors" => Kind::Safetensors,
            "npy" => Kind::Npy,
            "npz" => Kind::Npz,
            "pt" | "pth" | "bin" => Kind::Torch,
            "gguf" => Kind::Gguf,
            "onnx" => Kind::Onnx,
            "h5" | "hdf5" => Kind::KerasWeights,
            "keras" => Kind::KerasModel,
            _ => return None,
        })
    }

    /// Its name, which is how a file's name ends.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Whether its kernels are `[…, inputs, outputs]`, where torch has outputs first.
    pub fn inputs_first(self) -> bool {
        matches!(self, Kind::KerasWeights | Kind::KerasModel)
    }

    /// Whether a file of it can be made out of tensors alone; or why not.
    pub(super) fn creatable(self) -> Result<(), Problem> {
        let refused = |what, hint| Err(Problem::ReadOnly { what, hint });
        match self {
            Kind::Torch => {
                refused("PyTorch", "write a .safetensors file; torch reads it with safetensors.torch.load_file")
            }
            Kind::KerasWeights | Kind::KerasModel => {
                refused("Keras", "they are written pruned, from a file of the same kind; write a .safetensors file")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
