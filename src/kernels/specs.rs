//! Kernels of sparse formats are put together from parts: these macros name the parts.

/// A source from these files of `shaders/`, one behind the other.
macro_rules! source {
    ($($name:literal),* $(,)?) => {
        concat!($(include_str!(concat!("../../shaders/", $name, ".wgsl"))),*)
    };
}

/// The four kernels that multiply a format: where x is, and where it is lent; by lanes, and by subgroups.
macro_rules! products {
    ($label:literal, [$($format:literal),*], [$($body:literal),*], lanes [$($lanes:literal),*], subgroups [$($subgroups:literal),*]) => {
        pub(in crate::kernels) const STORAGE: KernelSpec = KernelSpec {
            label: $label,
            source: source!("stored", "sizes", $($format,)* "x_storage", "epilogue", $($body,)* $($lanes),*),
            entry: "main",
            bindings: packed::STORAGE,
        };

        pub(in crate::kernels) const LENT: KernelSpec = KernelSpec {
            label: concat!($label, " of lent vectors"),
            source: source!("stored", "sizes", $($format,)* "x_lent", "epilogue", $($body,)* $($lanes),*),
            bindings: packed::LENT,
            ..STORAGE
        };

        pub(in crate::kernels) const STORAGE_SUBGROUPS: KernelSpec = KernelSpec {
            label: concat!($label, " by subgroups"),
            source: source!("stored", "sizes", $($format,)* "x_storage", "epilogue", $($body,)* $($subgroups),*),
            ..STORAGE
        };

        pub(in crate::kernels) const LENT_SUBGROUPS: KernelSpec = KernelSpec {
            label: concat!($label, " of lent vectors by subgroups"),
            source: source!("stored", "sizes", $($format,)* "x_lent", "epilogue", $($body,)* $($subgroups),*),
            ..LENT
        };
    };
}

pub(super) use {products, source};
