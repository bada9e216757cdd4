//! Sorting, where the order is total: then every algorithm gives the same result, and each machine may have its own.
//!
//! Natively that is the standard library's unstable sort. It is fast because it is long, and longer still for being compiled once a
//! type: in the browser's download it was a fifth of the code. There a short sort takes its place, which a build does not notice and a
//! search even less.

/// Sorts by a key that no two items share (or whose equal items are equal in every way).
pub(crate) fn by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    if cfg!(target_arch = "wasm32") { short(items, key) } else { items.sort_unstable_by_key(key) }
}

/// Runs up to this long are sorted by insertion, which makes fewer comparisons there.
const INSERTION_MAX: usize = 16;

fn short<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    arrange(items.len(), &mut Keyed { items, key });
}

/// What is sorted, as the sort sees it.
trait Items {
    /// Whether item `a` belongs before item `b`.
    fn is_before(&self, a: usize, b: usize) -> bool;
    fn swap(&mut self, a: usize, b: usize);
}

struct Keyed<'a, T, F> {
    items: &'a mut [T],
    key: F,
}

impl<T, K: Ord, F: Fn(&T) -> K> Items for Keyed<'_, T, F> {
    fn is_before(&self, a: usize, b: usize) -> bool {
        (self.key)(&self.items[a]) < (self.key)(&self.items[b])
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.items.swap(a, b);
    }
}

/// Insertion sort for a few items, heap sort (Williams 1964) for more: in place, `O(n log n)`, a few hundred bytes of code for all types.
fn arrange(length: usize, items: &mut dyn Items) {
    if length <= INSERTION_MAX {
        for end in 1..length {
            let mut at = end;
            while at > 0 && items.is_before(at, at - 1) {
                items.swap(at, at - 1);
                at -= 1;
            }
        }
        return;
    }
    // First every inner node sinks, from the last to the root; then the largest goes to the end, again and again.
    for step in (1..length + length / 2).rev() {
        let (mut node, end) = if step >= length {
            (step - length, length)
        } else {
            items.swap(0, step);
            (0, step)
        };
        loop {
            let mut child = 2 * node + 1;
            if child >= end {
                break;
            }
            if child + 1 < end && items.is_before(child, child + 1) {
                child += 1;
            }
            if !items.is_before(node, child) {
                break;
            }
            items.swap(node, child);
            node = child;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_short_sort_sorts(mut items in proptest::collection::vec(any::<u16>(), 0..400)) {
            let mut expected: Vec<u16> = items.clone();
            expected.sort_unstable();
            short(&mut items, |item| *item);
            prop_assert_eq!(items, expected);
        }
    }

    #[test]
    fn sorted_reversed_and_equal_runs_of_every_small_length_are_sorted() {
        for length in 0..80_u32 {
            let sorted: Vec<u32> = (0..length).collect();
            for mut items in [sorted.clone(), (0..length).rev().collect()] {
                short(&mut items, |item| *item);
                assert_eq!(items, sorted);
            }
            let mut equal = alloc::vec![7; length as usize];
            short(&mut equal, |item| *item);
            assert!(equal.iter().all(|item| *item == 7));
        }
    }
}
