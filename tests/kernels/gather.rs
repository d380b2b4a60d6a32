//! Rows and columns that are listed, against the twin.

use lopper::kernels::{GatherRule, Part};
use lopper::reference;

use super::common::case::{Case, SHAPES};
use super::common::{Fill, Random, both_tunings, buffer, poisoned, read, run_pass};
use super::{Dtype, wgpu};

fn words(list: &[u32]) -> wgpu::Buffer {
    buffer(bytemuck::cast_slice(list))
}

#[test]
fn gather_takes_the_rows_and_columns_that_its_twin_takes() {
    let mut random = Random::new(9);
    for kernels in both_tunings() {
        // Bits alone count: one type of each size.
        for dtype in [Dtype::F32, Dtype::BF16, Dtype::F8E4M3] {
            for (seed, &shape) in SHAPES.iter().enumerate() {
                let case = Case::new(dtype, shape, Fill::Bits, seed as u64);
                let weights = case.upload();
                let mut some = |of: u32| -> Vec<u32> {
                    let share = random.unit();
                    let mut list: Vec<u32> = (0..of).filter(|_| random.unit() < share).collect();
                    // Out of order, twice, and past the end.
                    list.extend([of - 1, 0, of + 7]);
                    list
                };
                let (rows, columns) = (some(shape.0), some(shape.1));
                let (row_words, column_words) = (words(&rows), words(&columns));
                for (by_row, by_column) in [(true, false), (false, true), (true, true), (false, false)] {
                    let part = |list: &[u32], words| (list.len() as u32, Part::from(words));
                    let rule = GatherRule {
                        rows: by_row.then(|| part(&rows, &row_words)),
                        columns: by_column.then(|| part(&columns, &column_words)),
                    };
                    let mut want = reference::gather(
                        case.matrix(),
                        by_row.then_some(&rows[..]),
                        by_column.then_some(&columns[..]),
                    );
                    want.resize(want.len().next_multiple_of(4), 0);
                    let result = poisoned(want.len() as u64);
                    run_pass(|pass| kernels.gather(pass, &case.view(&weights), rule, &result).unwrap());
                    assert_eq!(read(&result), want, "{} {by_row} {by_column}", case.name());
                }
            }
        }
    }
}

#[test]
fn gather_refuses_lists_and_results_that_are_too_short() {
    let case = Case::new(Dtype::BF16, (5, 7, 0, 0), Fill::Normal, 1);
    let (weights, three, short) = (case.upload(), words(&[0, 1, 2]), poisoned(4));
    let [kernels, _] = both_tunings();
    let refused = |rule, result: &wgpu::Buffer| {
        let mut list = Vec::new();
        kernels.gather(&mut list, &case.view(&weights), rule, result).unwrap_err().to_string()
    };
    let rows = |count| GatherRule { rows: Some((count, Part::from(&three))), columns: None };
    assert_eq!(refused(rows(4), &short), "rows: 12 bytes, 16 are needed");
    assert_eq!(refused(rows(3), &short), "result: 4 bytes, 44 are needed");
    assert!(refused(rows(0), &short).contains("0 rows of 7"));
}
