//! Rows as bits, 64 a word, the lowest bit first.

use alloc::vec::Vec;

/// A set of the rows below a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bitmap {
    words: Vec<u64>,
    rows: usize,
}

impl Bitmap {
    /// No row.
    #[cfg(feature = "filter")]
    pub(crate) fn new(rows: usize) -> Self {
        Self { words: alloc::vec![0; rows.div_ceil(64)], rows }
    }

    /// Of these words, as far as they are of rows; rows beyond them are not in it.
    pub(crate) fn of_words(mut words: Vec<u64>, rows: usize) -> Self {
        words.resize(rows.div_ceil(64), 0);
        if let Some(last) = words.last_mut().filter(|_| !rows.is_multiple_of(64)) {
            *last &= (1 << (rows % 64)) - 1;
        }
        Self { words, rows }
    }

    /// Makes room for more rows, none of which is in it.
    #[cfg(all(feature = "filter", feature = "live"))]
    pub(crate) fn grow(&mut self, rows: usize) {
        self.rows = self.rows.max(rows);
        self.words.resize(self.rows.div_ceil(64), 0);
    }

    /// Rows that may be in it.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    pub(crate) fn contains(&self, row: u32) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 != 0)
    }

    pub(crate) fn insert(&mut self, row: u32) {
        if let Some(word) = self.words.get_mut(row as usize / 64) {
            *word |= 1 << (row % 64);
        }
    }

    pub(crate) fn remove(&mut self, row: u32) {
        if let Some(word) = self.words.get_mut(row as usize / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    /// The words, the last one with bits of rows alone as long as writers keep to that.
    #[cfg(feature = "filter")]
    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Rows in it from `first` up to `end`; none where that is no range of rows.
    #[cfg(feature = "tiles")]
    pub(crate) fn count_between(&self, first: u32, end: u32) -> usize {
        let words = self.words.get(first as usize / 64..(end as usize).div_ceil(64)).filter(|_| first < end).unwrap_or_default();
        let mut count = words.iter().map(|word| word.count_ones()).sum::<u32>();
        // What the first and the last word have beside the range.
        if let ([low, ..], [.., high]) = (words, words) {
            count -= (low & ((1 << (first % 64)) - 1)).count_ones();
            count -= if end.is_multiple_of(64) { 0 } else { (high >> (end % 64)).count_ones() };
        }
        count as usize
    }

    /// Rows in it.
    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Its rows, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.iter_from(0)
    }

    /// Those of its rows that are not below `first`, ascending.
    pub(crate) fn iter_from(&self, first: u32) -> impl Iterator<Item = u32> + '_ {
        let from = first / 64;
        let words = self.words.get(from as usize..).unwrap_or_default();
        let rows = words.iter().zip(from..).flat_map(|(&word, index)| {
            let mut rest = word;
            core::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                let more = rest != 0;
                rest &= rest.wrapping_sub(1);
                more.then(|| index * 64 + bit)
            })
        });
        rows.skip_while(move |&row| row < first)
    }

    /// The rows at these ranks, which ascend (0 is the lowest row in the set).
    pub(crate) fn at_ranks(&self, ranks: &[u64]) -> Vec<u32> {
        let mut found = Vec::with_capacity(ranks.len());
        let mut ranks = ranks.iter().copied().peekable();
        let mut before = 0u64;
        for (&word, index) in self.words.iter().zip(0u32..) {
            let end = before + u64::from(word.count_ones());
            while let Some(rank) = ranks.next_if(|&rank| rank < end) {
                let mut rest = word;
                (before..rank).for_each(|_| rest &= rest.wrapping_sub(1));
                found.push(index * 64 + rest.trailing_zeros());
            }
            before = end;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_holds_what_a_set_holds(steps in proptest::collection::vec((0u32..290, any::<bool>()), 0..200)) {
            let (mut bitmap, mut set) = (Bitmap::new(290), BTreeSet::new());
            for (row, put) in steps {
                if put { bitmap.insert(row) } else { bitmap.remove(row) }
                if put { set.insert(row); } else { set.remove(&row); }
            }
            prop_assert!(bitmap.iter().eq(set.iter().copied()));
            prop_assert_eq!(bitmap.count(), set.len());
            prop_assert_eq!(&Bitmap::of_words(bitmap.words().to_vec(), 290), &bitmap);
            for (first, end) in [(0, 290), (0, 64), (3, 5), (63, 65), (64, 128), (70, 201), (200, 290), (17, 17), (40, 3), (280, 400)] {
                let wanted = set.iter().filter(|&&row| (first..end).contains(&row)).count();
                prop_assert_eq!(bitmap.count_between(first, end), if end <= 320 { wanted } else { 0 }, "{} to {}", first, end);
            }
            prop_assert!((0..400).all(|row| bitmap.contains(row) == set.contains(&row)));
            let ranks: Vec<u64> = (0..set.len() as u64).step_by(3).collect();
            let rows: Vec<u32> = set.iter().copied().step_by(3).collect();
            prop_assert_eq!(bitmap.at_ranks(&ranks), rows);
        }
    }
}
