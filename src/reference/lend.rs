/// `batch` vectors of `cols` numbers from number `first` on, side by side; those past the last are the last. Twin of
/// `shaders/lend.wgsl`.
pub fn lend(x: &[f32], cols: usize, first: usize, batch: usize) -> Vec<f32> {
    let last = x.len() / cols - 1;
    (0..cols * batch).map(|i| x[(first + i % batch).min(last) * cols + i / batch]).collect()
}
