//! Handwritten digits: 1,297 images to train on and 500 to test with.

use anyhow::Result;
use safetensors::SafeTensors;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/digits/digits.safetensors");

/// Pixels of an image: 8 by 8.
pub const PIXELS: u32 = 64;
/// Digits that there are.
pub const CLASSES: u32 = 10;

/// Images and what they show.
pub struct Images {
    /// `[labels.len()][PIXELS]`, from 0 to 1.
    pub pixels: Vec<f32>,
    /// The digit on each.
    pub labels: Vec<u32>,
}

pub struct Digits {
    pub train: Images,
    pub test: Images,
}

pub fn read() -> Result<Digits> {
    let bytes = std::fs::read(FILE)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let images = |part: &str| -> Result<Images> {
        Ok(Images {
            pixels: bytemuck::pod_collect_to_vec(file.tensor(&format!("{part}.images"))?.data()),
            labels: bytemuck::pod_collect_to_vec(file.tensor(&format!("{part}.labels"))?.data()),
        })
    };
    Ok(Digits { train: images("train")?, test: images("test")? })
}
