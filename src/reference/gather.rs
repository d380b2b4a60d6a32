use super::Matrix;

/// The listed rows and columns of a matrix, in the order of the lists, one behind the other; all of them where there is no list.
/// An index past the end stands for the last row or column. Twin of `shaders/gather.wgsl`.
pub fn gather(matrix: Matrix<'_>, rows: Option<&[u32]>, columns: Option<&[u32]>) -> Vec<u8> {
    let size = matrix.dtype.size();
    let all = |list: Option<&[u32]>, len: u64| -> Vec<u64> {
        let listed = |list: &[u32]| list.iter().map(|at| u64::from(*at).min(len - 1)).collect();
        list.map_or_else(|| (0..len).collect(), listed)
    };
    let mut bytes = Vec::new();
    for row in all(rows, matrix.shape.rows) {
        for col in all(columns, matrix.shape.cols) {
            let at = (row as usize * matrix.stride + col as usize) * size;
            bytes.extend_from_slice(&matrix.bytes[at..at + size]);
        }
    }
    bytes
}
