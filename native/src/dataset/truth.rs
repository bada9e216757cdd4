//! Exact answers in files.
//!
//! ```text
//! .ibin    u32 queries, u32 k, then queries x k u32 ids, then queries x k f32 distances      (big-ann-benchmarks)
//! .ivecs   a query: u32 k, then k u32 ids; no distances                                      (TEXMEX)
//! ```
//! Answers are nearest first. A truth that is deeper than the k asked for tells which ids are as near as the k-th:
//! [`Truth::right_ids`] counts those as right, because which of them an exact search returns is a matter of rounding.

use std::io;
use std::path::Path;

use nearshore_core::format::Sink;

use super::binary::u32_at;
use super::error::{DataError, Fault};
use crate::io::{FileSink, MappedFile};

/// Exact answers of a set of queries.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    queries: usize,
    k: usize,
    ids: Vec<u32>,
    distances: Option<Vec<f32>>,
}

impl Truth {
    /// `k` ids for each query and, where known, their distances, query after query. `None` when the lengths disagree.
    #[must_use]
    pub fn new(k: usize, ids: Vec<u32>, distances: Option<Vec<f32>>) -> Option<Self> {
        let queries = ids.len().checked_div(k)?;
        let fits = queries * k == ids.len() && distances.as_ref().is_none_or(|distances| distances.len() == ids.len());
        fits.then_some(Self { queries, k, ids, distances })
    }

