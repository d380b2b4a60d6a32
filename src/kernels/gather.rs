//! weights, lists ─ gather ─► the rows and columns that are listed. Twin: [`crate::reference::gather`].

use super::view::Variant;
use super::{Kernels, MatrixView, Part};
use crate::gpu::dispatch::share;
use crate::gpu::{Binding, KernelSpec, Record};
use crate::{Error, Result};

pub(super) const SPEC: KernelSpec = KernelSpec {
    label: "gather",
    source: include_str!("../../shaders/gather.wgsl"),
    entry: "main",
    bindings: &[
        (0, Binding::Uniform),
        (1, Binding::Read),
        (2, Binding::Uniform),
        (3, Binding::Read),
        (4, Binding::Read),
        (5, Binding::ReadWrite),
    ],
};

/// What is gathered.
#[derive(Debug, Clone, Copy)]
pub struct GatherRule<'a> {
    /// How many rows, and their numbers, one `u32` each; none where all rows stay.
    pub rows: Option<(u32, Part<'a>)>,
    /// How many columns, and their numbers, one `u32` each; none where all columns stay.
    pub columns: Option<(u32, Part<'a>)>,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct GatherWords {
    rows: u32,
    cols: u32,
    words: u32,
    spare: u32,
}
super::shared_layout!(GatherWords, "Gather", [rows, cols, words, spare]);

impl Kernels {
    /// Records: the listed rows and columns of a view into `result`, without gaps, in the order of the lists. Bits are moved as
    /// they are, so a view of any element type of 1, 2 or 4 bytes will do. A number past the end stands for the last row or
    /// column. `result` has the result's bytes, up to a multiple of 4, of which the rest is 0.
    ///
    /// # Errors
    /// [`Error::View`] where the view is out of bounds, a list or the result is shorter than it must be, or the result has
    /// nothing in it, or 2^32 elements.
    pub fn gather<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        rule: GatherRule<'_>,
        result: impl Into<Part<'a>>,
    ) -> Result<()> {
        view.check()?;
        let result = result.into();
        let (rows, cols) = (rule.rows.map_or(view.rows, |r| r.0), rule.columns.map_or(view.cols, |c| c.0));
        for (what, list) in [("rows", rule.rows), ("columns", rule.columns)] {
            list.map_or(Ok(()), |(count, list)| list.check(what, 4 * u64::from(count)))?;
        }
        let elements = u64::from(rows) * u64::from(cols);
        if elements == 0 || elements > u64::from(u32::MAX) - 64 {
            let problem = format!("{rows} rows of {cols}: one element at least, and fewer than 2^32");
            return Err(Error::View { what: "gather rule", problem });
        }
        let size = view.dtype.size() as u32;
        let words = (elements * u64::from(size)).div_ceil(4);
        result.check("result", 4 * words)?;
        let flag = |list: bool| u32::from(list);
        let (by_row, by_column) = (flag(rule.rows.is_some()), flag(rule.columns.is_some()));
        let variant = Variant { size, mode: u64::from(by_row << 1 | by_column), ..Variant::NONE };
        let constants = [
            ("SIZE", size.into()),
            ("ROWS", by_row.into()),
            ("COLUMNS", by_column.into()),
            ("WORKGROUP", self.tuning.workgroup.into()),
        ];
        let share = share(words as u32, self.tuning.workgroup, self.tuning.workgroups);
        let none = self.uniform(&[0_u32; 4]);
        let [row_list, column_list] = [rule.rows, rule.columns]
            .map(|list| list.map_or_else(|| none.as_entire_buffer_binding(), |(_, l)| l.binding()));
        let (view_words, gather) = (view.words(share.span), GatherWords { rows, cols, words: words as u32, spare: 0 });
        let (view_words, gather) = (self.uniform(&view_words), self.uniform(&gather));
        let bindings = [
            view_words.as_entire_buffer_binding(),
            view.binding(),
            gather.as_entire_buffer_binding(),
            row_list,
            column_list,
            result.binding(),
        ];
        self.kernel(SPEC, variant, &constants).dispatch(&self.device, to, &bindings, share.workgroups);
        Ok(())
    }
}
