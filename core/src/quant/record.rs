//! The bytes of a record.
//!
//! ```text
//! 0            codes, one byte a dimension, zeros up to a multiple of 16
//! factors + 0  f32  scale        codes times scale, plus the mean, give the vector
//!         + 4  u32  norm         squared norm of scale * codes: f32 bits (Scaled), integer (U8, I8)
//!         + 8  f32  length_sq    squared norm of the input row
//!         +12  u32  flags        bit 0: the next row is an exact duplicate of this one
//!         +16  u64  id
//!         +24  u64  payload offset
//!         +32  u32  payload length, then u32 zero
//!         +40  zeros up to the stride
//! ```
//! The norm is that of the *decoded* vector, so that the distance of a row to itself is zero.

/// Bytes of the factors, the id and the payload reference.
pub const TAIL_BYTES: usize = 40;

/// Flag: the row after this one holds exactly the same vector and has no edges of its own.
pub const DUPLICATE_FOLLOWS: u32 = 1;

/// Places inside a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLayout {
    /// Elements of a vector.
    pub dimensions: usize,
    /// Bytes of codes with their zero padding; also the offset of the factors.
    pub factors: usize,
    /// Bytes from one record to the next.
    pub stride: usize,
}

/// What turns an integer dot product into a distance, and says what follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factors {
    /// Scale of the codes.
    pub scale: f32,
    /// Squared norm of the decoded vector: f32 bits or an integer, by encoding.
    pub norm: u32,
    /// Squared norm of the input row.
    pub length_sq: f32,
    /// See [`DUPLICATE_FOLLOWS`].
    pub flags: u32,
}

impl Factors {
    /// Reads them from the 16 bytes behind the codes.
    #[inline(always)]
    pub(crate) fn read(tail: &[u8]) -> Self {
        let word = |at: usize| u32::from_le_bytes([tail[at], tail[at + 1], tail[at + 2], tail[at + 3]]);
        Self { scale: f32::from_bits(word(0)), norm: word(4), length_sq: f32::from_bits(word(8)), flags: word(12) }
    }
}

impl RecordLayout {
    /// The layout that builds use: 64-byte strides where that costs less than an eighth.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        let factors = dimensions.next_multiple_of(16);
        let packed = (factors + TAIL_BYTES).next_multiple_of(16);
        let aligned = packed.next_multiple_of(64);
        let stride = if (aligned - packed) * 8 <= packed { aligned } else { packed };
        Self { dimensions, factors, stride }
    }

    /// Checks numbers read from a file.
    #[must_use]
    pub fn from_file(dimensions: usize, factors: usize, stride: usize) -> Option<Self> {
        let fits = factors >= dimensions && factors <= dimensions.next_multiple_of(16) && factors.checked_add(TAIL_BYTES)? <= stride;
        fits.then_some(Self { dimensions, factors, stride })
    }

    /// Reads the factors of `record`, which must be `stride` long.
    #[inline(always)]
    #[must_use]
    pub fn factors(&self, record: &[u8]) -> Factors {
        Factors::read(&record[self.factors..self.factors + 16])
    }

    /// Reads the user's id.
    #[must_use]
    pub fn id(&self, record: &[u8]) -> u64 {
        read_u64(record, self.factors + 16)
    }

    /// Reads the payload's offset and length.
    #[must_use]
    pub fn payload(&self, record: &[u8]) -> (u64, u32) {
        let length = &record[self.factors + 32..self.factors + 36];
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
        (read_u64(record, self.factors + 24), length)
    }

    /// Writes everything behind the codes.
    pub fn write_tail(&self, record: &mut [u8], factors: Factors, id: u64, payload: (u64, u32)) {
        let tail = &mut record[self.factors..];
        tail[0..4].copy_from_slice(&factors.scale.to_le_bytes());
        tail[4..8].copy_from_slice(&factors.norm.to_le_bytes());
        tail[8..12].copy_from_slice(&factors.length_sq.to_le_bytes());
        tail[12..16].copy_from_slice(&factors.flags.to_le_bytes());
        tail[16..24].copy_from_slice(&id.to_le_bytes());
        tail[24..32].copy_from_slice(&payload.0.to_le_bytes());
        tail[32..36].copy_from_slice(&payload.1.to_le_bytes());
    }

    /// Sets the flags of a written record.
    pub fn write_flags(&self, record: &mut [u8], flags: u32) {
        record[self.factors + 12..self.factors + 16].copy_from_slice(&flags.to_le_bytes());
    }
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_gives_back_what_was_written() {
        for dimensions in [1, 15, 16, 384, 784, 1024] {
            let layout = RecordLayout::new(dimensions);
            assert!(layout.stride >= dimensions + TAIL_BYTES && layout.stride.is_multiple_of(16));
            let mut record = alloc::vec![0; layout.stride];
            let factors = Factors { scale: 0.5, norm: 77, length_sq: 3.25, flags: 1 };
            layout.write_tail(&mut record, factors, u64::MAX - 1, (1 << 40, 9));
            assert_eq!(layout.factors(&record), factors);
            assert_eq!(layout.id(&record), u64::MAX - 1);
            assert_eq!(layout.payload(&record), (1 << 40, 9));
        }
    }

    #[test]
    fn a_layout_that_overlaps_its_own_parts_is_refused() {
        assert!(RecordLayout::from_file(384, 384, 448).is_some());
        assert!(RecordLayout::from_file(384, 383, 448).is_none());
        assert!(RecordLayout::from_file(384, 384, 423).is_none());
        assert!(RecordLayout::from_file(384, usize::MAX, 448).is_none());
    }
}
