//! Queries of a file, each in the form that an index takes, converted once.

use nearshore_core::distance::Kernels;
use nearshore_core::format::Element;
use nearshore_core::vectors::Query;

use crate::dataset::{DataError, Dataset};

/// Queries in memory, row after row: bytes as they are, halves as f32.
#[derive(Clone, Debug)]
pub struct Queries {
    dimensions: usize,
    numbers: Numbers,
}

#[derive(Clone, Debug)]
enum Numbers {
    F32(Vec<f32>),
    U8(Vec<u8>),
    I8(Vec<i8>),
}

impl Queries {
    /// Copies the rows of `data`.
    ///
    /// # Errors
    /// A number that is not finite: row and place.
    pub fn of(data: &Dataset) -> Result<Self, DataError> {
        data.check_finite(0..data.rows())?;
        let (vectors, dimensions) = (data.vectors(), data.dimensions());
        let bytes = || (0..data.rows()).flat_map(|row| vectors.row(row).iter().copied());
        let numbers = match data.element() {
            Element::U8 => Numbers::U8(bytes().collect()),
            Element::I8 => Numbers::I8(bytes().map(u8::cast_signed).collect()),
            Element::F32 | Element::F16 => {
                let mut values = vec![0.0; data.rows() * dimensions];
                for (row, values) in values.chunks_exact_mut(dimensions).enumerate() {
                    vectors.decode(Kernels::best(), row, values);
                }
                Numbers::F32(values)
            }
        };
        Ok(Self { dimensions, numbers })
    }

    /// One query.
    #[must_use]
    pub fn one(values: Vec<f32>) -> Self {
        Self { dimensions: values.len().max(1), numbers: Numbers::F32(values) }
    }

    /// The first `count` of them, or all.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        fn cut<T: Clone>(values: &[T], count: usize) -> Vec<T> {
            values[..count.min(values.len())].to_vec()
        }
        let count = count.saturating_mul(self.dimensions);
        let numbers = match &self.numbers {
            Numbers::F32(values) => Numbers::F32(cut(values, count)),
            Numbers::U8(values) => Numbers::U8(cut(values, count)),
            Numbers::I8(values) => Numbers::I8(cut(values, count)),
        };
        Self { dimensions: self.dimensions, numbers }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let numbers = match &self.numbers {
            Numbers::F32(values) => values.len(),
            Numbers::U8(values) => values.len(),
            Numbers::I8(values) => values.len(),
        };
        numbers / self.dimensions
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers in each.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The query with this number, which must be below [`Queries::len`].
    #[must_use]
    pub fn get(&self, query: usize) -> Query<'_> {
        let range = query * self.dimensions..(query + 1) * self.dimensions;
        match &self.numbers {
            Numbers::F32(values) => Query::F32(&values[range]),
            Numbers::U8(values) => Query::U8(&values[range]),
            Numbers::I8(values) => Query::I8(&values[range]),
        }
    }
}
