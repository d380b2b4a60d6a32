//! Turns a descriptor into dispatches.

use std::ops::Range;

use wgpu::BufferUsages as Usage;
use wgpu::util::DeviceExt;

use super::check::check;
use super::descriptor::{Amount, Masks, PruneDescriptor};
use super::lopper::Lopper;
use super::pruning::Pruning;
use super::scratch::Scratch;
use super::stats::{RECORD_BYTES, Unit};
use crate::gpu::{Dispatch, watch};
use crate::kernels::{
    ASKED_BYTES, CUT_BYTES, Kernels, MatrixView, Numbers, Part, QuotaRule, SamplePlan, WHOLE_WEIGHTS, mask_bytes,
    rounds, window_words,
};
use crate::reference::{Quota, Window};
use crate::{Dtype, Error, Result, Scope, Target};

/// Weights that compete under one cut, or matrices whose rows do.
struct Prepare<'a> {
    lopper: &'a Lopper,
    kernels: &'a Kernels,
    descriptor: &'a PruneDescriptor<'a>,
    scratch: Scratch<'a>,
    windows: Vec<(Window, wgpu::Buffer)>,
    dispatches: Vec<Dispatch>,
}

/// How a unit's quota comes about.
enum Asked {
    Numbers(Numbers),
    /// All up to this key.
    UpTo(u32),
}

impl Lopper {
    /// Checks a descriptor, builds the pipelines it needs, and makes everything that recording it takes. Nothing is
    /// recorded.
    ///
    /// # Errors
    /// [`Error::View`] for views, masks, scratch or sparsities that are out of bounds, misaligned, of the wrong usage,
    /// overlap, or exceed what the device binds; [`Error::Rule`] for numbers that make no sense; [`Error::Gpu`] with
    /// wgpu's words for buffers that are destroyed or of another device, and where memory runs out.
    pub fn prepare(&self, descriptor: &PruneDescriptor<'_>) -> Result<Pruning> {
        check(descriptor, self)?;
        watch(self.device(), "preparing a pruning", || self.prepare_checked(descriptor))
    }

    fn prepare_checked(&self, descriptor: &PruneDescriptor<'_>) -> Result<Pruning> {
        let layout = self.layout(descriptor);
        let own = match descriptor.scratch {
            None => Some(self.buffer(descriptor, "scratch", layout.size, Usage::STORAGE)?),
            Some(given) => {
                Part::from(given).check("scratch", layout.size)?;
                None
            }
        };
        let scratch = layout.of(own.as_ref().or(descriptor.scratch).expect("given or made"));
        let masks = self.masks(descriptor)?;
        let units = units(descriptor);
        let size = (units.len().max(1)) as u64 * RECORD_BYTES;
        let found = self.buffer(descriptor, "found", size, Usage::STORAGE | Usage::COPY_SRC)?;

        let (windows, dispatches) = (Vec::new(), Vec::new());
        let mut prepare = Prepare { lopper: self, kernels: self.kernels(), descriptor, scratch, windows, dispatches };
        let mask_of = |i: usize| match masks.get(i) {
            Some((buffer, offset, size)) => Part { buffer, offset: *offset, size: *size },
            None => scratch.mask,
        };
        for (u, unit) in units.iter().enumerate() {
            let found = Part { buffer: &found, offset: u as u64 * RECORD_BYTES, size: RECORD_BYTES };
            let masks: Vec<Part<'_>> = unit.matrices.clone().map(mask_of).collect();
            prepare.unit(unit, &masks, found)?;
        }
        Ok(Pruning {
            device: self.device().clone(),
            dispatches: prepare.dispatches,
            counters: descriptor.scope == Scope::Row && !is_threshold(descriptor),
            apply: descriptor.apply,
            units: units.into(),
            found,
            masks,
            shelf: Default::default(),
            profiler: Default::default(),
        })
    }

