//! The last step of a layer.

/// A function of one number, the last step of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Activation {
    /// None.
    #[default]
    None,
    /// `max(v, 0)`; a NaN stays one.
    Relu,
    /// `v · Φ(v)`, by erf (within 1.5e-7) and not by tanh.
    Gelu,
    /// `v / (1 + exp(-v))`.
    Silu,
}

impl Activation {
    /// All of them.
    pub const ALL: [Activation; 4] = [Activation::None, Activation::Relu, Activation::Gelu, Activation::Silu];

    /// `none`, `relu`, `gelu` or `silu`.
    pub const fn name(self) -> &'static str {
        match self {
            Activation::None => "none",
            Activation::Relu => "relu",
            Activation::Gelu => "gelu",
            Activation::Silu => "silu",
        }
    }
}
