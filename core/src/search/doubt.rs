//! Which rows have to be looked at more closely: those in doubt after a walk, by the likely error of their codes,
//! and those that a scan cannot rule out, by the largest.

use crate::format::Metric;
use crate::graph::Neighbor;
#[cfg(all(feature = "tiles", feature = "among"))]
use crate::quant::exact;
use crate::quant::scalar::CODE_MAX;
use crate::quant::{Encoding, Factors, Prepared, Space};
use crate::simd;
use alloc::vec::Vec;

/// As many times more than are ranked without a question are ranked at most where codes of four bits leave them in doubt: 300 of ten hits, as by
/// one bit. In two clusters far apart, whose 400 rows each share their codes under cosine, four times as many found 0.66 of what 0.99 was asked
/// for, eight times 0.80, fifteen times 0.94.
const MOST_IN_DOUBT: usize = 15;

/// Says of candidates, nearest first, whether they may be among the `k` nearest once their distances are computed from something better.
#[derive(Debug)]
struct Doubt {
    k: usize,
    least: usize,
    /// How far the first `k` may turn out to be.
    reach: Option<f32>,
}

impl Doubt {
    /// The first `least`, no fewer than `k`, are taken without a question.
    fn new(k: usize, least: usize) -> Self {
        Self { k, least: least.max(k), reach: None }
    }

    /// Whether `near`, behind those that were `taken`, is one of the first or in doubt by `tolerance`: how far a distance may be off.
    ///
    /// # Errors
    /// What `tolerance` reports.
    fn takes<E>(&mut self, taken: &[Neighbor], near: &Neighbor, tolerance: &dyn Fn(&Neighbor) -> Result<f32, E>) -> Result<bool, E> {
        if taken.len() < self.least {
            return Ok(true);
        }
        let reach = if let Some(reach) = self.reach {
            reach
        } else {
            let mut reach = f32::NEG_INFINITY;
            for near in &taken[..self.k] {
                reach = reach.max(near.distance + tolerance(near)?);
            }
            *self.reach.insert(reach)
        };
        // Tolerances differ from row to row, so a later row may be in doubt where an earlier one is not.
        Ok(near.distance - tolerance(near)? <= reach)
    }
}

/// Candidates of a walk by codes of four bits that records rank for `k` hits: at least, and at most. Such codes say how far they err, and a
/// file may say anything: what it leaves in doubt is bounded, as it is by fewer bits.
pub(crate) fn ranked_by_four_bits(k: usize) -> (usize, usize) {
    let least = k.saturating_mul(2).max(20);
    (least, least.saturating_mul(MOST_IN_DOUBT))
}

/// Fills `taken` with those of `found`, nearest first, that [`Doubt`] takes and that live: `least` without a question, `most` at most.
///
/// # Errors
/// What `tolerance` and `lives`, which is asked for those that are in doubt, report.
pub(crate) fn take_in_doubt<E>(
    found: impl Iterator<Item = Neighbor>,
    k: usize,
    (least, most): (usize, usize),
    tolerance: &dyn Fn(&Neighbor) -> Result<f32, E>,
    lives: &mut dyn FnMut(u32) -> Result<bool, E>,
    taken: &mut Vec<Neighbor>,
) -> Result<(), E> {
    let mut doubt = Doubt::new(k, least);
    taken.clear();
    for near in found {
        if taken.len() >= most {
            break;
        }
        if doubt.takes(taken, &near, tolerance)? && lives(near.node)? {
            taken.push(near);
        }
    }
    Ok(())
}

/// Keeps those of `found`, nearest first, that [`Doubt`] takes.
///
/// # Errors
/// What `tolerance`, asked for those in `found`, reports.
pub(crate) fn keep_in_doubt<E>(
    found: &mut Vec<Neighbor>,
    k: usize,
    least: usize,
    tolerance: &dyn Fn(&Neighbor) -> Result<f32, E>,
) -> Result<(), E> {
    let (mut doubt, mut kept) = (Doubt::new(k, least), 0);
    for at in 0..found.len() {
        let near = found[at];
        if doubt.takes(&found[..kept], &near, tolerance)? {
            found[kept] = near;
            kept += 1;
        }
    }
    found.truncate(kept);
    Ok(())
}

