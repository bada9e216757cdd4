//! The kernels inside WebAssembly: proof that they equal `scalar`, and loops for a clock outside. Driven by `wasm.mjs`.

mod noise;

use std::hint::black_box;

use nearshore_core::distance::{Asked, Kernels};
use noise::{floats, noise, words};

/// Number of entries that differ from `scalar`, over lengths 0..=2100 and unaligned starts, of every backend in this module.
#[no_mangle]
pub extern "C" fn differences() -> u32 {
    const LENGTH_MAX: usize = 2100;
    let scalar = Kernels::by_name("scalar").expect("scalar is always there");
    let (f, g) = (floats(1, LENGTH_MAX + 16), floats(2, LENGTH_MAX + 16));
    let (a, b, q) = (noise(3, LENGTH_MAX + 64), noise(4, 2 * LENGTH_MAX + 64), words(5, LENGTH_MAX + 16));
    let halves: Vec<u16> = (0..=u16::MAX).collect();
    let mut differences = 0;
    let mut differ = |differs: bool| differences += u32::from(differs);
    for kernels in Kernels::available() {
        for length in 0..=LENGTH_MAX {
            let (f, g) = (&f[length % 5..][..length], &g[length % 7..][..length]);
            let (a, b_row, q) = (&a[length % 37..][..length], &b[length % 29..][..length], &q[length % 13..][..length]);
            let (sa, sb): (&[i8], &[i8]) = (bytemuck::cast_slice(a), bytemuck::cast_slice(b_row));
            differ(kernels.dot_f32(f, g).to_bits() != scalar.dot_f32(f, g).to_bits());
            differ(kernels.l2_f32(f, g).to_bits() != scalar.l2_f32(f, g).to_bits());
            differ(kernels.dot_i8(sa, sb) != scalar.dot_i8(sa, sb));
            differ(kernels.l2_i8(sa, sb) != scalar.l2_i8(sa, sb));
            differ(kernels.dot_u8(a, b_row) != scalar.dot_u8(a, b_row));
            differ(kernels.l2_u8(a, b_row) != scalar.l2_u8(a, b_row));
            differ(kernels.hamming(a, b_row) != scalar.hamming(a, b_row));
            differ(kernels.dot_i16_i8(q, sb) != scalar.dot_i16_i8(q, sb));
            differ(kernels.dot_i16_u8(q, b_row) != scalar.dot_i16_u8(q, b_row));
            let offsets: Vec<_> = (0..length % 12).map(|i| (i * 977 + length) % (2 * LENGTH_MAX - length + 1)).collect();
            let (mut signed, mut unsigned) = (vec![0; offsets.len()], vec![0; offsets.len()]);
            let rows: Vec<&[u8]> = offsets.iter().map(|&offset| &b[offset..]).collect();
            kernels.rows_i16_i8(q, &rows, &mut signed);
            kernels.rows_i16_u8(q, &rows, &mut unsigned);
            for (i, &offset) in offsets.iter().enumerate() {
                let row = &b[offset..][..length];
                differ(signed[i] != scalar.dot_i16_i8(q, bytemuck::cast_slice(row)));
                differ(unsigned[i] != scalar.dot_i16_u8(q, row));
            }
            let (mut found, mut expected) = (vec![0; offsets.len()], vec![0; offsets.len()]);
            kernels.dots_i16_u4(q, &b, &offsets, &mut found);
            scalar.dots_i16_u4(q, &b, &offsets, &mut expected);
            differ(found != expected);
            kernels.dots_i16_u2(q, &b, &offsets, &mut found);
            scalar.dots_i16_u2(q, &b, &offsets, &mut expected);
            differ(found != expected);
            let planes = &b[..length / 256 * 256];
            let (mut ones, mut all) = (vec![0; offsets.len()], vec![0; offsets.len()]);
            kernels.dots_u4_u1(planes, &b, &offsets, &mut ones);
            scalar.dots_u4_u1(planes, &b, &offsets, &mut all);
            differ(ones != all);
            for count in [1, length.div_ceil(7)].into_iter().filter(|_| length >= 3) {
                let (query, columns) = (&f[..length / count], &g[..length / count * count]);
                let (mut near, mut wanted) = (vec![0.0; count], vec![0.0; count]);
                kernels.l2_columns_f32(query, columns, &mut near);
                scalar.l2_columns_f32(query, columns, &mut wanted);
                differ(near.iter().zip(&wanted).any(|(a, b)| a.to_bits() != b.to_bits()));
                kernels.dot_columns_f32(query, columns, &mut near);
                scalar.dot_columns_f32(query, columns, &mut wanted);
                differ(near.iter().zip(&wanted).any(|(a, b)| a.to_bits() != b.to_bits()));
            }
            let (mut wide, mut wanted) = (vec![0.0; length], vec![0.0; length]);
            kernels.widen_f16(&halves[length * 27..][..length], &mut wide);
            scalar.widen_f16(&halves[length * 27..][..length], &mut wanted);
            differ(wide.iter().zip(&wanted).any(|(a, b)| a.to_bits() != b.to_bits()));
        }
    }
    differences + sign_differences()
}

