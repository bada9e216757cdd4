//! The kernels of coarse codes: every backend against the words of their documentation.

use super::Kernels;
use crate::seed::SplitMix;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn pairs_of_bits_agree_at_every_length_and_start(
        query in prop::collection::vec(any::<i16>(), 0..700),
        seed: u64,
        count in 0usize..14,
    ) {
        let bytes = query.len().div_ceil(32) * 8;
        let mut random = SplitMix::new(seed);
        let base: Vec<u8> = (0..bytes + 100).map(|_| random.next_u64() as u8).collect();
        let offsets: Vec<usize> = (0..count).map(|_| random.below(101) as usize).collect();
        for kernels in Kernels::available() {
            let mut found = vec![-1; count];
            kernels.dots_i16_u2(&query, &base, &offsets, &mut found);
            for (&offset, &found) in offsets.iter().zip(&found) {
                let code = |j: usize| i32::from(base[offset + j / 32 * 8 + j % 8] >> (j % 32 / 8 * 2) & 3);
                let wanted = query.iter().enumerate().fold(0, |sum: i32, (j, &q)| sum.wrapping_add(i32::from(q) * code(j)));
                prop_assert_eq!(found, wanted, "{}", kernels.name());
            }
        }
    }

    #[test]
    fn columns_are_summed_coordinate_by_coordinate(query in prop::collection::vec(-9f32..9.0, 0..20), count in 1usize..300, seed: u64) {
        let mut random = SplitMix::new(seed);
        let columns: Vec<f32> = (0..query.len() * count).map(|_| random.below(2001) as f32 / 100.0 - 10.0).collect();
        for kernels in Kernels::available() {
            let (mut l2, mut dot) = (vec![f32::NAN; count], vec![f32::NAN; count]);
            kernels.l2_columns_f32(&query, &columns, &mut l2);
            kernels.dot_columns_f32(&query, &columns, &mut dot);
            for i in 0..count {
                let (mut squares, mut product) = (0.0f32, 0.0f32);
                for (d, &q) in query.iter().enumerate() {
                    let difference = q - columns[d * count + i];
                    squares += difference * difference;
                    product += q * columns[d * count + i];
                }
                prop_assert_eq!((l2[i].to_bits(), dot[i].to_bits()), (squares.to_bits(), product.to_bits()), "{}", kernels.name());
            }
        }
    }
}