    fn buffer(&self, descriptor: &PruneDescriptor<'_>, what: &str, size: u64, usage: Usage) -> Result<wgpu::Buffer> {
        let limits = self.device().limits();
        let most = limits.max_buffer_size.min(limits.max_storage_buffer_binding_size);
        if size > most {
            let problem = format!("{what} takes {size} bytes, the device binds at most {most}");
            return Err(Error::View { what: "prune descriptor", problem });
        }
        let label = format!("lopper {what} {}", descriptor.label.unwrap_or_default());
        let label = Some(label.trim_end());
        Ok(self.device().create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false }))
    }

    fn masks(&self, descriptor: &PruneDescriptor<'_>) -> Result<Vec<(wgpu::Buffer, u64, u64)>> {
        match descriptor.masks {
            Masks::Scratch => Ok(Vec::new()),
            Masks::Given(masks) => {
                // As much of each as is needed: the rest of a part may be more than the device binds.
                let given = |(part, view): (&Part<'_>, _)| (part.buffer.clone(), part.offset, mask_bytes(view));
                Ok(masks.iter().zip(descriptor.matrices).map(given).collect())
            }
            Masks::Own => {
                let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
                let own = |view| {
                    let size = mask_bytes(view);
                    Ok((self.buffer(descriptor, "mask", size, usage)?, 0, size))
                };
                descriptor.matrices.iter().map(own).collect()
            }
        }
    }
}

/// Weights do not compete for a threshold, whatever the scope.
fn is_threshold(descriptor: &PruneDescriptor<'_>) -> bool {
    matches!(descriptor.amount, Amount::Fixed(Target::Threshold(_)))
}

/// The matrices whose weights compete, each by itself or all together.
fn units(descriptor: &PruneDescriptor<'_>) -> Vec<Unit> {
    let unit = |matrices: Range<usize>| {
        let views = &descriptor.matrices[matrices.clone()];
        Unit { matrices, weights: views.iter().map(MatrixView::weights).sum(), dtype: views[0].dtype }
    };
    let n = descriptor.matrices.len();
    if descriptor.scope == Scope::Global && !is_threshold(descriptor) && n > 0 {
        return vec![unit(0..n)];
    }
    (0..n).map(|i| unit(i..i + 1)).collect()
}

