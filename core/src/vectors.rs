//! Rows as a caller has them: mapped from a file or lying in a buffer; nothing is copied.

use crate::distance::Kernels;
use crate::format::Element;
use alloc::vec::Vec;

/// A matrix of `rows` x `dimensions` elements in `data`, row `i` starting at byte `i * stride`.
///
/// Elements are little-endian and need no alignment. [`Vectors::new`] is the only way to make
/// one, so every row lies inside `data`.
#[derive(Clone, Copy, Debug)]
pub struct Vectors<'a> {
    element: Element,
    dimensions: usize,
    rows: usize,
    stride: usize,
    data: &'a [u8],
    announce: fn(&[u8]),
}

impl<'a> Vectors<'a> {
    /// Describes `data`; `None` when the rows would not lie inside it.
    #[must_use]
    pub fn new(element: Element, dimensions: usize, rows: usize, stride: usize, data: &'a [u8]) -> Option<Self> {
        let row_bytes = dimensions.checked_mul(element.bytes())?;
        if rows > 0 {
            let end = (rows - 1).checked_mul(stride)?.checked_add(row_bytes)?;
            if end > data.len() || (rows > 1 && stride < row_bytes) {
                return None;
            }
        }
        Some(Self { element, dimensions, rows, stride, data, announce: |_| () })
    }

    /// Rows back to back.
    #[must_use]
    pub fn packed(element: Element, dimensions: usize, data: &'a [u8]) -> Option<Self> {
        let row_bytes = dimensions.checked_mul(element.bytes())?;
        let rows = data.len().checked_div(row_bytes)?;
        Self::new(element, dimensions, rows, row_bytes, data)
    }

    /// Type of one element.
    #[must_use]
    pub fn element(&self) -> Element {
        self.element
    }

    /// Elements in a row.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of row `row`, which must be below [`Vectors::rows`].
    #[must_use]
    pub fn row(&self, row: usize) -> &'a [u8] {
        let start = row * self.stride;
        &self.data[start..start + self.dimensions * self.element.bytes()]
    }

    /// Has `announce` told of rows that are about to be read here and there, many ahead of each: what lies in a map can be asked for meanwhile.
    #[must_use]
    pub fn announcing(self, announce: fn(&[u8])) -> Self {
        Self { announce, ..self }
    }

    /// Says that row `row` is about to be read.
    pub(crate) fn announce(&self, row: usize) {
        (self.announce)(self.row(row));
    }

    /// Writes row `row` as f32 into `out` (`dimensions` long). Exact for every element type.
    pub fn decode(&self, kernels: &Kernels, row: usize, out: &mut [f32]) {
        decode(kernels, self.element, self.row(row), out);
    }
}

/// Writes the little-endian elements of `bytes` as f32 into `out`; exact for every element type.
pub fn decode(kernels: &Kernels, element: Element, bytes: &[u8], out: &mut [f32]) {
    match element {
        Element::F32 => {
            for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *out = f32::from_le_bytes(*bytes);
            }
        }
        Element::F16 => {
            // Halves are gathered a few at a time: `bytes` may be unaligned.
            let mut halves = [0u16; 64];
            for (out, bytes) in out.chunks_mut(64).zip(bytes.chunks(128)) {
                for (half, bytes) in halves.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *half = u16::from_le_bytes(*bytes);
                }
                kernels.widen_f16(&halves[..out.len()], out);
            }
        }
        Element::U8 => {
            for (out, &byte) in out.iter_mut().zip(bytes) {
                *out = f32::from(byte);
            }
        }
        Element::I8 => {
            for (out, &byte) in out.iter_mut().zip(bytes) {
                *out = f32::from(byte as i8);
            }
        }
    }
}

/// Bytes that travel with the rows: row `i` owns `bytes[ends[i - 1]..ends[i]]`.
#[derive(Clone, Copy, Debug)]
pub struct Payloads<'a> {
    bytes: &'a [u8],
    ends: &'a [u64],
}

impl<'a> Payloads<'a> {
    /// `None` unless `ends` ascends and its last value is the length of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8], ends: &'a [u64]) -> Option<Self> {
        let ascending = ends.windows(2).all(|pair| pair[0] <= pair[1]);
        let last = ends.last().copied().unwrap_or(0);
        (ascending && last == bytes.len() as u64).then_some(Self { bytes, ends })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    /// All bytes, row after row.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where each row's bytes end.
    #[must_use]
    pub fn ends(&self) -> &'a [u64] {
        self.ends
    }

    /// Bytes of row `row`, which must be below [`Payloads::rows`].
    #[must_use]
    pub fn row(&self, row: usize) -> &'a [u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start as usize..self.ends[row] as usize]
    }
}

/// A query, in whatever form the caller has it.
#[derive(Clone, Copy, Debug)]
pub enum Query<'a> {
    /// Full precision.
    F32(&'a [f32]),
    /// Bytes, as in a `u8bin` file.
    U8(&'a [u8]),
    /// Signed bytes.
    I8(&'a [i8]),
}

impl Query<'_> {
    /// Number of elements.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::U8(v) => v.len(),
            Self::I8(v) => v.len(),
        }
    }

    /// The same values as f32; exact for every form.
    pub fn decode(&self, out: &mut Vec<f32>) {
        out.clear();
        match self {
            Self::F32(v) => out.extend_from_slice(v),
            Self::U8(v) => out.extend(v.iter().map(|&x| f32::from(x))),
            Self::I8(v) => out.extend(v.iter().map(|&x| f32::from(x))),
        }
    }
}
