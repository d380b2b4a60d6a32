//! Products of sparse matrices in all formats. `pack.rs` makes such matrices.

use super::dense::check_vectors;
use super::epilogue::apart;
use super::sizes::SizesWords;
use super::view::Variant;
use super::{Epilogue, Kernels, Part, bitmask, block, csr, ell, macko, nm};
use crate::gpu::{Binding, KernelSpec, Record};
use crate::{Dtype, Error, Format, Result};

/// Bindings of products that look for one number of x at a time.
pub(super) const STORAGE: &[(u32, Binding)] = &[
    (0, Binding::Uniform),
    (1, Binding::Read),
    (2, Binding::Read),
    (3, Binding::Read),
    (5, Binding::Read),
    (6, Binding::ReadWrite),
];
/// The same, where x is lent.
pub(super) const LENT: &[(u32, Binding)] = &[
    (0, Binding::Uniform),
    (1, Binding::Read),
    (2, Binding::Read),
    (3, Binding::Uniform),
    (5, Binding::Read),
    (6, Binding::ReadWrite),
];

/// Of the kernels that pack: mask, index; weights, values; flags of blocks.
pub(super) const COUNT: &[(u32, Binding)] = &[(0, Binding::Uniform), (3, Binding::Read), (4, Binding::ReadWrite)];
pub(super) const MEASURE: &[(u32, Binding)] = &[(0, Binding::Uniform), (4, Binding::ReadWrite)];
pub(super) const FLAG: &[(u32, Binding)] =
    &[(0, Binding::Uniform), (3, Binding::Read), (4, Binding::ReadWrite), (6, Binding::ReadWrite)];
pub(super) const FILL: &[(u32, Binding)] =
    &[(0, Binding::Uniform), (2, Binding::Read), (3, Binding::Read), (4, Binding::ReadWrite), (5, Binding::ReadWrite)];
pub(super) const FILL_FLAGGED: &[(u32, Binding)] = &[
    (0, Binding::Uniform),
    (2, Binding::Read),
    (3, Binding::Read),
    (4, Binding::ReadWrite),
    (5, Binding::ReadWrite),
    (6, Binding::ReadWrite),
];
pub(super) const UNPACK: &[(u32, Binding)] =
    &[(0, Binding::Uniform), (1, Binding::Read), (2, Binding::Read), (6, Binding::ReadWrite)];

/// A sparse matrix in two buffers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackedParts<'a> {
    pub format: Format,
    pub dtype: Dtype,
    pub rows: u32,
    pub cols: u32,
    pub index: Part<'a>,
    pub values: Part<'a>,
}

/// The constants of a format, and a number that tells them from others of it.
pub(super) fn of_format(format: Format) -> (Vec<(&'static str, f64)>, u32) {
    match format {
        Format::Bitmask | Format::Csr | Format::Macko => (Vec::new(), 0),
        Format::SlicedEll { slice } => (vec![("SLICE", slice.into())], slice),
        Format::Nm { keep, of } => (vec![("KEEP", keep.into()), ("OF", of.into())], keep * 32 + of),
        Format::Block { rows, cols } => (vec![("HEIGHT", rows.into()), ("WIDTH", cols.into())], rows * 64 + cols),
    }
}

/// How one vector, or four, is multiplied.
struct Way<'a> {
    /// Where x is, and where it is lent.
    specs: [KernelSpec; 2],
    batch: u32,
    /// Numbers that are brought into workgroup memory, where the kernel is one that does.
    staged: Option<u32>,
    /// A constant that says what is true of this matrix, where the kernel is one that asks.
    holds: Option<(&'static str, bool)>,
    workgroups: u32,
    constants: &'a [(&'static str, f64)],
}

impl PackedParts<'_> {
    /// Whether bringing x into workgroup memory costs less than looking it up in a cache: with so few slots of sliced ELL it does
    /// not. On an H200 that is 4.3 and 6.3 times as fast as dense where 90 and 95 % are gone (f32), and this 3.2 to 4.1 and 5.8.
    fn is_worth_staging(&self) -> bool {
        let slots = self.values.size / (2 + self.dtype.size() as u64);
        8 * slots >= u64::from(self.rows) * u64::from(self.cols)
    }

    fn sizes(&self, first: u32, columns: u32) -> SizesWords {
        let tiles = self.cols.div_ceil(1024);
        let (stride, units) = match self.format {
            Format::Bitmask => (tiles, tiles * self.rows),
            Format::SlicedEll { slice } => (0, self.rows.div_ceil(slice)),
            Format::Csr | Format::Macko => (0, self.rows),
            Format::Nm { keep, of } => (self.cols / of * keep + self.cols % of, 0),
            Format::Block { rows, .. } => (0, self.rows.div_ceil(rows)),
        };
        let (rows, cols) = (self.rows, self.cols);
        SizesWords { first, rows, cols, stride, above: 0, height: rows, columns, units }
    }

    fn variant(&self, mode: u32) -> Variant {
        let mode = (of_format(self.format).1 * 8 + mode) * 2 + u32::from(self.dtype == Dtype::BF16);
        Variant { size: self.dtype.size() as u32, mode: mode.into(), ..Variant::NONE }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        let mut all = of_format(self.format).0;
        all.extend([("SIZE", self.dtype.size() as f64), ("BRAIN", f64::from(u8::from(self.dtype == Dtype::BF16)))]);
        all
    }
}

