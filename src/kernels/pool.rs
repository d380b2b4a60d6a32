//! weights or scores ─ pool ─► keys, one for each unit. Twin: [`crate::reference::pool`].

use super::view::Variant;
use super::{Kernels, MatrixView, Part};
use crate::gpu::{Binding, KernelSpec, Record, dispatch};

use crate::reference::{WIDE_COLS, WIDE_WEIGHTS, share};
use crate::{Error, Norm, Result};

const SOURCE: &str = concat!(
    include_str!("../../shaders/weights.wgsl"),
    include_str!("../../shaders/value.wgsl"),
    include_str!("../../shaders/pool.wgsl"),
    include_str!("../../shaders/pool_strips.wgsl")
);

pub(super) const NARROW: KernelSpec = KernelSpec {
    label: "pool",
    source: SOURCE,
    entry: "narrow",
    bindings: &[(0, Binding::Uniform), (2, Binding::Read), (3, Binding::Uniform), (4, Binding::ReadWrite)],
};

const STRIPS: KernelSpec = KernelSpec {
    label: "pool strips",
    source: SOURCE,
    entry: "strips",
    bindings: &[(0, Binding::Uniform), (1, Binding::Read), (3, Binding::Uniform), (4, Binding::ReadWrite)],
};

const WIDE: KernelSpec = KernelSpec {
    label: "pool wide",
    source: SOURCE,
    entry: "wide",
    bindings: &[
        (0, Binding::Uniform),
        (1, Binding::Read),
        (2, Binding::Read),
        (3, Binding::Uniform),
        (4, Binding::ReadWrite),
    ],
};

/// The same with 64 threads for each unit.
const WIDE_BY_64: KernelSpec = KernelSpec { label: "pool wide by 64", ..WIDE };

/// Columns of many weights, on GPUs: see `shaders/pool_columns.wgsl`.
pub(super) const COLUMNS: KernelSpec = KernelSpec {
    label: "pool columns",
    source: concat!(
        include_str!("../../shaders/weights.wgsl"),
        include_str!("../../shaders/value.wgsl"),
        include_str!("../../shaders/pool.wgsl"),
        include_str!("../../shaders/pool_columns.wgsl")
    ),
    entry: "columns",
    ..NARROW
};

const SHORT_COLUMNS: KernelSpec = KernelSpec { label: "pool short columns", entry: "short_columns", ..COLUMNS };

/// Bytes of a row that a workgroup of `pool_columns.wgsl` takes, and its threads.
const COLUMNS_BYTES: u64 = 64;
const COLUMNS_LANES: u32 = 256;

/// Columns of fewer weights are not worth a workgroup for 64 bytes of them; nor are those that fill a GPU as they are.
const LEAST_ROWS: u32 = 64;
const ENOUGH_THREADS: u64 = 1 << 15;

/// What a unit is, and how the scores in it become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolRule {
    /// Rows of a unit; at least 1.
    pub rows: u32,
    /// Columns of a unit; at least 1.
    pub cols: u32,
    /// The norm; of L2, the square.
    pub norm: Norm,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct PoolWords {
    rows: u32,
    cols: u32,
    across: u32,
    blocks: u32,
    parts: u32,
    spare0: u32,
    spare1: u32,
    spare2: u32,
    shares: [f32; 4],
}
super::shared_layout!(PoolWords, "Pool", [rows, cols, across, blocks, parts, spare0, spare1, spare2, shares]);