/// Keeps those of `found`, nearest first by their records, whose originals may be among the `k` nearest of a scan: by the largest errors, so
/// that it is exact. `known` is how far the last of `k` originals that it came to before lies.
#[cfg(all(feature = "tiles", feature = "among"))]
pub(crate) fn keep_not_beyond(
    space: &Space,
    query: &Prepared,
    found: &mut Vec<Neighbor>,
    k: usize,
    known: Option<f32>,
    factors: &dyn Fn(&Neighbor) -> Factors,
) {
    let mut beyond = Beyond::new(space, query);
    let farthest = |near: &Neighbor| beyond.as_ref().map_or(near.distance, |beyond| beyond.farthest(query, &factors(near), near.distance));
    let of_these = found.get(..k).map_or(f32::INFINITY, |first| first.iter().map(farthest).fold(f32::NEG_INFINITY, f32::max));
    let limit = known.unwrap_or(f32::INFINITY).min(of_these);
    if let Some(beyond) = &mut beyond {
        beyond.limit(limit);
    }
    found.retain(|near| match &beyond {
        Some(beyond) => !beyond.is(&factors(near), near.distance),
        None => near.distance <= limit,
    });
}

/// Tells, by the distance to a row's codes, that its original is farther than a limit. Certain, so a
/// scan that leaves such rows out is exact.
///
/// The codes of a row and of the query err by at most half a scale a coordinate, so the difference of
/// the two vectors errs by at most `r = sqrt(D) (s_x + s_q) / 2` in length: the original is beyond a
/// squared distance `l` when the codes are beyond `(sqrt(l) + r)^2`. A dot product errs by at most
/// `|q| r_x + |x| r_q + r_x r_q`, where `|x|` is at most the largest code times the diagonal. On top
/// come the roundings of both computations. No root is taken a row.
pub(crate) struct Beyond {
    metric: Metric,
    /// What a scale of 1 makes of `r_x`. (Half a scale is exact only up to the rounding of a division.)
    diagonal: f32,
    /// `r_q`.
    asked: f32,
    query_norm: f32,
    query_length: f32,
    rounding: f32,
    limit: f32,
    /// What is compared with the codes: the root of the squared limit, or for dot products the limit itself.
    bar: f32,
}

impl Beyond {
    /// Without a limit nothing is beyond. `None` where rows are their own originals.
    pub(crate) fn new(space: &Space, query: &Prepared) -> Option<Self> {
        let dimensions = space.layout.dimensions as f32;
        let diagonal = 0.505 * simd::sqrtf(dimensions);
        let query_norm = query.norm as f32;
        (space.encoding == Encoding::Scaled).then(|| Self {
            metric: space.metric,
            diagonal,
            asked: diagonal * query.scale,
            query_norm,
            query_length: simd::sqrtf(query_norm),
            rounding: 2e-6 + 1e-8 * dimensions,
            limit: f32::INFINITY,
            bar: f32::INFINITY,
        })
    }

    /// Sets the distance beyond which a row is of no interest.
    #[inline]
    pub(crate) fn limit(&mut self, limit: f32) {
        if limit == self.limit {
            return;
        }
        self.limit = limit;
        self.bar = match self.metric {
            Metric::L2 => simd::sqrtf(limit / (1.0 - self.rounding)),
            Metric::Cosine => simd::sqrtf(2.0 * (limit + self.rounding)),
            Metric::InnerProduct => limit,
        };
    }