/// Bytes of workgroup memory that products need beside vectors.
const STAGED_BESIDE: u32 = 4096;

/// From how many vectors on tiles are expanded into workgroup memory, rather than one vector multiplied after the other.
const EXPAND_FROM: u32 = 5;

impl Kernels {
    /// Records: `y = activation(W · x + bias)` for a sparse matrix and `columns` vectors.
    pub(crate) fn multiply(
        &self,
        to: &mut impl Record,
        matrix: &PackedParts<'_>,
        columns: u32,
        [x, y]: [Part<'_>; 2],
        epilogue: &Epilogue<'_>,
    ) -> Result<()> {
        check_vectors((matrix.rows, matrix.cols), columns, [x, y], epilogue)?;
        apart(y, &[("weights", matrix.index.buffer), ("weights", matrix.values.buffer)])?;
        let tile = match matrix.format {
            Format::Bitmask => Some(bitmask::GEMM),
            Format::Nm { .. } => Some(nm::GEMM),
            _ => None,
        };
        if !matches!(matrix.format, Format::SlicedEll { .. }) {
            self.check_steps(matrix.cols, 96_000)?;
        }
        if let Some(spec) = tile.filter(|_| columns >= EXPAND_FROM) {
            self.expand(to, spec, matrix, columns, [x, y], epilogue);
            return Ok(());
        }
        if let Format::SlicedEll { slice } = matrix.format {
            let threads = if self.tuning.simd { slice } else { self.sharing().next_multiple_of(slice).min(256) };
            for first in (0..columns).step_by(if columns > 1 { 4 } else { 1 }) {
                let batch = if columns - first > 1 { 4 } else { 1 };
                let deep = f64::from(u8::from(!self.tuning.simd));
                let constants = &[("WORKGROUP", f64::from(threads)), ("BATCH", batch.into()), ("DEEP", deep)];
                let workgroups = matrix.rows.div_ceil(slice);
                let staged = self.staged(matrix.cols).filter(|_| batch == 1 && matrix.is_worth_staging());
                let specs = if staged.is_some() { [ell::STAGED; 2] } else { [ell::STORAGE, ell::LENT] };
                let way = Way { specs, batch, staged, holds: None, workgroups, constants };
                self.multiply_by(to, matrix, way, (first, columns), [x, y], epilogue);
            }
            return Ok(());
        }
        if matrix.format == Format::Macko {
            let (specs, staged, [threads, team]) = self.by_teams(matrix.cols);
            let constants = [("WORKGROUP", f64::from(threads)), ("TEAM", team.into())];
            let workgroups = matrix.rows.div_ceil(4 * threads / team);
            for first in 0..columns {
                let way = Way { specs, batch: 1, staged, holds: None, workgroups, constants: &constants };
                self.multiply_by(to, matrix, way, (first, columns), [x, y], epilogue);
            }
            return Ok(());
        }
        if let Format::Block { rows, cols } = matrix.format
            && block::quads::fit(rows, cols, matrix.dtype)
        {
            let holds = Some(("WHOLE", matrix.cols.is_multiple_of(cols)));
            for first in (0..columns).step_by(if columns > 1 { 4 } else { 1 }) {
                let batch = if columns - first > 1 { 4 } else { 1 };
                let (specs, constants, taken) = self.by_quads(rows, batch);
                let workgroups = matrix.rows.div_ceil(taken);
                let way = Way { specs, batch, staged: None, holds, workgroups, constants: &constants };
                self.multiply_by(to, matrix, way, (first, columns), [x, y], epilogue);
            }
            return Ok(());
        }
        let (specs, constants) = self.walking(matrix.format);
        // Both weights of a group are a word of their own, which no row shares with another.
        let paired = |keep| keep == 2 && matrix.dtype.size() == 2 && matrix.cols.is_multiple_of(2);
        let holds = match matrix.format {
            Format::Nm { keep, of: 4 } if !self.tuning.simd => Some(("PAIRED", paired(keep))),
            _ => None,
        };
        for first in 0..columns {
            let workgroups = matrix.rows.div_ceil(4);
            let way = Way { specs, batch: 1, staged: None, holds, workgroups, constants: &constants };
            self.multiply_by(to, matrix, way, (first, columns), [x, y], epilogue);
        }
        Ok(())
    }

    /// How formats are multiplied that are walked along by four rows.
    fn walking(&self, format: Format) -> ([KernelSpec; 2], Vec<(&'static str, f64)>) {
        let lanes = self.tuning.lanes;
        let mut constants = vec![("WORKGROUP", f64::from(lanes))];
        let (mut subgroups, mut single) = (self.subgroups, self.is_one_subgroup(lanes));
        let columns = !self.tuning.simd && lanes >= 32;
        if format == Format::Bitmask && !columns {
            let team = self.team();
            (subgroups, single) = (team.is_some(), team.is_none_or(|team| team == lanes));
            constants.push(("TEAM", team.unwrap_or(lanes.min(32)).into()));
        }
        if subgroups {
            constants.push(("SINGLE", f64::from(u8::from(single))));
        }
        let specs = match (format, subgroups) {
            (Format::Csr, false) if !self.tuning.simd => [csr::pairs::STORAGE, csr::pairs::LENT],
            (Format::Csr, true) if !self.tuning.simd => [csr::pairs::STORAGE_SUBGROUPS, csr::pairs::LENT_SUBGROUPS],
            (Format::Csr, false) => [csr::STORAGE, csr::LENT],
            (Format::Csr, true) => [csr::STORAGE_SUBGROUPS, csr::LENT_SUBGROUPS],
            (Format::Nm { of: 4, .. }, false) if !self.tuning.simd => [nm::fours::STORAGE, nm::fours::LENT],
            (Format::Nm { of: 4, .. }, true) if !self.tuning.simd => {
                [nm::fours::STORAGE_SUBGROUPS, nm::fours::LENT_SUBGROUPS]
            }
            (Format::Nm { .. }, false) => [nm::STORAGE, nm::LENT],
            (Format::Nm { .. }, true) => [nm::STORAGE_SUBGROUPS, nm::LENT_SUBGROUPS],
            (Format::Block { .. }, false) => [block::STORAGE, block::LENT],
            (Format::Block { .. }, true) => [block::STORAGE_SUBGROUPS, block::LENT_SUBGROUPS],
            (_, false) if columns => [bitmask::columns::STORAGE, bitmask::columns::LENT],
            (_, true) if columns => [bitmask::columns::STORAGE_SUBGROUPS, bitmask::columns::LENT_SUBGROUPS],
            (_, false) => [bitmask::STORAGE, bitmask::LENT],
            (_, true) => [bitmask::STORAGE_SUBGROUPS, bitmask::LENT_SUBGROUPS],
        };
        (specs, constants)
    }

    /// How blocks of so many rows are multiplied 16 bytes at a time, and by how many of them in a workgroup: on software adapters by
    /// twice four where a block has them. That makes blocks of 16 x 16 2.0 (f32) and 1.5 times (bf16) as fast as four, and four times
    /// four 1.7 and 0.9 times: by four, memory is read in pieces that are too short.
    fn by_quads(&self, height: u32, batch: u32) -> ([KernelSpec; 2], Vec<(&'static str, f64)>, u32) {
        let bands = if self.tuning.simd && height.is_multiple_of(8) { 2 } else { 1 };
        let mut constants = vec![("WORKGROUP", f64::from(self.tuning.lanes)), ("BANDS", bands.into())];
        if self.subgroups {
            constants.push(("SINGLE", f64::from(u8::from(self.is_one_subgroup(self.tuning.lanes)))));
        }
        let specs = match (batch, self.subgroups) {
            (1, false) => [block::quads::STORAGE, block::quads::LENT],
            (1, true) => [block::quads::STORAGE_SUBGROUPS, block::quads::LENT_SUBGROUPS],
            (_, false) => [block::batch::STORAGE, block::batch::LENT],
            (_, true) => [block::batch::STORAGE_SUBGROUPS, block::batch::LENT_SUBGROUPS],
        };
        (specs, constants, 4 * bands)
    }

    /// The threads of a team that is one subgroup and so needs no workgroup memory, if there are such subgroups.
    fn team(&self) -> Option<u32> {
        let size = self.device.adapter_info().subgroup_min_size;
        ((8..=32).contains(&size) && size <= self.tuning.lanes && self.is_one_subgroup(size)).then_some(size)
    }

    /// How MACKO is multiplied, and by how many threads in a workgroup and in a team.
    fn by_teams(&self, cols: u32) -> ([KernelSpec; 2], Option<u32>, [u32; 2]) {
        let Some(team) = self.team() else {
            return ([macko::STORAGE, macko::LENT], None, [self.tuning.lanes.min(32); 2]);
        };
        match self.staged(cols) {
            Some(staged) => ([macko::STAGED; 2], Some(staged), [self.sharing(), team]),
            None => ([macko::STORAGE_SUBGROUPS, macko::LENT_SUBGROUPS], None, [self.sharing(), team]),
        }
    }

    /// Threads that share a vector in workgroup memory: on GPUs twice as many as share rows, as measured.
    fn sharing(&self) -> u32 {
        if self.tuning.simd { self.tuning.lanes } else { (2 * self.tuning.lanes).min(256) }
    }

    /// How many numbers of a vector are brought into workgroup memory, if they fit and that is what the adapter reads fastest: what
    /// a format reads past a row's end included.
    fn staged(&self, cols: u32) -> Option<u32> {
        let numbers = (cols + 8).next_multiple_of(256);
        let room = self.device.limits().max_compute_workgroup_storage_size.saturating_sub(STAGED_BESIDE);
        (!self.tuning.simd && 4 * numbers <= room).then_some(numbers)
    }

    /// Records a dispatch that multiplies by one vector or four, from number `first` of `columns` on, lent or where they are.
    fn multiply_by(
        &self,
        to: &mut impl Record,
        matrix: &PackedParts<'_>,
        way: Way<'_>,
        (first, columns): (u32, u32),
        [x, y]: [Part<'_>; 2],
        epilogue: &Epilogue<'_>,
    ) {
        let sizes = matrix.sizes(first, columns);
        let lent = self.lend(to, &sizes, x, way.batch);
        let spec = way.specs[usize::from(lent.is_some())];
        let mut variant = matrix.variant(epilogue.mode());
        variant.flat = way.batch == 1;
        let mut constants = matrix.constants();
        constants.extend(epilogue.constants());
        constants.extend(way.constants);
        if let Some(staged) = way.staged {
            variant.mode |= u64::from(staged) << 32;
            constants.push(("STAGED", staged.into()));
        }
        if let Some((what, holds)) = way.holds {
            // No matrix is both.
            variant.mode |= u64::from(holds) << 32;
            constants.push((what, f64::from(u8::from(holds))));
        }
        let kernel = self.kernel(spec, variant, &constants);
        let uniform = self.uniform(&sizes);
        let bindings = [
            uniform.as_entire_buffer_binding(),
            matrix.index.binding(),
            matrix.values.binding(),
            lent.as_ref().map_or(x.binding(), wgpu::Buffer::as_entire_buffer_binding),
            epilogue.binding(x),
            y.binding(),
        ];
        kernel.dispatch(&self.device, to, &bindings, way.workgroups);
    }

    /// Tiles expanded into workgroup memory, then multiplied as dense ones.
    fn expand(
        &self,
        to: &mut impl Record,
        spec: KernelSpec,
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
        let kernel = self.kernel(spec, variant, &constants);
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

    /// Records: weights with +0.0 where nothing is kept, rows without gaps.
    pub(crate) fn unpack(&self, to: &mut impl Record, matrix: &PackedParts<'_>, weights: Part<'_>) -> Result<()> {
        let bytes = u64::from(matrix.rows) * u64::from(matrix.cols) * matrix.dtype.size() as u64;
        weights.check("weights", bytes.next_multiple_of(4))?;
        for (name, part) in [("index", matrix.index), ("values", matrix.values)] {
            if part.buffer == weights.buffer {
                let problem = format!("they lie in the buffer of the matrix's {name}: take another");
                return Err(Error::View { what: "weights", problem });
            }
        }
        let spec = match matrix.format {
            Format::Bitmask => bitmask::UNPACK,
            Format::SlicedEll { .. } => ell::UNPACK,
            Format::Csr => csr::UNPACK,
            Format::Macko => macko::UNPACK,
            Format::Nm { .. } => nm::UNPACK,
            Format::Block { .. } => block::UNPACK,
        };
        let threads = self.tuning.workgroup.min(64);
        let mut constants = matrix.constants();
        constants.push(("WORKGROUP", threads.into()));
        let kernel = self.kernel(spec, matrix.variant(0), &constants);
        let uniform = self.uniform(&matrix.sizes(0, 1));
        let [index, values] = [matrix.index, matrix.values].map(Part::binding);
        let bindings = [uniform.as_entire_buffer_binding(), index, values, weights.binding()];
        kernel.dispatch(&self.device, to, &bindings, bytes.div_ceil(4 * u64::from(threads)) as u32);
        Ok(())
    }
}
