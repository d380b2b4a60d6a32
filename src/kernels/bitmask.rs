//! weights, bits ─ count, fill ─► tiled bitmask; tiled bitmask, x ─ bitmask ─► y. Twin: [`crate::reference::Packed`].

use super::packed::{self, PackedParts};
use super::view::Variant;
use super::{Epilogue, Kernels, MatrixView, Part, gemv};
use crate::gpu::{KernelSpec, Record};
use crate::{Format, Result};

pub(super) const COUNT: KernelSpec = KernelSpec {
    label: "bitmask count",
    source: concat!(include_str!("../../shaders/weights.wgsl"), include_str!("../../shaders/bitmask_pack.wgsl")),
    entry: "count",
    bindings: packed::COUNT,
};

const FILL: KernelSpec = KernelSpec { label: "bitmask fill", entry: "fill", bindings: packed::FILL, ..COUNT };

pub(super) const STORAGE: KernelSpec = KernelSpec {
    label: "bitmask",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/bitmask_parts.wgsl"),
        include_str!("../../shaders/x_storage.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/bitmask.wgsl"),
        include_str!("../../shaders/team.wgsl"),
        include_str!("../../shaders/lanes.wgsl")
    ),
    entry: "main",
    bindings: packed::STORAGE,
};

pub(super) const LENT: KernelSpec = KernelSpec {
    label: "bitmask of lent vectors",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/bitmask_parts.wgsl"),
        include_str!("../../shaders/x_lent.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/bitmask.wgsl"),
        include_str!("../../shaders/team.wgsl"),
        include_str!("../../shaders/lanes.wgsl")
    ),
    entry: "main",
    bindings: packed::LENT,
};

pub(super) const STORAGE_SUBGROUPS: KernelSpec = KernelSpec {
    label: "bitmask by subgroups",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/bitmask_parts.wgsl"),
        include_str!("../../shaders/x_storage.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/bitmask.wgsl"),
        include_str!("../../shaders/team_subgroup.wgsl"),
        include_str!("../../shaders/subgroups.wgsl")
    ),
    entry: "main",
    bindings: packed::STORAGE,
};

pub(super) const LENT_SUBGROUPS: KernelSpec = KernelSpec {
    label: "bitmask of lent vectors by subgroups",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/bitmask_parts.wgsl"),
        include_str!("../../shaders/x_lent.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/bitmask.wgsl"),
        include_str!("../../shaders/team_subgroup.wgsl"),
        include_str!("../../shaders/subgroups.wgsl")
    ),
    entry: "main",
    bindings: packed::LENT,
};

pub(super) const GEMM: KernelSpec = KernelSpec {
    label: "bitmask gemm",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/bitmask_parts.wgsl"),
        include_str!("../../shaders/vectors.wgsl"),
        include_str!("../../shaders/bitmask_tile.wgsl"),
        include_str!("../../shaders/epilogue.wgsl"),
        include_str!("../../shaders/gemm.wgsl")
    ),
    entry: "main",
    bindings: gemv::BINDINGS,
};

pub(super) const UNPACK: KernelSpec = KernelSpec {
    label: "bitmask unpack",
    source: concat!(
        include_str!("../../shaders/stored.wgsl"),
        include_str!("../../shaders/sizes.wgsl"),
        include_str!("../../shaders/bitmask_parts.wgsl"),
        include_str!("../../shaders/bitmask_find.wgsl"),
        include_str!("../../shaders/unpack.wgsl")
    ),
    entry: "main",
    bindings: packed::UNPACK,
};

/// Up to how many vectors are multiplied one by one, rather than by expanding tiles.
const ONE_BY_ONE: u32 = 4;

impl Kernels {
    /// Records: a matrix in tiled bitmask. `index` has `tiles + 1 + mask words` words; `values`, zero before, take as many
    /// weights as the mask keeps.
    pub(crate) fn bitmask_pack(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        [mask, index]: [Part<'_>; 2],
        values: Option<Part<'_>>,
    ) -> Result<()> {
        let tiles = view.rows * view.cols.div_ceil(1024);
        index.check("index", 4 * (u64::from(tiles) + 1 + view.mask_words()))?;
        let what = (view, Format::Bitmask);
        let Some(values) = values else {
            self.pack_by(to, COUNT, what, [mask, index], None, tiles)?;
            return self.scan(to, tiles, index);
        };
        self.pack_by(to, FILL, what, [mask, index], Some(values), view.mask_words() as u32)
    }

    /// Records: `y = activation(W · x + bias)` for a matrix in tiled bitmask and `columns` vectors.
    pub(crate) fn bitmask(
        &self,
        to: &mut impl Record,
        matrix: &PackedParts<'_>,
        columns: u32,
        vectors: [Part<'_>; 2],
        epilogue: &Epilogue<'_>,
    ) -> Result<()> {
        self.check_product(matrix, columns, vectors, epilogue)?;
        self.check_steps(matrix.cols, 12_000 * self.tuning.lanes.min(8))?;
        if columns > ONE_BY_ONE {
            self.bitmask_gemm(to, matrix, columns, vectors, epilogue);
            return Ok(());
        }
        let lanes = self.tuning.lanes;
        // A team that is one subgroup needs no workgroup memory.
        let subgroup = self.device.adapter_info().subgroup_min_size;
        let whole = (8..=32).contains(&subgroup) && subgroup <= lanes && self.is_one_subgroup(subgroup);
        let team = if whole { subgroup } else { lanes.min(32) };
        let specs = if whole { [STORAGE_SUBGROUPS, LENT_SUBGROUPS] } else { [STORAGE, LENT] };
        let mut more = vec![("WORKGROUP", f64::from(lanes)), ("TEAM", team.into())];
        if whole {
            more.push(("SINGLE", f64::from(u8::from(team == lanes))));
        }
        for first in 0..columns {
            let sizes = matrix.sizes(first, columns);
            let work = (matrix.rows.div_ceil(4), &more[..]);
            self.multiply(to, matrix, specs, (sizes, 1), vectors, epilogue, work);
        }
        Ok(())
    }

    /// Tiles expanded into workgroup memory, then multiplied as dense ones.
    fn bitmask_gemm(
        &self,
        to: &mut impl Record,
        matrix: &PackedParts<'_>,
        columns: u32,
        [x, y]: [Part<'_>; 2],
        epilogue: &Epilogue<'_>,
    ) {
        let aligned = matrix.cols.is_multiple_of(4);
        let variant = Variant { aligned, ..matrix.variant(epilogue.mode()) };
        let mut constants = matrix.constants();
        constants.extend(epilogue.constants());
        constants.push(("ALIGNED", f64::from(u8::from(aligned))));
        let kernel = self.kernel(GEMM, variant, &constants);
        let (uniform, none) = (self.uniform(&matrix.sizes(0, columns)), self.uniform(&[0_u32; 4]));
        let bindings = [
            uniform.as_entire_buffer_binding(),
            matrix.index.binding(),
            matrix.values.binding(),
            Self::quads(x.binding(), &none),
            x.binding(),
            epilogue.binding(x),
            y.binding(),
        ];
        kernel.dispatch(&self.device, to, &bindings, matrix.rows.div_ceil(64) * columns.div_ceil(64));
    }

    /// Records: the weights of a matrix in tiled bitmask.
    pub(crate) fn bitmask_unpack(
        &self,
        to: &mut impl Record,
        matrix: &PackedParts<'_>,
        weights: Part<'_>,
    ) -> Result<()> {
        self.unpack_by(to, UNPACK, matrix, weights)
    }
}
