//! Where each id is: an ordered map from `u64` to `u32`, in sorted runs of bounded length.
//!
//! A tree would do as well and weighs three times as much in the browser's download; a hash table would weigh less still, but a file
//! could choose ids that all collide. Here no choice of ids makes an operation slow.

use alloc::vec::Vec;

/// Entries of a run at most; a longer one is cut in two.
const RUN_MAX: usize = 256;

/// A map from ids to slots.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// Ascending, within a run and from run to run; no run is empty.
    runs: Vec<Vec<(u64, u32)>>,
    length: usize,
}

#[cfg(feature = "live")]
impl Slots {
    /// Ids in the map.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The slot of `id`. `O(log n)`.
    pub(crate) fn get(&self, id: u64) -> Option<u32> {
        let (run, place) = self.place(id);
        place.ok().map(|at| self.runs[run][at].1)
    }

    /// Takes `id` out and returns its slot.
    pub(crate) fn remove(&mut self, id: u64) -> Option<u32> {
        let (run, place) = self.place(id);
        let (_, slot) = self.runs.get_mut(run)?.remove(place.ok()?);
        if self.runs[run].is_empty() {
            self.runs.remove(run);
        }
        self.length -= 1;
        Some(slot)
    }

    /// Takes everything out.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Slots {
    /// Sets the slot of `id` and returns the one before. `O(log n)`, and two short moves of memory.
    pub(crate) fn insert(&mut self, id: u64, slot: u32) -> Option<u32> {
        let (run, place) = self.place(id);
        let at = match place {
            Ok(at) => return Some(core::mem::replace(&mut self.runs[run][at].1, slot)),
            Err(at) => at,
        };
        if self.runs.is_empty() {
            self.runs.push(Vec::new());
        }
        let entries = &mut self.runs[run];
        entries.insert(at, (id, slot));
        self.length += 1;
        if entries.len() > RUN_MAX {
            let upper = entries.split_off(RUN_MAX / 2);
            self.runs.insert(run + 1, upper);
        }
        None
    }

    /// All ids, ascending.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.runs.iter().flatten().map(|entry| entry.0)
    }

    /// The run of `id`, and its place there, or where it would go. Run 0 of an empty map does not exist.
    #[inline(never)]
    fn place(&self, id: u64) -> (usize, Result<usize, usize>) {
        let after = self.runs.partition_point(|run| run.first().is_some_and(|entry| entry.0 <= id));
        let run = after.saturating_sub(1);
        let found = self.runs.get(run).map_or(Err(0), |run| run.binary_search_by_key(&id, |entry| entry.0));
        (run, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_holds_what_a_tree_holds(steps in proptest::collection::vec((0u64..60, any::<bool>(), 0u32..1000), 0..600)) {
            let (mut slots, mut tree) = (Slots::default(), BTreeMap::new());
            for (id, put, slot) in steps {
                if put {
                    prop_assert_eq!(slots.insert(id, slot), tree.insert(id, slot));
                } else {
                    prop_assert_eq!(slots.remove(id), tree.remove(&id));
                }
                prop_assert_eq!(slots.len(), tree.len());
                for id in 0..60 {
                    prop_assert_eq!(slots.get(id), tree.get(&id).copied());
                }
            }
            prop_assert!(slots.ids().eq(tree.keys().copied()));
            slots.clear();
            prop_assert_eq!(slots.ids().count() + slots.len(), 0);
        }
    }

    #[test]
    fn many_runs_stay_in_order_whatever_the_order_of_ids() {
        const COUNT: u64 = 5_000;
        let orders: [fn(u64) -> u64; 3] = [|i| i, |i| COUNT - 1 - i, |i| i * 1_009 % COUNT];
        for order in orders {
            let mut slots = Slots::default();
            for id in (0..COUNT).map(order) {
                assert_eq!(slots.insert(id, id as u32), None);
            }
            assert!(slots.ids().eq(0..COUNT));
            assert!(slots.runs.iter().all(|run| !run.is_empty() && run.len() <= RUN_MAX));
            for id in (0..COUNT).filter(|id| id % 3 != 0) {
                assert_eq!(slots.remove(id), Some(id as u32));
                assert_eq!(slots.remove(id), None);
            }
            assert!(slots.ids().eq((0..COUNT).step_by(3)));
            assert!((0..COUNT).all(|id| slots.get(id) == (id % 3 == 0).then_some(id as u32)));
        }
    }
}
