//! How a layer's inputs and outputs act over data.

use crate::Shape;

/// Sums over the vectors that a layer has seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Activations {
    inputs: Vec<f64>,
    squares: Vec<f64>,
    magnitudes: Vec<f64>,
    vectors: u64,
}

impl Activations {
    /// Of a layer of so many outputs and inputs, before it has seen any.
    pub fn new(shape: Shape) -> Self {
        let zeros = |count: u64| vec![0.0; count as usize];
        Self { inputs: zeros(shape.cols), squares: zeros(shape.cols), magnitudes: zeros(shape.rows), vectors: 0 }
    }

    /// Adds vectors that went in, and what came out for them, one behind the other.
    ///
    /// # Panics
    /// If they are not equally many vectors of the layer's widths.
    pub fn add(&mut self, x: &[f32], y: &[f32]) {
        let (inputs, outputs) = (self.squares.len(), self.magnitudes.len());
        assert!(
            x.len().is_multiple_of(inputs) && y.len() == x.len() / inputs * outputs,
            "{} numbers in, {} out, for a layer of {inputs} and {outputs}",
            x.len(),
            y.len()
        );
        for one in x.chunks_exact(inputs) {
            self.inputs.iter_mut().zip(one).for_each(|(sum, x)| *sum += f64::from(*x));
            self.squares.iter_mut().zip(one).for_each(|(sum, x)| *sum += f64::from(*x) * f64::from(*x));
        }
        for one in y.chunks_exact(outputs) {
            self.magnitudes.iter_mut().zip(one).for_each(|(sum, y)| *sum += f64::from(y.abs()));
        }
        self.vectors += (x.len() / inputs) as u64;
    }

    /// The norm of each input, `sqrt(mean x²)` over the vectors: what Wanda multiplies magnitudes by
    /// ([Sun et al., 2023](https://arxiv.org/abs/2306.11695)).
    pub fn norms(&self) -> Vec<f32> {
        self.squares.iter().map(|sum| (sum / self.vectors.max(1) as f64).sqrt() as f32).collect()
    }

    /// The mean of each input over the vectors, and behind all of these the mean of its square: from which
    /// [`shrink`](crate::shrink) makes biases.
    pub fn moments(&self) -> Vec<f32> {
        let sums = self.inputs.iter().chain(&self.squares);
        sums.map(|sum| (sum / self.vectors.max(1) as f64) as f32).collect()
    }

    /// The mean `|y|` of each output over the vectors, its activation function applied: what neurons are pruned by.
    pub fn means(&self) -> Vec<f32> {
        self.magnitudes.iter().map(|sum| (sum / self.vectors.max(1) as f64) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_over_all_vectors_however_they_come() {
        let mut activations = Activations::new(Shape::new(1, 2));
        activations.add(&[3.0, 1.0, 4.0, -1.0], &[-2.0, 4.0]);
        activations.add(&[0.0, 1.0], &[0.0]);
        assert_eq!(activations.norms(), [(25f64 / 3.0).sqrt() as f32, 1.0]);
        assert_eq!(activations.means(), [2.0]);
        assert_eq!(activations.moments(), [7.0 / 3.0, 1.0 / 3.0, 25.0 / 3.0, 1.0].map(|mean: f64| mean as f32));
        assert_eq!(Activations::new(Shape::new(1, 1)).means(), [0.0]);
    }
}
