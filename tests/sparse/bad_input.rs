//! What cannot be packed or multiplied.

use super::*;

#[test]
fn bad_input_is_refused_with_both_numbers() {
    let kernels = Kernels::new(gpu().device(), gpu().tuning());
    let sample = Sample::new(Dtype::F32, (4, 96, 0, 0), Fill::Normal, Keep::Share(0.5), Format::Csr);
    let ell = Format::SlicedEll { slice: 8 };
    let refuse = |view: MatrixView<'_>, mask: &wgpu::Buffer, format, part: &str| {
        let error = SparseMatrix::pack(gpu(), &kernels, &view, mask, format).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let view = sample.view();
    refuse(view, &poisoned(44), Format::Bitmask, "mask: 44 bytes, 48 are needed");
    refuse(MatrixView { rows: 0, ..view }, &sample.mask_buffer, ell, "no weights");
    refuse(MatrixView { dtype: Dtype::F8E5M2, ..view }, &sample.mask_buffer, Format::Bitmask, "F8_E5M2");
    refuse(view, &sample.mask_buffer, Format::SlicedEll { slice: 12 }, "slices of 12 rows");
    refuse(view, &sample.mask_buffer, Format::Nm { keep: 5, of: 4 }, "5:4");
    refuse(view, &sample.mask_buffer, Format::Nm { keep: 2, of: 17 }, "2:17");
    refuse(view, &sample.mask_buffer, Format::Nm { keep: 1, of: 16 }, "groups keep more than 1 of 16");
    refuse(view, &sample.mask_buffer, Format::Block { rows: 0, cols: 4 }, "1 to 32 rows");
    refuse(view, &sample.mask_buffer, Format::Block { rows: 4, cols: 33 }, "1 to 32 rows");
    let wide = poisoned(4 * 65_537);
    refuse(MatrixView::dense(&wide, 0, Dtype::F32, 1, 65_537), &wide, ell, "65537 columns");
    // Where a buffer holds more than is bound at once.
    let most = gpu().device().limits().max_storage_buffer_binding_size;
    let (size, usage) = (most + (1 << 18), wgpu::BufferUsages::STORAGE);
    if size <= gpu().device().limits().max_buffer_size.min(1 << 28) {
        let large = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let large = gpu().device().create_buffer(&large);
        let rows = (size >> 18) as u32;
        let all = MatrixView::dense(&large, 0, Dtype::F32, rows, 65_536);
        refuse(all, &sample.mask_buffer, Format::Bitmask, &format!("binding of {size} bytes, the device binds {most}"));
    }
    run_pass(|pass| {
        let what = |kept, format| (kept, format);
        let pack = |pass: &mut wgpu::ComputePass<'_>, what| {
            let packed = SparseMatrix::pack_counted(&kernels, gpu().device(), pass, &view, &sample.mask_buffer, what);
            packed.unwrap_err().to_string()
        };
        assert!(pack(pass, what(385, Format::Bitmask)).contains("385 of 384"));
        assert!(pack(pass, what(10, ell)).contains("read back"));
    });

    let packed = Packed::pack(sample.matrix(), &sample.mask, ell).unwrap();
    let upload = |packed: &Packed| SparseMatrix::upload(gpu().device(), packed).unwrap_err().to_string();
    for format in [ell, Format::Bitmask] {
        let packed = Packed::pack(sample.matrix(), &sample.mask, format).unwrap();
        let broken = |change: &dyn Fn(&mut Packed)| {
            let mut packed = packed.clone();
            change(&mut packed);
            upload(&packed)
        };
        assert!(broken(&|p| p.index.truncate(p.index.len() - 1)).contains("contradict"));
        assert!(broken(&|p| p.values.truncate(p.values.len() - 1)).contains("contradict"));
        assert!(broken(&|p| p.index[1] += 1).contains("contradict"));
        assert!(broken(&|p| *p.index.last_mut().unwrap() |= 0x8000_0000).contains("contradict"), "{format}");
        assert!(broken(&|p| p.shape.rows = 5).contains("contradict"));
    }
    let mut column = packed.clone();
    column.values[0] |= 96;
    assert!(upload(&column).contains("do not rise to below 96"));

    let uploaded = SparseMatrix::upload(gpu().device(), &packed).unwrap();
    let (x, y) = (poisoned(4 * 96), poisoned(4 * 4));
    run_pass(|pass| {
        let mut refuse = |columns, x: &wgpu::Buffer, y: &wgpu::Buffer, part: &str| {
            let error = uploaded.matmul(&kernels, pass, columns, x, y, Epilogue::default()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refuse(0, &x, &y, "0 vectors");
        refuse(2, &x, &y, "x: 384 bytes, 768 are needed");
        refuse(1, &x, &x, "the buffer of x");
        refuse(1, &x, &poisoned(12), "y: 12 bytes, 16 are needed");
        let error = uploaded.unpack(&kernels, pass, &y).unwrap_err().to_string();
        assert!(error.contains("weights: 16 bytes, 1536 are needed"), "{error}");
    });
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn unpack_is_the_inverse_of_pack(
        rows in 1_u32..70,
        cols in 1_u32..300,
        gap in 0_u32..9,
        dtype in 0_usize..3,
        format in 0_usize..FORMATS.len(),
        share in 0.0_f64..=1.0,
    ) {
        let (dtype, format) = (DTYPES[dtype], FORMATS[format]);
        let sample = Sample::new(dtype, (rows, cols, gap, 0), Fill::Bits, Keep::Share(share), format);
        let kernels = Kernels::new(gpu().device(), gpu().tuning());
        let packed = SparseMatrix::pack(gpu(), &kernels, &sample.view(), &sample.mask_buffer, format).unwrap();
        let downloaded = packed.download(gpu()).unwrap();
        let masked = sample.masked();
        assert_eq!(downloaded.unpack().unwrap(), masked);
        assert_eq!(downloaded, Packed::pack(sample.matrix(), &sample.mask, format).unwrap());
        let unpacked = poisoned((masked.len() as u64).next_multiple_of(4));
        run_pass(|pass| packed.unpack(&kernels, pass, &unpacked).unwrap());
        assert_eq!(&read(&unpacked)[..masked.len()], &masked[..]);
        check();
    }
}
