//! What the tables are called by: lengths are checked here, once a call.

#[cfg(feature = "tiles")]
use super::{Asked, COLUMNS};
use super::{Kernels, batch};

impl Kernels {
    /// Dot product, the same bits on every backend.
    ///
    /// # Panics
    /// If the lengths differ (as every kernel of a pair does).
    #[inline]
    pub fn dot_f32(&self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dot_f32)(a, b) }
    }

    /// Squared Euclidean distance, the same bits on every backend.
    #[inline]
    pub fn l2_f32(&self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.l2_f32)(a, b) }
    }

    /// Dot product over the full range -128..=127; exact up to 131,071 dimensions.
    #[inline]
    pub fn dot_i8(&self, a: &[i8], b: &[i8]) -> i32 {
        assert_eq!(a.len(), b.len());
        let (a, b) = (bytemuck::cast_slice(a), bytemuck::cast_slice(b));
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dot_i8)(a, b) }
    }

    /// Squared Euclidean distance; exact up to 66,051 dimensions.
    #[inline]
    pub fn l2_i8(&self, a: &[i8], b: &[i8]) -> u32 {
        assert_eq!(a.len(), b.len());
        let (a, b) = (bytemuck::cast_slice(a), bytemuck::cast_slice(b));
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.l2_i8)(a, b) }
    }

    /// Dot product; exact up to 66,051 dimensions.
    #[inline]
    pub fn dot_u8(&self, a: &[u8], b: &[u8]) -> u32 {
        assert_eq!(a.len(), b.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dot_u8)(a, b) }.cast_unsigned()
    }

    /// Squared Euclidean distance; exact up to 66,051 dimensions.
    #[inline]
    pub fn l2_u8(&self, a: &[u8], b: &[u8]) -> u32 {
        assert_eq!(a.len(), b.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.l2_u8)(a, b) }
    }

    /// Number of bits in which `a` and `b` differ.
    ///
    /// # Panics
    /// If the lengths differ or are 2^29 or more, where the count would not fit.
    #[inline]
    pub fn hamming(&self, a: &[u8], b: &[u8]) -> u32 {
        assert!(a.len() == b.len() && a.len() < 1 << 29);
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.hamming)(a, b) }
    }

    /// Dot product of a query prepared as `i16` with a row of `i8`. Exact while the sum fits `i32`,
    /// which the caller sees to; beyond that it wraps.
    #[inline]
    pub fn dot_i16_i8(&self, query: &[i16], row: &[i8]) -> i32 {
        assert_eq!(query.len(), row.len());
        #[cfg(target_family = "wasm")]
        {
            let mut out = [0];
            self.rows_i16_i8(query, &[bytemuck::cast_slice(row)], &mut out);
            out[0]
        }
        #[cfg(not(target_family = "wasm"))]
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe {
            (self.dot_i16_i8)(query, bytemuck::cast_slice(row))
        }
    }

    /// Dot product of a query prepared as `i16` with a row of `u8`; see [`Kernels::dot_i16_i8`].
    #[inline]
    pub fn dot_i16_u8(&self, query: &[i16], row: &[u8]) -> i32 {
        assert_eq!(query.len(), row.len());
        #[cfg(target_family = "wasm")]
        {
            let mut out = [0];
            self.rows_i16_u8(query, &[row], &mut out);
            out[0]
        }
        #[cfg(not(target_family = "wasm"))]
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe {
            (self.dot_i16_u8)(query, row)
        }
    }

    /// Many rows at once: `out[i] = dot(query, base[offsets[i]..][..query.len()])`, bytes read as
    /// `i8`. Rows may lie anywhere, at any alignment; later rows are prefetched.
    ///
    /// # Panics
    /// If `offsets` and `out` differ in length, or a row does not lie inside `base`.
    #[cfg(not(target_family = "wasm"))]
    #[inline]
    pub fn dots_i16_i8(&self, query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) {
        assert_eq!(offsets.len(), out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dots_i16_i8)(query, base, offsets, out) }
    }

    /// Many rows at once, bytes read as `u8`; see [`Kernels::dots_i16_i8`].
    #[cfg(not(target_family = "wasm"))]
    #[inline]
    pub fn dots_i16_u8(&self, query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) {
        assert_eq!(offsets.len(), out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dots_i16_u8)(query, base, offsets, out) }
    }

    /// Many rows at once that lie anywhere in memory: `out[i] = dot(query, rows[i][..query.len()])`, bytes read as `i8`.
    ///
    /// # Panics
    /// If `rows` and `out` differ in length, or a row is shorter than the query.
    #[cfg(any(feature = "live", target_family = "wasm"))]
    #[inline]
    pub fn rows_i16_i8(&self, query: &[i16], rows: &[&[u8]], out: &mut [i32]) {
        assert_eq!(rows.len(), out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.rows_i16_i8)(query, rows, out) }
    }

    /// The same, bytes read as `u8`.
    #[cfg(any(feature = "live", target_family = "wasm"))]
    #[inline]
    pub fn rows_i16_u8(&self, query: &[i16], rows: &[&[u8]], out: &mut [i32]) {
        assert_eq!(rows.len(), out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.rows_i16_u8)(query, rows, out) }
    }

    /// Many rows of `u4` at once, two codes a byte: of each 32 dimensions, dimension `j` is the low half of byte `j` and dimension
    /// `j + 16` its high half. A row is `query.len()` rounded up to 32 codes, 16 bytes each; see [`Kernels::dots_i16_i8`].
    #[inline]
    pub fn dots_i16_u4(&self, query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) {
        assert_eq!(offsets.len(), out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dots_i16_u4)(query, base, offsets, out) }
    }

    /// Many rows of one bit a dimension against a query of four, given as planes one behind the other: plane `j` holds bit `j` of every
    /// dimension. Rows are as long as a plane, a multiple of 64 bytes; what follows the codes in a row meets zeros of the planes.
    /// Exact up to 2^28 dimensions.
    ///
    /// # Panics
    /// If `offsets` and `out` differ in length, the planes are not four of a multiple of 64 bytes, or a row does not lie inside `base`.
    #[cfg(feature = "codes")]
    #[inline]
    pub fn dots_u4_u1(&self, planes: &[u8], base: &[u8], offsets: &[usize], out: &mut [u32]) {
        assert!(offsets.len() == out.len() && planes.len().is_multiple_of(4 * 64) && planes.len() < 1 << 27);
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dots_u4_u1)(planes, base, offsets, out) }
    }

    /// Fills the tables in which a rotated query's dot products with signs are looked up, and returns the step that its coordinates were
    /// rounded to; see [`Kernels::estimate_neighbors`]. The same bits on every backend.
    ///
    /// # Panics
    /// If there are not 16 bytes of tables for each four coordinates.
    #[cfg(feature = "tiles")]
    #[inline]
    pub fn fill_sign_tables(&self, query: &[f32], tables: &mut [u8]) -> f32 {
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.fill_sign_tables)(query, tables) }
    }

    /// Distances of 32 neighbours of a node, estimated from one bit a dimension ([`crate::quant::neighbors`]): `base` is the query's
    /// distance from the node. The lines of `next` are prefetched. Returns a bit for each distance that is at most `most`, or no finite number.
    ///
    /// # Panics
    /// If the tables are no multiple of 64 bytes, or `row` is shorter than 256 bytes of factors and as many of codes as of tables.
    #[cfg(feature = "tiles")]
    #[inline]
    pub fn estimate_neighbors(&self, query: Asked<'_>, base: f32, most: f32, row: &[u8], next: &[u8], out: &mut [f32; COLUMNS]) -> u32 {
        assert!(query.tables.len().is_multiple_of(64));
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.estimate_neighbors)(query, base, most, row, next, out) }
    }

    /// Rotates a vector ([`crate::quant::rotation`]) by signs of 1 and -1, a vector's length of them a round; the same bits on every backend.
    ///
    /// # Panics
    /// If its length is no positive multiple of 64.
    #[cfg(feature = "tiles")]
    #[inline]
    pub fn rotate(&self, signs: &[f32], vector: &mut [f32]) {
        assert!(!vector.is_empty() && vector.len().is_multiple_of(64));
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.rotate)(signs, vector) }
    }

    /// Many rows of `u2` at once, four codes a byte: of each 32 dimensions, which are 8 bytes, dimension `j` is in byte `j % 8`, shifted
    /// by `2 * (j / 8)` bits. A row is `query.len()` rounded up to 32 codes; see [`Kernels::dots_i16_i8`].
    #[cfg(feature = "codes")]
    #[inline]
    pub fn dots_i16_u2(&self, query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) {
        assert_eq!(offsets.len(), out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dots_i16_u2)(query, base, offsets, out) }
    }

    /// Squared distances of `query` from vectors that lie column by column: `out[i]` is that of the one whose coordinate `d` is
    /// `columns[d * out.len() + i]`. Summed coordinate after coordinate, so every backend gives the same bits.
    ///
    /// # Panics
    /// If `columns` is not `query.len() * out.len()` long.
    #[cfg(feature = "codes")]
    #[inline]
    pub fn l2_columns_f32(&self, query: &[f32], columns: &[f32], out: &mut [f32]) {
        assert!(!out.is_empty() && columns.len() == query.len() * out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.l2_columns_f32)(query, columns, out) }
    }

    /// Dot products of `query` with vectors that lie column by column; see [`Kernels::l2_columns_f32`].
    #[cfg(feature = "codes")]
    #[inline]
    pub fn dot_columns_f32(&self, query: &[f32], columns: &[f32], out: &mut [f32]) {
        assert!(!out.is_empty() && columns.len() == query.len() * out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dot_columns_f32)(query, columns, out) }
    }

    /// Widens IEEE halves (as bits) to f32, exactly.
    #[inline]
    pub fn widen_f16(&self, half: &[u16], out: &mut [f32]) {
        assert_eq!(half.len(), out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.widen_f16)(half, out) }
    }

    /// Whether [`Kernels::prefetch`] does anything: WebAssembly has no such hint.
    pub const PREFETCHES: bool = crate::simd::PREFETCHES;

    /// Asks the machine to fetch every cache line of `bytes`; only a hint.
    #[inline]
    pub fn prefetch(&self, bytes: &[u8]) {
        batch::prefetch(bytes);
    }
}
