//! What a search is asked and what it answers; the same on every door.

pub(crate) mod check;
pub(crate) mod doubt;
#[cfg(feature = "codes")]
pub(crate) mod held;
pub mod params;
#[cfg(feature = "tiles")]
pub mod pending;
pub mod quality;

pub use crate::graph::Stats;
pub use params::{Effort, Hit, Layout, Scratch, SearchError, SearchParams};
#[cfg(feature = "tiles")]
pub use pending::{Block, Pending};
pub use quality::QualityRow;
