//! Evaluating a condition: a few thousand rows at a time, a word of bits for 64 of them.
//!
//! Memory is one bit a row for the result and, whatever the rows, half a kilobyte for each intermediate result.

use super::bind::{Columns, Passes, Program, Step};
use super::bitmap::Bitmap;
use alloc::vec;
use alloc::vec::Vec;

/// Rows evaluated together.
const TOGETHER: usize = 4096;
const WORDS: usize = TOGETHER / 64;

impl Program {
    /// The rows below `rows` that pass.
    pub(crate) fn select<C: Columns + ?Sized>(&self, columns: &C, rows: usize) -> Result<Bitmap, C::Error> {
        let mut result = Bitmap::new(rows);
        let mut keys = vec![0; TOGETHER];
        let mut stack: Vec<[u64; WORDS]> = Vec::with_capacity(self.depth);
        for (chunk, words) in result.words_mut().chunks_mut(WORDS).enumerate() {
            let first = chunk * TOGETHER;
            let count = TOGETHER.min(rows - first);
            self.run(columns, first as u32, &mut keys[..count], &mut stack)?;
            let passed = stack.pop().unwrap_or([0; WORDS]);
            words.copy_from_slice(&passed[..words.len()]);
            if let Some(last) = words.last_mut().filter(|_| !count.is_multiple_of(64)) {
                *last &= (1 << (count % 64)) - 1;
            }
        }
        Ok(result)
    }

    /// Leaves the bits of the rows from `first` on, as many as there is room for keys, on the stack.
    fn run<C: Columns + ?Sized>(&self, columns: &C, first: u32, keys: &mut [i64], stack: &mut Vec<[u64; WORDS]>) -> Result<(), C::Error> {
        stack.clear();
        for step in &self.steps {
            match step {
                Step::Test { column, passes } => {
                    let mut bits = [0; WORDS];
                    passes.test(columns, *column, first, keys, &mut bits)?;
                    stack.push(bits);
                }
                Step::Not => stack.iter_mut().last().into_iter().flatten().for_each(|word| *word = !*word),
                Step::And | Step::Or => {
                    let right = stack.pop().unwrap_or([0; WORDS]);
                    let and = matches!(step, Step::And);
                    for (left, right) in stack.iter_mut().last().into_iter().flatten().zip(right) {
                        *left = if and { *left & right } else { *left | right };
                    }
                }
            }
        }
        Ok(())
    }
}

impl Passes {
    fn test<C: Columns + ?Sized>(
        &self,
        columns: &C,
        column: usize,
        first: u32,
        keys: &mut [i64],
        bits: &mut [u64; WORDS],
    ) -> Result<(), C::Error> {
        let mut nulls = [0; WORDS];
        columns.nulls(column, first, &mut nulls)?;
        match self {
            Self::Null { outside } => {
                for (bits, nulls) in bits.iter_mut().zip(nulls) {
                    *bits = if *outside { !nulls } else { nulls };
                }
                return Ok(());
            }
            Self::Range { keys: range, outside } => {
                columns.keys(column, first, keys)?;
                // One comparison instead of two, without a branch.
                let (low, width) = (range.low, range.high.wrapping_sub(range.low).cast_unsigned());
                let some = range.low <= range.high;
                each(keys, bits, |key| (some && key.wrapping_sub(low).cast_unsigned() <= width) != *outside);
            }
            Self::Set { keys: set, outside } => {
                columns.keys(column, first, keys)?;
                each(keys, bits, |key| set.binary_search(&key).is_ok() != *outside);
            }
        }
        bits.iter_mut().zip(nulls).for_each(|(bits, nulls)| *bits &= !nulls);
        Ok(())
    }
}

#[inline(always)]
fn each(keys: &[i64], bits: &mut [u64], passes: impl Fn(i64) -> bool) {
    for (bits, keys) in bits.iter_mut().zip(keys.chunks(64)) {
        *bits = keys.iter().zip(0..).fold(0, |word, (&key, bit)| word | u64::from(passes(key)) << bit);
    }
}