impl Kernels {
    /// Records: the norm of each block of the view, as the bits of an `f32`, into `keys`, one `u32` each, row of blocks by
    /// row; blocks at the far edges are cut short. L2 gives the sum of squares, whose order is the same. NaN where a
    /// weight is, else infinity where one is.
    ///
    /// # Errors
    /// [`Error::View`] where the view is out of bounds, `keys` is shorter than 4 bytes per block, or a block has no weights, or on a
    /// software adapter more than 15 million.
    pub fn pool<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        rule: PoolRule,
        keys: impl Into<Part<'a>>,
    ) -> Result<()> {
        let keys = keys.into();
        view.check()?;
        let PoolRule { rows, cols, .. } = rule;
        if rows == 0 || cols == 0 {
            return Err(Error::View { what: "pool rule", problem: format!("blocks of {rows} by {cols}: no weights") });
        }
        let (across, down) = (view.cols.div_ceil(cols), view.rows.div_ceil(rows));
        let blocks = u64::from(across) * u64::from(down);
        keys.check("keys", 4 * blocks)?;
        // Where a block is cut short.
        let rest = |all: u32, of: u32| if all.is_multiple_of(of) { of } else { all % of };
        let (right, bottom) = (rest(view.cols, cols), rest(view.rows, rows));
        let shares = [(rows, cols), (rows, right), (bottom, cols), (bottom, right)]
            .map(|(rows, cols)| share(u64::from(rows) * u64::from(cols)));
        let mut words = PoolWords { rows, cols, across, blocks: blocks as u32, shares, ..bytemuck::Zeroable::zeroed() };

        let path = Path::of(view, rule, self.tuning.simd);
        // A workgroup of wide blocks takes one, or eight where it has eight threads; but these go around loops for all groups of one.
        let (items, turns) = (u64::from(cols.min(view.cols).div_ceil(32)) * u64::from(rows.min(view.rows)), 9);
        let most = u64::from(dispatch::MAX_TURNS) / turns;
        let wide_lanes = if self.tuning.row_workgroup < 64 && items <= most - 64 { 8 } else { 64 };
        if self.tuning.simd && path == Path::Wide && items.div_ceil(64) > most - 64 {
            let problem = format!(
                "blocks of {rows} by {cols}: {items} times 32 weights, the loops of a software adapter hold {}",
                64 * most
            );
            return Err(Error::View { what: "pool rule", problem });
        }
        let lanes = match path {
            Path::Wide => wide_lanes,
            Path::Columns | Path::ShortColumns => COLUMNS_LANES,
            Path::Narrow | Path::Strips => self.tuning.workgroup.min(64),
        };
        let mut span = 0;
        let workgroups = match path {
            Path::Narrow => blocks.div_ceil(lanes.into()),
            Path::Wide => blocks.div_ceil((64 / lanes).into()),
            Path::Columns | Path::ShortColumns => {
                words.parts = (u64::from(view.cols) * view.dtype.size() as u64).div_ceil(COLUMNS_BYTES) as u32;
                u64::from(down) * u64::from(words.parts)
            }
            Path::Strips => {
                let strip = path.strip(view, rule, self.tuning.simd);
                let strips = u64::from(view.cols) * view.dtype.size() as u64 / strip;
                let turns = 1 + rows * (1 + strip as u32 / 64);
                let share = dispatch::share_within(strips as u32, lanes, self.tuning.workgroups.div_ceil(down), turns);
                (span, words.parts) = (share.span, share.workgroups);
                u64::from(down) * u64::from(share.workgroups)
            }
        };
        let (variant, constants) = path.variant(view, rule, lanes, self.tuning.simd);
        let wide = if wide_lanes == 8 { WIDE } else { WIDE_BY_64 };
        let spec = [NARROW, wide, STRIPS, COLUMNS, SHORT_COLUMNS][path as usize];
        let (uniform, words) = (self.uniform(&view.words(span)), self.uniform(&words));
        let [view_words, words] = [&uniform, &words].map(wgpu::Buffer::as_entire_buffer_binding);
        let (weights, none) = (view.binding(), self.uniform(&[0_u32; 4]));
        let bindings = match path {
            Path::Wide => vec![view_words, Self::quads(weights.clone(), &none), weights, words, keys.binding()],
            _ => vec![view_words, weights, words, keys.binding()],
        };
        self.kernel(spec, variant, &constants).dispatch(&self.device, to, &bindings, workgroups as u32);
        Ok(())
    }
}

