//! One query against 32 neighbours of one bit a dimension: four dimensions a look-up, 32 look-ups an instruction or two.
//!
//! The bits of four dimensions choose one of the 16 sums that a query's four coordinates can make with signs of their own; a register
//! holds such a table whole, so a byte shuffle looks all neighbours up at once ("fast scan": Andre, Kermarrec, Le Scouarnec 2015, "Cache
//! locality is not enough", section 4; beside a graph's nodes: Gou et al. 2025, SymphonyQG, arXiv 2411.12229, section 3).
#![forbid(unsafe_code)]

use crate::simd::{BYTES, COLUMNS, ROUNDING, Simd, prefetch_line};

/// Dimensions of a look-up.
pub(crate) const GROUP: usize = 4;
/// Bytes of a table.
pub(crate) const TABLE_BYTES: usize = 1 << GROUP;
/// A query's coordinates are rounded to integers of -31 to 31, so that 124 more than any sum of four fits a byte.
const COORDINATE_MAX: f32 = 31.0;
/// What is added to each sum.
const EXCESS: i32 = GROUP as i32 * COORDINATE_MAX as i32;
/// Bytes of tables whose sums fit 16 bits: 256 numbers of at most 248.
const PASS_BYTES: usize = 256 * TABLE_BYTES;
/// Bytes before the codes of a row: for each neighbour an f32 to add, then for each one to multiply with.
pub(crate) const FACTOR_BYTES: usize = 2 * 4 * COLUMNS;

/// Fills `tables` with the sums of the rotated query's coordinates under all signs, four at a time, and returns the step that a
/// coordinate was rounded to: bit `j` of a place in a table is the sign of coordinate `j`, 1 for plus. `O(d)`, four additions an entry.
///
/// # Panics
/// If there are not 16 bytes of tables for each four coordinates.
#[inline(always)]
pub(super) fn fill<S: Simd>(simd: S, query: &[f32], tables: &mut [u8]) -> f32 {
    assert_eq!(query.len() / GROUP * TABLE_BYTES, tables.len());
    let mut largest = [0.0f32; 8];
    for eight in query.as_chunks::<8>().0 {
        for i in 0..8 {
            let size = eight[i].abs();
            largest[i] = if size > largest[i] { size } else { largest[i] };
        }
    }
    let largest = largest.into_iter().fold(0.0, f32::max);
    let step = largest / COORDINATE_MAX;
    // Where the query is the mean itself every sum is zero.
    let divisor = if step > 0.0 { step } else { 1.0 };
    for (sixteen, tables) in query.as_chunks::<16>().0.iter().zip(tables.as_chunks_mut::<64>().0) {
        // The low byte of a sum that leaves no bits for a fraction is the rounded coordinate modulo 256; a cast to an integer, which saturates,
        // is a branch each.
        let coordinates = sixteen.map(|x| (x / divisor + ROUNDING).to_bits() as u8);
        for (four, table) in coordinates.as_chunks::<GROUP>().0.iter().zip(tables.as_chunks_mut::<TABLE_BYTES>().0) {
            // Modulo 256: what is taken away comes back, and every sum fits.
            let least = four.iter().fold(EXCESS as u8, |least, &x| least.wrapping_sub(x));
            simd.sums_of_subsets(least, four.map(|x| x.wrapping_mul(2)), table);
        }
    }
    step
}

/// What a query looks signs up in.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// 16 bytes for each four coordinates, filled by [`Kernels::fill_sign_tables`](crate::distance::Kernels::fill_sign_tables).
    pub tables: &'a [u8],
    /// What a coordinate was rounded to, as that returned it.
    pub step: f32,
}