/// Number of results of the kernels on signs that differ from `scalar`, for the lengths that a rotation gives.
fn sign_differences() -> u32 {
    let scalar = Kernels::by_name("scalar").expect("scalar is always there");
    let mut differences = 0;
    let mut differ = |differs: bool| differences += u32::from(differs);
    for kernels in Kernels::available() {
        for dimensions in (64..=2112).step_by(64).chain([4160]) {
            let signs: Vec<f32> = noise(7, 4 * dimensions).iter().map(|byte| f32::from(byte % 2) * 2.0 - 1.0).collect();
            // Zeros, too, and coordinates half way between two steps.
            for query in [floats(dimensions as u64, dimensions), vec![0.0; dimensions], vec![2.5; dimensions]] {
                let (mut turned, mut wanted) = (query.clone(), query.clone());
                kernels.rotate(&signs, &mut turned);
                scalar.rotate(&signs, &mut wanted);
                differ(turned.iter().zip(&wanted).any(|(a, b)| a.to_bits() != b.to_bits()));
                let (mut tables, mut wanted) = (vec![0; 4 * dimensions], vec![1; 4 * dimensions]);
                let step = kernels.fill_sign_tables(&query, &mut tables);
                differ(step.to_bits() != scalar.fill_sign_tables(&query, &mut wanted).to_bits() || tables != wanted);
                let row = sign_row(dimensions);
                let asked = Asked { tables: &tables, step };
                let (mut found, mut wanted) = ([0.0; 32], [1.0; 32]);
                let near = kernels.estimate_neighbors(asked, 3.0, 40.0, &row, &row, &mut found);
                differ(near != scalar.estimate_neighbors(asked, 3.0, 40.0, &row, &[], &mut wanted));
                differ(found.map(f32::to_bits) != wanted.map(f32::to_bits));
            }
        }
    }
    differences
}

/// Factors and codes of 32 neighbours.
fn sign_row(dimensions: usize) -> Vec<u8> {
    let factors = floats(8, 64);
    factors.iter().flat_map(|x| x.to_le_bytes()).chain(noise(9, 4 * dimensions)).collect()
}

/// Whether the fastest backend is `wasm128`.
#[no_mangle]
pub extern "C" fn has_simd() -> bool {
    Kernels::best().name() == "wasm128"
}

/// Computes `times` distances (a multiple of 32) with one kernel of the fastest backend; 0 and 1 are f32 dot and L2, 2 and 3 dot
/// and L2 of i8, 4 the walk's dot of one row, 5 the walk's batch of 32, 6 Hamming, 7 a plain f32 loop, 8 the estimates of 32 neighbours
/// by their signs, 9, 10 and 11 codes of one, two and four bits in batches of 32. Of a query, not of a row: 12 fills the tables of its signs,
/// 13 rotates it; `dimensions` is a multiple of 64 there.
#[no_mangle]
pub extern "C" fn distances(kernel: u32, dimensions: usize, times: usize) {
    const ROWS: usize = 32;
    let kernels = Kernels::best();
    let (f, g) = (floats(1, dimensions), floats(2, dimensions));
    let (q, base) = (words(5, dimensions), noise(6, ROWS * dimensions + 64));
    let (a, b) = base.split_at(dimensions);
    let b = &b[..dimensions];
    let (sa, sb): (&[i8], &[i8]) = (bytemuck::cast_slice(a), bytemuck::cast_slice(b));
    let offsets: Vec<_> = (0..ROWS).map(|i| i * 21 % ROWS * dimensions).collect();
    let rows: Vec<&[u8]> = offsets.iter().map(|&offset| &base[offset..]).collect();
    let (mut out, mut counts, mut near) = ([0; ROWS], [0; ROWS], [0.0; ROWS]);
    let (row, mut tables, mut turned) = (sign_row(dimensions), vec![0; 4 * dimensions], f.clone());
    let signs = vec![1.0; 4 * dimensions];
    let step = kernels.fill_sign_tables(&f, &mut tables);
    let planes = noise(10, 4 * dimensions.div_ceil(512) * 64);
    for _ in 0..times / ROWS {
        match kernel {
            5 => kernels.rows_i16_i8(black_box(&q), black_box(&rows), black_box(&mut out)),
            8 => {
                let asked = Asked { tables: black_box(&tables), step };
                black_box(kernels.estimate_neighbors(asked, 1.0, 2.0, black_box(&row), &[], black_box(&mut near)));
            }
            9 => kernels.dots_u4_u1(black_box(&planes), black_box(&base), black_box(&offsets), black_box(&mut counts)),
            10 => kernels.dots_i16_u2(black_box(&q), black_box(&base), black_box(&offsets), black_box(&mut out)),
            11 => kernels.dots_i16_u4(black_box(&q), black_box(&base), black_box(&offsets), black_box(&mut out)),
            _ => {}
        }
        if matches!(kernel, 5 | 8..=11) {
            continue;
        }
        for _ in 0..ROWS {
            match kernel {
                0 => drop(black_box(kernels.dot_f32(black_box(&f), black_box(&g)))),
                1 => drop(black_box(kernels.l2_f32(black_box(&f), black_box(&g)))),
                2 => drop(black_box(kernels.dot_i8(black_box(sa), black_box(sb)))),
                3 => drop(black_box(kernels.l2_i8(black_box(sa), black_box(sb)))),
                4 => drop(black_box(kernels.dot_i16_i8(black_box(&q), black_box(sa)))),
                6 => drop(black_box(kernels.hamming(black_box(a), black_box(b)))),
                12 => drop(black_box(kernels.fill_sign_tables(black_box(&f), black_box(&mut tables)))),
                13 => kernels.rotate(black_box(&signs), black_box(&mut turned)),
                _ => drop(black_box(black_box(&f).iter().zip(black_box(&g)).map(|(a, b)| a * b).sum::<f32>())),
            }
        }
    }
}
