//! The order of rows in a file: nodes that are expanded together should lie together.
//!
//! Breadth-first from the entry, each node followed by its unseen neighbours, nearest first. A
//! walk then finds the records and edges of a neighbourhood in few pages and cache lines.

use super::layer::Layer;
use alloc::vec;
use alloc::vec::Vec;

/// `order[row]` is the node that becomes file row `row`; every node occurs once.
#[must_use]
pub fn breadth_first(layer: &Layer) -> Vec<u32> {
    // Roots beyond 0 are only needed where a graph was not mended.
    breadth_first_within(layer, 0..layer.rows() as u32, |_, _| true)
}

/// The same from one root after the other, along those edges alone whose ends are `together`. Every node is a root.
pub(crate) fn breadth_first_within(layer: &Layer, roots: impl Iterator<Item = u32>, together: impl Fn(u32, u32) -> bool) -> Vec<u32> {
    let rows = layer.rows();
    let mut seen = vec![false; rows];
    let mut order = Vec::with_capacity(rows);
    let mut done = 0;
    for root in roots {
        if seen[root as usize] {
            continue;
        }
        seen[root as usize] = true;
        order.push(root);
        while let Some(&node) = order.get(done) {
            done += 1;
            for &next in layer.neighbors(node) {
                if !seen[next as usize] && together(node, next) {
                    seen[next as usize] = true;
                    order.push(next);
                }
            }
        }
    }
    order
}
