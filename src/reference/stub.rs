use super::Matrix;
use crate::Norm;
/// s
pub fn random(_: u64, _: u64, _: u32) -> Vec<u32> {
    todo!()
}
/// s
pub fn scale(_: Matrix<'_>, _: &[f32], _: u64) -> Vec<u32> {
    todo!()
}
/// s
pub fn pool(_: Matrix<'_>, _: u64, _: u64, _: Norm) -> Vec<u32> {
    todo!()
}
