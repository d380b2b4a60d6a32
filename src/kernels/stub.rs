//! stub
use super::{Kernels, MatrixView, Part};
use crate::gpu::Record;
use crate::{Norm, Result};
/// s
#[derive(Debug, Clone, Copy)]
pub struct GroupRule {
    /// s
    pub keep: u32,
    /// s
    pub of: u32,
}
/// s
#[derive(Debug, Clone, Copy)]
pub struct PoolRule {
    /// s
    pub rows: u32,
    /// s
    pub cols: u32,
    /// s
    pub norm: Norm,
}
/// s
#[derive(Debug, Clone, Copy)]
pub struct ScaleRule {
    /// s
    pub first: u64,
    /// s
    pub period: u32,
}
/// s
#[derive(Debug, Clone, Copy)]
pub struct RandomRule {
    /// s
    pub seed: u64,
    /// s
    pub first: u64,
    /// s
    pub count: u32,
}
#[allow(unused_variables)]
impl Kernels {
    /// s
    /// # Errors
    pub fn group<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        rule: GroupRule,
        mask: impl Into<Part<'a>>,
        nonzero: impl Into<Part<'a>>,
    ) -> Result<()> {
        todo!()
    }
    /// s
    /// # Errors
    pub fn pool<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        rule: PoolRule,
        keys: impl Into<Part<'a>>,
    ) -> Result<()> {
        todo!()
    }
    /// s
    /// # Errors
    pub fn scale<'a>(
        &self,
        to: &mut impl Record,
        view: &MatrixView<'_>,
        rule: ScaleRule,
        scales: impl Into<Part<'a>>,
        scores: impl Into<Part<'a>>,
    ) -> Result<()> {
        todo!()
    }
    /// s
    /// # Errors
    pub fn random<'a>(&self, to: &mut impl Record, rule: RandomRule, keys: impl Into<Part<'a>>) -> Result<()> {
        todo!()
    }
}
