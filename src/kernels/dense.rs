//! What the products of dense matrices share.

use super::epilogue::apart;
use super::sizes::SizesWords;
use super::view::Variant;
use super::{Epilogue, Kernels, MatrixView, Part};
use crate::gpu::{KernelSpec, Record};
use crate::{Dtype, Error, Result};

/// A product that was checked.
pub(super) struct Dense<'a> {
    pub view: MatrixView<'a>,
    pub columns: u32,
    pub x: Part<'a>,
    pub y: Part<'a>,
    pub epilogue: Epilogue<'a>,
}

/// Products read these.
pub(crate) fn check_dtype(dtype: Dtype) -> Result<()> {
    match dtype {
        Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(()),
        other => Err(Error::View { what: "weights", problem: format!("{other}: products take F32, F16 and BF16") }),
    }
}

/// Checks vectors against a matrix of `rows` by `cols`.
pub(super) fn check_vectors(
    (rows, cols): (u32, u32),
    columns: u32,
    [x, y]: [Part<'_>; 2],
    epilogue: &Epilogue<'_>,
) -> Result<()> {
    if columns == 0 {
        return Err(Error::View { what: "columns", problem: "a product with 0 vectors".into() });
    }
    x.check("x", 4 * u64::from(cols) * u64::from(columns))?;
    y.check("y", 4 * u64::from(rows) * u64::from(columns))?;
    epilogue.check(rows.into())?;
    apart(y, &[("x", x.buffer)])?;
    epilogue.bias.map_or(Ok(()), |bias| apart(y, &[("bias", bias.buffer)]))
}

impl Dense<'_> {
    pub fn check(&self) -> Result<()> {
        self.view.check()?;
        check_dtype(self.view.dtype)?;
        check_vectors((self.view.rows, self.view.cols), self.columns, [self.x, self.y], &self.epilogue)?;
        apart(self.y, &[("weights", self.view.buffer)])
    }

    /// Whether rows and vectors start on 16 bytes.
    pub fn aligned(&self) -> bool {
        self.view.variant().aligned && (self.columns == 1 || self.view.cols.is_multiple_of(4))
    }
}

impl Kernels {
    /// Records a dense product in as many dispatches as bindings ask for; a workgroup takes `tile` rows by vectors,
    /// which are lent to kernels that read them so.
    pub(super) fn dense(
        &self,
        to: &mut impl Record,
        spec: KernelSpec,
        dense: &Dense<'_>,
        tile: (u32, u32),
        more: &[(&str, f64)],
        lent: Option<&wgpu::Buffer>,
    ) -> Result<()> {
        let Dense { view, columns, x, y, epilogue } = dense;
        let aligned = dense.aligned();
        let brain = view.dtype == Dtype::BF16;
        let variant = Variant {
            size: view.dtype.size() as u32,
            aligned,
            mode: (epilogue.mode() * 2 + u32::from(brain)).into(),
            ..Variant::NONE
        };
        let flag = |f: bool| f64::from(u8::from(f));
        let mut constants = vec![("SIZE", variant.size.into()), ("ALIGNED", flag(aligned)), ("BRAIN", flag(brain))];
        constants.extend(epilogue.constants());
        constants.extend(more);
        let kernel = self.kernel(spec, variant, &constants);
        let rows_at_once = self.rows_at_once(view)?;
        let none = self.uniform(&[0_u32; 4]);
        let mut above = 0;
        while above < view.rows {
            let rows = rows_at_once.min(view.rows - above);
            let offset = view.offset + u64::from(above) * u64::from(view.stride) * view.dtype.size() as u64;
            let part = MatrixView { rows, offset, ..*view };
            let uniform = self.uniform(&SizesWords {
                first: part.words(0).first,
                rows,
                cols: view.cols,
                stride: view.stride,
                above,
                height: view.rows,
                columns: *columns,
                units: 0,
            });
            let bindings = [
                uniform.as_entire_buffer_binding(),
                Self::quads(part.binding(), &none),
                part.binding(),
                lent.map_or_else(|| Self::quads(x.binding(), &none), wgpu::Buffer::as_entire_buffer_binding),
                x.binding(),
                epilogue.binding(*x),
                y.binding(),
            ];
            let workgroups = u64::from(rows.div_ceil(tile.0)) * u64::from(columns.div_ceil(tile.1));
            if workgroups >= 1 << 31 {
                let problem = format!("{workgroups} workgroups in one dispatch, 2^31 - 1 at most");
                return Err(Error::View { what: "product", problem });
            }
            kernel.dispatch(&self.device, to, &bindings, workgroups as u32);
            above += rows;
        }
        Ok(())
    }

    /// Rows of a view that one binding holds; fewer than there are only if their number is a multiple of 64.
    fn rows_at_once(&self, view: &MatrixView<'_>) -> Result<u32> {
        let limits = self.device.limits();
        let most = limits.max_storage_buffer_binding_size.min((1 << 31) - 1);
        if view.binding_bytes() <= most {
            return Ok(view.rows);
        }
        let row = u64::from(view.stride) * view.dtype.size() as u64;
        // Up to 255 bytes before the first row, and 127 behind the last.
        let rows = most.saturating_sub(512) / row;
        if rows == 0 {
            let problem = format!("a row takes {row} bytes, the device binds {most}");
            return Err(Error::View { what: "matrix view", problem });
        }
        Ok(if rows < 64 { rows } else { rows & !63 } as u32)
    }
}