/// `out[i] = base + (add[i] + multiply[i] * (step * sum[i]))`, where `sum[i]` is that of the query's coordinates under the signs of
/// neighbour `i`. Asks for the lines of `next` on the way. Returns a bit for each `out[i]` that is at most `most`, or no finite number.
///
/// # Panics
/// If `row` is shorter than its factors and a byte of codes for each byte of tables, or the tables are no multiple of 64 bytes.
#[inline(always)]
pub(super) fn estimate<S: Simd>(
    simd: S,
    Asked { tables, step }: Asked<'_>,
    base: f32,
    most: f32,
    row: &[u8],
    next: &[u8],
    out: &mut [f32; COLUMNS],
) -> u32 {
    let (factors, codes) = row.split_at(FACTOR_BYTES);
    let codes = &codes[..tables.len()];
    let mut sums = [-EXCESS * (tables.len() / TABLE_BYTES) as i32; COLUMNS];
    let mut ahead = next.iter().step_by(BYTES);
    for (tables, codes) in tables.chunks(PASS_BYTES).zip(codes.chunks(PASS_BYTES)) {
        let mut finds = simd.zero_finds();
        for (tables, codes) in tables.as_chunks::<BYTES>().0.iter().zip(codes.as_chunks::<BYTES>().0) {
            if let Some(next) = ahead.next() {
                prefetch_line(next);
            }
            finds = simd.find(finds, tables, codes);
        }
        for (sum, find) in sums.iter_mut().zip(simd.sum_finds(finds)) {
            *sum += i32::from(find);
        }
    }
    ahead.for_each(prefetch_line);
    let (add, multiply) = factors.as_chunks::<4>().0.split_at(COLUMNS);
    for (((out, add), multiply), sum) in out.iter_mut().zip(add).zip(multiply).zip(sums) {
        *out = base + (f32::from_le_bytes(*add) + f32::from_le_bytes(*multiply) * (step * sum as f32));
    }
    let mut near = 0;
    for (i, out) in out.iter().enumerate() {
        near |= u32::from(*out <= most || !out.is_finite()) << i;
    }
    near
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Kernels;
    use crate::seed::SplitMix;
    use alloc::vec;
    use alloc::vec::Vec;

    /// The sum of the coordinates under the signs of neighbour `slot`.
    fn sum(coordinates: &[f32], codes: &[u8], slot: usize) -> f32 {
        let sign = |i: usize| codes[i / GROUP * TABLE_BYTES + slot % 16] >> (slot / 16 * 4 + i % GROUP) & 1;
        (0..coordinates.len()).map(|i| if sign(i) == 1 { coordinates[i] } else { -coordinates[i] }).sum()
    }

    /// Coordinates that are whole, 31 among them, so that the step is `step`.
    fn check(coordinates: &[f32], step: f32, codes: Vec<u8>, random: &mut SplitMix) {
        let query: Vec<f32> = coordinates.iter().map(|x| x * step).collect();
        let factors: Vec<f32> = (0..2 * COLUMNS).map(|_| random.below(4000) as f32 / 16.0 - 100.0).collect();
        let row = [bytemuck::cast_slice(&factors), &codes].concat();
        let base = random.below(1000) as f32 / 7.0;
        for kernels in Kernels::available() {
            let mut tables = vec![0; query.len() / GROUP * TABLE_BYTES];
            assert_eq!(kernels.fill_sign_tables(&query, &mut tables), step);
            let mut found = [0.0; COLUMNS];
            let near = kernels.estimate_neighbors(Asked { tables: &tables, step }, base, 10.0, &row, &row, &mut found);
            for (slot, found) in found.into_iter().enumerate() {
                let sum = sum(coordinates, &codes, slot);
                let wanted = base + (factors[slot] + factors[COLUMNS + slot] * (step * sum));
                let name = kernels.name();
                assert_eq!(found.to_bits(), wanted.to_bits(), "{name}: slot {slot} of {} dimensions", query.len());
                assert_eq!(near >> slot & 1 == 1, found <= 10.0, "{name}: slot {slot} at {found}");
            }
        }
    }

    #[test]
    fn every_backend_finds_the_sums_under_all_signs() {
        let mut random = SplitMix::new(5);
        for dimensions in [64, 128, 384, 1024, 1088, 2048, 4160] {
            let mut coordinates: Vec<f32> = (0..dimensions).map(|_| random.below(63) as f32 - 31.0).collect();
            coordinates[7] = 31.0;
            let codes = (0..dimensions / GROUP * TABLE_BYTES).map(|_| random.below(256) as u8).collect();
            check(&coordinates, 0.125, codes, &mut random);
        }
    }

    #[test]
    fn sums_of_extremes_do_not_wrap() {
        let mut random = SplitMix::new(6);
        for dimensions in [1024, 3072] {
            for (coordinate, code) in [(31.0, 0xff), (31.0, 0), (-31.0, 0xff), (-31.0, 0), (31.0, 0xf0)] {
                check(&vec![coordinate; dimensions], 1.0, vec![code; dimensions / GROUP * TABLE_BYTES], &mut random);
            }
        }
    }

    #[test]
    fn a_query_at_the_mean_has_tables_of_zeros_and_damaged_factors_are_near() {
        let kernels = Kernels::best();
        let mut tables = vec![0; 16 * TABLE_BYTES];
        assert_eq!(kernels.fill_sign_tables(&[0.0; 64], &mut tables), 0.0);
        assert!(tables.iter().all(|&sum| i32::from(sum) == EXCESS));
        let mut row = vec![0; FACTOR_BYTES + tables.len()];
        row[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
        let near = kernels.estimate_neighbors(Asked { tables: &tables, step: 0.0 }, 5.0, 1.0, &row, &[], &mut [0.0; COLUMNS]);
        assert_eq!(near, 0b10);
    }
}
