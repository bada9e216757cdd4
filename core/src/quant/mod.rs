//! Codes: how a vector becomes bytes, and how a distance comes back out of them.
//!
//! A *record* is what a search reads of a row: its codes, the few numbers that turn an integer
//! dot product into a distance, the user's id, and where the payload lies ([`record`]). Float
//! rows are coded as i8 with one scale a row after the mean was taken off ([`scalar`]); u8 and i8
//! rows are their own codes, exact. A query is prepared once as i16 ([`prepared`]): it keeps
//! 15 bits where the row has 8, at the price of nothing, since the kernels widen to i16 anyway.
//! A walk may be guided by four bits a dimension made of the records ([`lvq`]), which then rank what it found.
//! Fewer bytes yet ([`coarse`]): [`rabitq`] over a seeded [`rotation`], and [`pq`] over [`kmeans`].
//! [`space`] puts it together: the one expression for each metric that every door evaluates in the
//! same order, so distances agree to the bit.

#[cfg(feature = "codes")]
pub mod coarse;
pub mod exact;
#[cfg(feature = "codes")]
pub mod kmeans;
pub mod lvq;
pub mod mean;
#[cfg(feature = "codes")]
pub mod neighbors;
#[cfg(feature = "codes")]
pub mod pq;
pub mod prepared;
#[cfg(feature = "codes")]
pub mod rabitq;
pub mod record;
#[cfg(feature = "tiles")]
pub mod rotation;
pub mod scalar;
#[cfg(all(test, feature = "codes"))]
pub(crate) mod shapes;
#[cfg(feature = "tiles")]
pub mod signs;
pub mod space;
#[cfg(feature = "tiles")]
pub mod tile;

#[cfg(feature = "codes")]
pub use coarse::Coarse;
pub use lvq::CodeLayout;
pub use prepared::Prepared;
pub use record::{Factors, RecordLayout};
pub use space::Space;

/// How the vector of a record reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Encoding {
    /// i8 codes times a scale of the row, plus the mean of the file.
    Scaled = 0,
    /// The u8 input itself.
    U8 = 1,
    /// The i8 input itself.
    I8 = 2,
}

impl TryFrom<u32> for Encoding {
    type Error = u32;

    fn try_from(value: u32) -> Result<Self, u32> {
        match value {
            0 => Ok(Self::Scaled),
            1 => Ok(Self::U8),
            2 => Ok(Self::I8),
            other => Err(other),
        }
    }
}

impl Encoding {
    /// The encoding that a build gives rows of `element`.
    #[must_use]
    pub fn of(element: crate::format::Element) -> Self {
        match element {
            crate::format::Element::U8 => Self::U8,
            crate::format::Element::I8 => Self::I8,
            _ => Self::Scaled,
        }
    }
}