    /// How far the original of the row with these factors may be, at most, when its codes are at `distance`: what [`Beyond::is`] is the other side of.
    #[cfg(all(feature = "tiles", feature = "among"))]
    fn farthest(&self, query: &Prepared, factors: &Factors, distance: f32) -> f32 {
        let Self { asked, query_norm, query_length, rounding, .. } = *self;
        let row = self.diagonal * factors.scale;
        let norms = f32::from_bits(factors.norm) + query_norm;
        let reach = |squared: f32| {
            let length = simd::sqrtf(squared.max(0.0)) + row + asked;
            length * length
        };
        match self.metric {
            Metric::L2 => reach(distance + rounding * norms) / (1.0 - rounding),
            // What has no direction lies at 1 from everything, and its codes nearer.
            Metric::Cosine if !exact::has_direction(query.length_sq.min(factors.length_sq)) => 1.0,
            Metric::Cosine => 0.5 * reach(2.0 * distance + rounding * (2.0 + norms)) + rounding,
            Metric::InnerProduct => {
                let length = 2.0 * CODE_MAX * row;
                distance + query_length * row + length * asked + row * asked + rounding * (1.0 + (length + row) * (query_length + asked))
            }
        }
    }

    /// Whether the original of the row with these factors is beyond the limit, when its codes are at `distance`.
    #[inline]
    pub(crate) fn is(&self, factors: &Factors, distance: f32) -> bool {
        let Self { asked, query_norm, query_length, rounding, bar, .. } = *self;
        let row = self.diagonal * factors.scale;
        let norms = f32::from_bits(factors.norm) + query_norm;
        let reach = (bar + row + asked) * (bar + row + asked);
        match self.metric {
            Metric::L2 => distance - rounding * norms > reach,
            Metric::Cosine => 2.0 * distance - rounding * (2.0 + norms) > reach,
            Metric::InnerProduct => {
                let length = 2.0 * CODE_MAX * row;
                let error = query_length * row + length * asked + row * asked;
                distance - error - rounding * (1.0 + (length + row) * (query_length + asked)) > bar
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Kernels;
    use crate::quant::shapes::{self, Shape};
    use crate::quant::{RecordLayout, exact};
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn whatever_the_tolerances_leave_in_doubt_is_kept() {
        let space = Space { metric: Metric::InnerProduct, encoding: Encoding::Scaled, layout: RecordLayout::new(1), mean: vec![0.0] };
        let mut query = Prepared::new();
        query.query(&space, Kernels::best(), crate::vectors::Query::F32(&[1.0]));
        // A tolerance is 4 / sqrt(12) scales here. The first row is coarse, so all that follow within its reach are in doubt.
        let rows = [(1.0, 0.5), (1.01, 0.01), (1.05, 0.01), (1.6, 0.01), (1.62, 0.2), (9.0, 0.01)];
        let scale = |node: u32| rows[node as usize].1 / (4.0 / 12.0f32.sqrt());
        let mut found: Vec<Neighbor> = (0..).zip(rows).map(|(node, (distance, _))| Neighbor { distance, node }).collect();
        let factors = |node| Factors { scale: scale(node), norm: 0, length_sq: 1.0, flags: 0 };
        keep_in_doubt::<()>(&mut found, 2, 0, &|near| Ok(space.tolerance(&query, &factors(near.node), near.distance))).unwrap();
        assert_eq!(found.iter().map(|near| near.node).collect::<Vec<_>>(), [0, 1, 2, 4]);
        let mut found: Vec<Neighbor> = (0..).zip(rows).map(|(node, (distance, _))| Neighbor { distance, node }).collect();
        keep_in_doubt::<()>(&mut found, 2, 4, &|near| Ok(space.tolerance(&query, &factors(near.node), near.distance))).unwrap();
        assert_eq!(found.iter().map(|near| near.node).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    proptest! {
        /// What every exact scan rests on.
        #[test]
        fn no_row_is_beyond_its_own_distance(
            space in shapes::space(1usize..300).prop_filter("rows that have codes", |space| space.encoding == Encoding::Scaled),
            (of, towards) in (shapes::shape(), shapes::shape()),
            (seed, other) in (0..u64::MAX / 2, 0..u64::MAX / 2),
        ) {
            let (kernels, dimensions) = (Kernels::best(), space.layout.dimensions);
            let (row, asked) = (of.row(dimensions, seed), towards.row(dimensions, other));
            let (record, query) = (shapes::record(&space, &row), shapes::query(&space, &asked));
            let factors = space.layout.factors(&record);
            let by_codes = space.distance(&query, &factors, space.dot(kernels, &query, &record));
            let length_sq = exact::length_sq(kernels, &row);
            let distance = exact::distance(kernels, space.metric, &query.full, query.length_sq, &row, length_sq);
            let mut beyond = Beyond::new(&space, &query).expect("rows have codes");
            prop_assert!(!beyond.is(&factors, by_codes), "without a limit nothing is beyond");
            prop_assert!(distance <= beyond.farthest(&query, &factors, by_codes), "{:?} {of:?} {towards:?}", space.metric);
            beyond.limit(distance);
            prop_assert!(!beyond.is(&factors, by_codes), "{:?} {of:?} {towards:?}: {by_codes} by codes, {distance}", space.metric);
            // And it rules out what is clearly farther.
            if (of, towards, space.metric) == (Shape::Ordinary, Shape::Ordinary, Metric::L2) && dimensions >= 32 {
                beyond.limit(distance / 2.0);
                prop_assert!(beyond.is(&factors, by_codes));
            }
        }

        /// By four standard deviations, of errors that a code spreads evenly, hardly a distance is off.
        #[test]
        fn distances_by_codes_are_off_by_the_tolerance_at_most(
            space in shapes::space(16usize..300).prop_filter("rows that have codes", |space| space.encoding == Encoding::Scaled),
            (seed, other) in (0..u64::MAX / 2, 0..u64::MAX / 2),
        ) {
            let (kernels, dimensions) = (Kernels::best(), space.layout.dimensions);
            let asked = shapes::query(&space, &Shape::Ordinary.row(dimensions, other));
            let off = (0..64).filter(|part| {
                let row = Shape::Ordinary.row(dimensions, seed ^ part << 32);
                let record = shapes::record(&space, &row);
                let factors = space.layout.factors(&record);
                let by_codes = space.distance(&asked, &factors, space.dot(kernels, &asked, &record));
                let length_sq = exact::length_sq(kernels, &row);
                let distance = exact::distance(kernels, space.metric, &asked.full, asked.length_sq, &row, length_sq);
                (by_codes - distance).abs() > space.tolerance(&asked, &factors, by_codes)
            });
            prop_assert!(off.count() <= 2);
        }
    }

    fn taken(rows: usize, k: usize, ranked: (usize, usize), tolerance: impl Fn(u32) -> f32, lives: impl Fn(u32) -> bool) -> Vec<u32> {
        let found = (0..rows as u32).map(|node| Neighbor { distance: node as f32, node });
        let mut taken = vec![Neighbor { distance: 0.0, node: 7 }];
        take_in_doubt::<()>(found, k, ranked, &|near| Ok(tolerance(near.node)), &mut |row| Ok(lives(row)), &mut taken).unwrap();
        taken.iter().map(|near| near.node).collect()
    }

    /// What a table says of a file is what a search of it does: the most that are ranked are counted of those in doubt, not of the pool.
    #[test]
    fn those_in_doubt_are_looked_for_in_all_of_the_pool() {
        let coarse = |node| if node % 10 == 9 { 1000.0 } else { 0.1 };
        assert_eq!(taken(100, 2, (2, 5), coarse, |_| true), [0, 1, 9, 19, 29]);
        assert_eq!(taken(100, 2, (2, 5), coarse, |row| row != 0 && row != 19), [1, 2, 9, 29, 39]);
        assert_eq!(taken(20, 2, (2, 5), coarse, |_| true), [0, 1, 9, 19]);
    }

    #[test]
    fn whatever_errors_a_file_tells_of_four_bits_a_bounded_number_is_read() {
        for k in [1, 10, 50] {
            let (least, most) = ranked_by_four_bits(k);
            assert_eq!((least, most), (20.max(2 * k), MOST_IN_DOUBT * 20.max(2 * k)));
            for error in [f32::INFINITY, f32::MAX, 1e9] {
                assert_eq!(taken(5000, k, (least, most), |_| error, |_| true).len(), most, "{error}");
            }
            for error in [0.0, f32::NAN] {
                assert_eq!(taken(5000, k, (least, most), |_| error, |_| true).len(), least, "{error}");
            }
        }
        assert_eq!(ranked_by_four_bits(usize::MAX), (usize::MAX, usize::MAX));
    }

    /// Distance by the codes of a row, its factors, and its distance by the original.
    #[cfg(all(feature = "tiles", feature = "among"))]
    fn coded(space: &Space, query: &Prepared, row: &[f32]) -> (f32, Factors, f32) {
        let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
        let vectors = crate::vectors::Vectors::packed(crate::format::Element::F32, row.len(), &bytes).unwrap();
        let (kernels, mut codes) = (Kernels::best(), vec![0; space.layout.stride]);
        let factors = space.encode(kernels, &vectors, 0, &mut Vec::new(), &mut codes);
        let distance = space.distance(query, &factors, space.dot(kernels, query, &codes));
        let exact = crate::quant::exact::distance(kernels, space.metric, &query.full, query.length_sq, row, factors.length_sq);
        (distance, factors, exact)
    }

    /// Errors of codes that point to the query, or away from it, are larger than likely ones: a scan is exact in spite of them.
    #[cfg(all(feature = "tiles", feature = "among"))]
    #[test]
    fn a_scan_keeps_what_the_likely_error_would_rule_out() {
        const STEPS: f32 = 1.0 / 127.0;
        let space = Space { metric: Metric::L2, encoding: Encoding::Scaled, layout: RecordLayout::new(25), mean: vec![0.0; 25] };
        // The first coordinate sets the scale of a row; the query lies to one side of all others.
        let mut query = Prepared::new();
        query.query(&space, Kernels::best(), crate::vectors::Query::F32(&[&[1.0][..], &[0.5; 24]].concat()));
        let row = |steps: usize, error: f32| -> Vec<f32> {
            let others = (0..24).map(|at| (error + f32::from(u8::from(at < steps))) * STEPS);
            core::iter::once(1.0).chain(others).collect()
        };
        let rows: Vec<_> = (0..20).map(|at| coded(&space, &query, &if at < 10 { row(0, 0.49) } else { row(13, -0.49) })).collect();
        let mut found: Vec<Neighbor> = (0..).zip(&rows).map(|(node, row)| Neighbor { distance: row.0, node }).collect();
        crate::graph::sort(&mut found);
        assert!(rows[0].2 < rows[10].2 && found[0].node == 10, "{rows:?}");
        let factors = |near: &Neighbor| rows[near.node as usize].1;
        let mut likely = found.clone();
        keep_in_doubt::<()>(&mut likely, 10, 10, &|near| Ok(space.tolerance(&query, &factors(near), near.distance))).unwrap();
        assert!(likely.iter().all(|near| near.node >= 10), "{likely:?}");
        for known in [None, Some(rows[0].2)] {
            let mut kept = found.clone();
            keep_not_beyond(&space, &query, &mut kept, 10, known, &factors);
            assert_eq!(kept.iter().filter(|near| near.node < 10).count(), 10, "{known:?}: {kept:?}");
        }
        let mut kept = found;
        keep_not_beyond(&space, &query, &mut kept, 10, Some(0.1), &factors);
        assert!(kept.is_empty(), "{kept:?}");
    }
}