/// How blocks are summed: see `shaders/pool.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Narrow,
    Wide,
    Strips,
    Columns,
    ShortColumns,
}

impl Path {
    fn of(view: &MatrixView<'_>, PoolRule { rows, cols, .. }: PoolRule, simd: bool) -> Self {
        let bytes = |cols: u32| u64::from(cols) * view.dtype.size() as u64;
        if cols == 1 && !simd {
            let threads = u64::from(view.rows.div_ceil(rows)) * bytes(view.cols) / 64;
            if u64::from(rows) > WIDE_WEIGHTS {
                return Path::Columns;
            }
            if rows >= LEAST_ROWS && threads < ENOUGH_THREADS {
                return Path::ShortColumns;
            }
        }
        if u64::from(cols) > WIDE_COLS || u64::from(rows) * u64::from(cols) > WIDE_WEIGHTS {
            return Path::Wide;
        }
        let halves = cols == 1 && view.dtype.size() == 2;
        let fits = halves || matches!(bytes(cols), 4 | 8 | 16 | 32) || bytes(cols).is_multiple_of(64);
        let whole = view.cols.is_multiple_of(cols) && bytes(view.cols).is_multiple_of(64);
        if fits && whole && view.variant().aligned { Path::Strips } else { Path::Narrow }
    }

    /// Bytes of a row that a thread takes.
    fn strip(self, view: &MatrixView<'_>, rule: PoolRule, simd: bool) -> u64 {
        (u64::from(rule.cols) * view.dtype.size() as u64).max(if simd { 64 } else { 16 })
    }

    fn variant(
        self,
        view: &MatrixView<'_>,
        rule: PoolRule,
        lanes: u32,
        simd: bool,
    ) -> (Variant, Vec<(&'static str, f64)>) {
        let PoolRule { rows, cols, norm } = rule;
        let number = Norm::ALL.iter().position(|other| *other == norm).unwrap_or(0) as u32;
        let mut variant = view.variant();
        let whole = variant.aligned
            && view.cols.is_multiple_of(32)
            && cols.is_multiple_of(32)
            && (rows == 1 || view.cols.is_multiple_of(cols));
        let even = view.rows.is_multiple_of(rows);
        // What the kernel is made for: nothing of the block's size where it asks for none.
        let (rows, cols, whole, even) = match self {
            Path::Narrow => (1, 8, false, false),
            Path::Columns | Path::ShortColumns => (1, 1, false, false),
            Path::Wide if whole && rows > 1 => (2, cols, true, false),
            Path::Wide => (1, 32, whole, false),
            Path::Strips => (rows, cols, false, even),
        };
        let row_bytes = u64::from(view.stride) * view.dtype.size() as u64;
        let by_word = view.offset.is_multiple_of(4) && (view.rows == 1 || row_bytes.is_multiple_of(4));
        let more = [
            ("LANES", lanes.into()),
            ("DTYPE", f64::from(view.dtype as u8)),
            ("NORM", number.into()),
            ("ROWS", rows.into()),
            ("COLS", cols.into()),
            ("WHOLE", f64::from(u8::from(whole))),
            ("EVEN", f64::from(u8::from(even))),
        ];
        let is_columns = matches!(self, Path::Columns | Path::ShortColumns);
        let flags = u32::from(is_columns && by_word) << 8
            | (view.dtype as u32) << 4
            | number << 2
            | u32::from(whole) << 1
            | u32::from(even);
        variant.mode = u64::from(cols) << 32 | u64::from(rows) << 16 | u64::from(flags);
        let mut constants = variant.constants(more);
        if self == Path::Strips {
            constants.push(("QUADS", (self.strip(view, rule, simd) as f64 / 16.0).min(4.0)));
        }
        if is_columns {
            constants.push(("BY_WORD", f64::from(u8::from(by_word))));
        }
        (variant, constants)
    }
}
