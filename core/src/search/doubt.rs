//! Which of the rows that a walk found need their originals.

use crate::graph::Neighbor;
use crate::quant::{Factors, Prepared, Space};
use alloc::vec::Vec;

/// Keeps of `found`, nearest first, those that may be among the `k` nearest by their originals:
/// the first `k`, and whatever their tolerances ([`Space::tolerance`]) leave in doubt.
///
/// # Errors
/// What `factors`, asked for the rows in `found`, reports.
pub(crate) fn keep_in_doubt<E>(
    space: &Space,
    query: &Prepared,
    found: &mut Vec<Neighbor>,
    k: usize,
    factors: impl Fn(u32) -> Result<Factors, E>,
) -> Result<(), E> {
    if found.len() <= k {
        return Ok(());
    }
    let tolerance = |near: &Neighbor| Ok(space.tolerance(query, &factors(near.node)?, near.distance));
    let mut reach = f32::NEG_INFINITY;
    for near in &found[..k] {
        reach = reach.max(near.distance + tolerance(near)?);
    }
    // Tolerances differ from row to row, so a later row may be in doubt where an earlier one is not.
    let mut kept = k;
    for at in k..found.len() {
        let near = found[at];
        if near.distance - tolerance(&near)? <= reach {
            found[kept] = near;
            kept += 1;
        }
    }
    found.truncate(kept);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Kernels;
    use crate::format::Metric;
    use crate::quant::{Encoding, RecordLayout};
    use alloc::vec;

    #[test]
    fn whatever_the_tolerances_leave_in_doubt_is_kept() {
        let space = Space { metric: Metric::InnerProduct, encoding: Encoding::Scaled, layout: RecordLayout::new(1), mean: vec![0.0] };
        let mut query = Prepared::new();
        query.query(&space, Kernels::best(), crate::vectors::Query::F32(&[1.0]));
        // A tolerance is 4 / sqrt(12) scales here. The first row is coarse, so all that follow within its reach are in doubt.
        let rows = [(1.0, 0.5), (1.01, 0.01), (1.05, 0.01), (1.6, 0.01), (1.62, 0.2), (9.0, 0.01)];
        let scale = |node: u32| rows[node as usize].1 / (4.0 / 12.0f32.sqrt());
        let mut found: Vec<Neighbor> = (0..).zip(rows).map(|(node, (distance, _))| Neighbor { distance, node }).collect();
        let factors = |node| Ok::<_, ()>(Factors { scale: scale(node), norm: 0, length_sq: 1.0, flags: 0 });
        keep_in_doubt(&space, &query, &mut found, 2, factors).unwrap();
        assert_eq!(found.iter().map(|near| near.node).collect::<Vec<_>>(), [0, 1, 2, 4]);
    }
}
