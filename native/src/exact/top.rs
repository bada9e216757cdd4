//! The best few of many offers.

/// Keeps the `keep` smallest scores, ties by the smaller id. Offers gather in a buffer of twice the size, which is cut
/// back by selection when it is full: a constant number of steps an offer, and none for one that is too far.
#[derive(Debug)]
pub(super) struct Top {
    candidates: Vec<(f64, u32)>,
    keep: usize,
    /// No score above it can be among the best.
    limit: f64,
}

impl Top {
    pub(super) fn new(keep: usize) -> Self {
        Self { candidates: Vec::new(), keep, limit: f64::INFINITY }
    }

    /// Takes the row in, unless it is surely too far.
    #[inline]
    pub(super) fn offer(&mut self, score: f64, row: u32, id: impl Fn(u32) -> u64) {
        if score <= self.limit {
            self.candidates.push((score, row));
            if self.candidates.len() >= 2 * self.keep.max(1) {
                self.cut(id);
            }
        }
    }

    #[cold]
    fn cut(&mut self, id: impl Fn(u32) -> u64) {
        let Some(last) = self.keep.checked_sub(1) else {
            self.candidates.clear();
            return;
        };
        let (_, kept, _) = self.candidates.select_nth_unstable_by(last, |a, b| a.0.total_cmp(&b.0).then_with(|| id(a.1).cmp(&id(b.1))));
        self.limit = kept.0;
        self.candidates.truncate(self.keep);
    }

    /// The best and perhaps a few more, in no order.
    pub(super) fn into_candidates(self) -> Vec<(f64, u32)> {
        self.candidates
    }
}