impl Prepare<'_> {
    fn unit(&mut self, unit: &Unit, masks: &[Part<'_>], found: Part<'_>) -> Result<()> {
        let views = &self.descriptor.matrices[unit.matrices.clone()];
        let rows = self.descriptor.scope == Scope::Row;
        let competing = if rows { views[0].cols } else { unit.weights as u32 };
        let plan = SamplePlan::new(unit.weights, 0, self.kernels.tuning().sample);
        let asked = self.asked(unit, competing, plan.taken)?;
        match asked {
            Asked::Numbers(numbers) if rows => {
                self.rows(&views[0], plan.taken, &numbers, masks[0], found)?;
                self.apply(&views[0], masks[0])?;
            }
            Asked::Numbers(numbers) if views.len() == 1 && unit.weights <= WHOLE_WEIGHTS => {
                let window = self.everything(unit.dtype);
                let parts = [Part::from(&window), masks[0], found];
                self.kernels.rows_by(&mut self.dispatches, &views[0], true, numbers.rows(), parts)?;
                self.apply(&views[0], masks[0])?;
            }
            Asked::Numbers(numbers) => {
                self.bracket(views, plan.taken, &numbers)?;
                let window = self.scratch.window;
                let most = rounds(unit.dtype, self.kernels.tuning().capacity);
                self.cut(views, &numbers, window, found, most)?;
                self.mask(views, masks, found)?;
            }
            Asked::UpTo(key) => {
                let window = self.window(Window { low: key, shift: 0, bins: 1 });
                let numbers = self.kernels.numbers(unit.dtype, unit.weights as u32, Quota::UpTo(key), plan);
                self.cut(views, &numbers, (&window).into(), found, 1)?;
                self.mask(views, masks, found)?;
            }
        }
        Ok(())
    }

    fn asked(&mut self, unit: &Unit, competing: u32, taken: u32) -> Result<Asked> {
        let (dtype, weights) = (unit.dtype, unit.weights as u32);
        match self.descriptor.amount {
            Amount::Fixed(Target::Threshold(magnitude)) => Ok(Asked::UpTo(dtype.key_at_most(magnitude))),
            Amount::Fixed(target) => {
                let k = target.goes(competing.into()).expect("a threshold is above");
                let all = u128::from(k) * u128::from(unit.weights) / u128::from(competing);
                let plan = SamplePlan::new(unit.weights, all as u64, self.kernels.tuning().sample);
                Ok(Asked::Numbers(self.kernels.numbers(dtype, weights, Quota::Count(k), plan)))
            }
            Amount::SparsityIn { buffer, offset } => {
                let usage = Usage::STORAGE | Usage::UNIFORM;
                let asked = self.lopper.buffer(self.descriptor, "asked", ASKED_BYTES, usage)?;
                // The words around it: the whole buffer may be more than the device binds.
                let start = offset - offset % 256;
                let size = (buffer.size() - start).min(256) & !3;
                let at = (offset % 256 / 4) as u32;
                let rule = QuotaRule { dtype, n: competing, weights, taken, at };
                self.kernels.quota(&mut self.dispatches, rule, Part { buffer, offset: start, size }, &asked)?;
                Ok(Asked::Numbers(Numbers::asked(&asked)))
            }
        }
    }

    /// A window that no one writes: one buffer for the same ones.
    fn window(&mut self, window: Window) -> wgpu::Buffer {
        if let Some((_, buffer)) = self.windows.iter().find(|(other, _)| *other == window) {
            return buffer.clone();
        }
        let buffer = self.lopper.device().create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("lopper window"),
            contents: bytemuck::cast_slice(&window_words(window)),
            usage: Usage::STORAGE,
        });
        self.windows.push((window, buffer.clone()));
        buffer
    }

    fn everything(&mut self, dtype: Dtype) -> wgpu::Buffer {
        self.window(Window::over(0, dtype.max_key() + 1, self.kernels.tuning().capacity))
    }

    fn rows(
        &mut self,
        view: &MatrixView<'_>,
        taken: u32,
        numbers: &Numbers,
        mask: Part<'_>,
        found: Part<'_>,
    ) -> Result<()> {
        let Scratch { window, nonzero, .. } = self.scratch;
        let everything;
        // A sample does not pay for few weights.
        let window = if view.weights() <= WHOLE_WEIGHTS {
            everything = self.everything(view.dtype);
            Part::from(&everything)
        } else {
            self.bracket(std::slice::from_ref(view), taken, numbers)?;
            window
        };
        self.kernels.rows_by(&mut self.dispatches, view, false, numbers.rows(), [window, mask, nonzero])?;
        self.kernels.drain(&mut self.dispatches, nonzero, found)
    }

    /// The window about the cut.
    fn bracket(&mut self, views: &[MatrixView<'_>], taken: u32, numbers: &Numbers) -> Result<()> {
        let parts = [self.scratch.samples, self.scratch.window];
        self.kernels.bracket_all(&mut self.dispatches, views, taken, numbers, parts)
    }

    fn cut(
        &mut self,
        views: &[MatrixView<'_>],
        numbers: &Numbers,
        window: Part<'_>,
        found: Part<'_>,
        rounds: u32,
    ) -> Result<()> {
        let parts = [window, self.scratch.counts, Part { size: CUT_BYTES, ..found }];
        self.kernels.cut_all(&mut self.dispatches, views, numbers, parts, rounds)
    }

    /// Masks matrix by matrix: what is left of the quota goes on to the next, and so does the scratch.
    fn mask(&mut self, views: &[MatrixView<'_>], masks: &[Part<'_>], cut: Part<'_>) -> Result<()> {
        let Scratch { tiles, boundary, .. } = self.scratch;
        for (view, &mask) in views.iter().zip(masks) {
            self.kernels.mask(&mut self.dispatches, view, cut, mask, tiles)?;
            self.kernels.settle(&mut self.dispatches, view, cut, mask, tiles, boundary)?;
            self.apply(view, mask)?;
        }
        Ok(())
    }

    fn apply(&mut self, view: &MatrixView<'_>, mask: Part<'_>) -> Result<()> {
        match self.descriptor.apply {
            true => self.kernels.apply(&mut self.dispatches, view, mask),
            false => Ok(()),
        }
    }
}