    /// Reads `path`: `.ivecs` by its extension, anything else as `.ibin`.
    ///
    /// # Errors
    /// A length that the header contradicts, no queries, lists of unequal length.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let name = path.display().to_string();
        let bytes = MappedFile::open(path).map_err(|error| DataError::io(&name, error))?;
        let listed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ivecs"));
        if listed { Self::parse_ivecs(&name, bytes.as_ref()) } else { Self::parse_ibin(&name, bytes.as_ref()) }
    }

    /// Reads the `.ibin` file that `bytes` are. One without distances is fine.
    ///
    /// # Errors
    /// See [`Truth::open`].
    pub fn parse_ibin(name: &str, bytes: &[u8]) -> Result<Self, DataError> {
        let found = bytes.len() as u64;
        let (Some(queries), Some(k)) = (u32_at(bytes, 0), u32_at(bytes, 4)) else {
            return Err(DataError::new(name, Fault::Length { wanted: 8, found, because: "the header alone (u32 queries, u32 k)".into() }));
        };
        if queries == 0 || k == 0 {
            return Err(DataError::malformed(name, format!("{queries} queries x {k} answers; at least 1 x 1 would be right")));
        }
        let cells = u64::from(queries) * u64::from(k);
        let wanted = u128::from(cells) * 8 + 8;
        let with_distances = u128::from(found) == wanted;
        if !with_distances && u128::from(found) != u128::from(cells) * 4 + 8 {
            let because = format!("a header of {queries} queries x {k} ids and distances");
            return Err(DataError::new(name, Fault::Length { wanted: u64::try_from(wanted).unwrap_or(u64::MAX), found, because }));
        }
        let (ids, distances) = bytes[8..].split_at(cells as usize * 4);
        let distances = with_distances.then(|| distances.as_chunks().0.iter().map(|cell| f32::from_le_bytes(*cell)).collect());
        let ids = ids.as_chunks().0.iter().map(|cell| u32::from_le_bytes(*cell)).collect();
        Ok(Self { queries: queries as usize, k: k as usize, ids, distances })
    }

    /// Reads the `.ivecs` file that `bytes` are.
    ///
    /// # Errors
    /// See [`Truth::open`].
    pub fn parse_ivecs(name: &str, bytes: &[u8]) -> Result<Self, DataError> {
        let k = match u32_at(bytes, 0) {
            None => return Err(DataError::new(name, Fault::Empty)),
            Some(0) => return Err(DataError::malformed(name, "0 answers a query; at least 1 would be right").row(0)),
            Some(k) => k as usize,
        };
        let stride = 4 + 4 * k;
        let queries = bytes.len() / stride;
        if !bytes.len().is_multiple_of(stride) || queries == 0 {
            let because = format!("{} queries of {stride} bytes (u32 {k}, then {k} ids)", queries + 1);
            return Err(DataError::new(
                name,
                Fault::Length { wanted: (queries as u64 + 1) * stride as u64, found: bytes.len() as u64, because },
            ));
        }
        let mut ids = Vec::with_capacity(queries * k);
        for (query, list) in bytes.chunks_exact(stride).enumerate() {
            let own = u32_at(list, 0).unwrap_or(0);
            if own as usize != k {
                let fault = Fault::Count { what: "answers", wanted: k as u64, found: u64::from(own), because: "as for query 0".into() };
                return Err(DataError::new(name, fault).row(query as u64));
            }
            ids.extend(list[4..].as_chunks().0.iter().map(|id| u32::from_le_bytes(*id)));
        }
        Ok(Self { queries, k, ids, distances: None })
    }

    /// Writes it to `sink`: as `.ivecs`, or with its distances as `.ibin`.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn write(&self, sink: &mut FileSink, as_ivecs: bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        if as_ivecs {
            for query in 0..self.queries {
                bytes.extend((self.k as u32).to_le_bytes());
                bytes.extend(self.ids(query).iter().flat_map(|id| id.to_le_bytes()));
            }
        } else {
            bytes.extend([self.queries as u32, self.k as u32].iter().flat_map(|count| count.to_le_bytes()));
            bytes.extend(self.ids.iter().flat_map(|id| id.to_le_bytes()));
            bytes.extend(self.distances.iter().flatten().flat_map(|distance| distance.to_le_bytes()));
        }
        sink.write_at(0, &bytes)
    }

    /// How many queries it answers.
    #[must_use]
    pub fn queries(&self) -> usize {
        self.queries
    }

    /// Answers a query.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// All answers of a query, nearest first.
    #[must_use]
    pub fn ids(&self, query: usize) -> &[u32] {
        &self.ids[query * self.k..][..self.k]
    }

    /// Their distances, where the file has them.
    #[must_use]
    pub fn distances(&self, query: usize) -> Option<&[f32]> {
        self.distances.as_ref().map(|distances| &distances[query * self.k..][..self.k])
    }

    /// The answers that are as near as the `k`-th or nearer: at least `k` of them (as far as the truth reaches), more
    /// where others tie with the k-th.
    #[must_use]
    pub fn right_ids(&self, query: usize, k: usize) -> &[u32] {
        let ids = self.ids(query);
        let k = k.min(ids.len());
        let (Some(distances), Some(last)) = (self.distances(query), k.checked_sub(1)) else {
            return &ids[..k];
        };
        let ties = distances[k..].iter().take_while(|&&distance| distance <= distances[last]).count();
        &ids[..k + ties]
    }

    /// How many of `ids` are right, `k` at most.
    #[must_use]
    pub fn found(&self, query: usize, k: usize, ids: &[u64]) -> usize {
        let right = self.right_ids(query, k);
        ids.iter().filter(|&&id| right.iter().any(|&right| u64::from(right) == id)).count().min(k)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn written_truth_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let truth = Truth::new(2, vec![4, 5, 6, 7], Some(vec![0.5, 1.0, 0.0, 2.0])).unwrap();
        for (file, as_ivecs) in [("t.ibin", false), ("t.ivecs", true)] {
            let path = folder.path().join(file);
            let mut sink = FileSink::create(&path, false).unwrap();
            truth.write(&mut sink, as_ivecs).unwrap();
            sink.finish().unwrap();
            let again = Truth::open(&path).unwrap();
            assert_eq!((again.queries(), again.k(), again.ids(1)), (2, 2, &[6, 7][..]));
            assert_eq!(again.distances(1), if as_ivecs { None } else { Some(&[0.0, 2.0][..]) });
        }
    }

    #[test]
    fn ties_with_the_last_answer_are_right_too() {
        let truth = Truth::new(4, vec![1, 2, 3, 4], Some(vec![0.0, 1.0, 1.0, 2.0])).unwrap();
        assert_eq!(truth.right_ids(0, 1), [1]);
        assert_eq!(truth.right_ids(0, 2), [1, 2, 3]);
        assert_eq!(truth.right_ids(0, 9), [1, 2, 3, 4]);
        let bare = Truth::new(4, vec![1, 2, 3, 4], None).unwrap();
        assert_eq!(bare.right_ids(0, 2), [1, 2]);
    }

    #[test]
    fn wrong_truth_is_refused() {
        let ibin = |words_: &[u32]| Truth::parse_ibin("t", &words(words_)).unwrap_err().to_string();
        assert_eq!(ibin(&[1]), "t: 4 bytes; the header alone (u32 queries, u32 k) would be 8");
        assert_eq!(ibin(&[1, 2, 0]), "t: 12 bytes; a header of 1 queries x 2 ids and distances would be 24");
        assert_eq!(ibin(&[0, 2]), "t: 0 queries x 2 answers; at least 1 x 1 would be right");
        assert!(ibin(&[u32::MAX, u32::MAX]).contains("would be 18446744073709551615"));
        assert!(Truth::parse_ibin("t", &words(&[1, 2, 7, 8])).unwrap().distances(0).is_none());
        let ivecs = |words_: &[u32]| Truth::parse_ivecs("t", &words(words_)).unwrap_err().to_string();
        assert_eq!(ivecs(&[2, 7, 8, 3, 1, 2]), "t: row 1: 3 answers; 2 as for query 0 would be right");
        assert_eq!(ivecs(&[2, 7]), "t: 8 bytes; 1 queries of 12 bytes (u32 2, then 2 ids) would be 12");
        assert!(ivecs(&[0]).contains("0 answers a query"));
        assert!(Truth::new(3, vec![1, 2], None).is_none());
    }
}
