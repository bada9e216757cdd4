//! What a server that has stopped could not save.

use std::fmt;
use std::sync::Arc;

use super::Context;
use crate::collection::{CollectionError, Saved};

/// A save at the end that failed: nothing is lost while this lives.
pub struct Unsaved {
    pub(super) context: Arc<Context>,
    pub(super) error: CollectionError,
}

impl Unsaved {
    /// Rows inserted and deleted since the last save: what is lost unless another try succeeds.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.context.collection.info().unsaved
    }

    /// Why the last try failed.
    #[must_use]
    pub fn error(&self) -> &CollectionError {
        &self.error
    }

    /// Why the last try failed, once there is to be no other.
    #[must_use]
    pub fn into_error(self) -> CollectionError {
        self.error
    }

    /// Tries again.
    ///
    /// # Errors
    /// What the save reports, as before.
    pub fn save(mut self: Box<Self>) -> Result<Saved, Box<Self>> {
        match self.context.collection.save() {
            Ok(saved) => Ok(saved),
            Err(error) => {
                self.error = error;
                Err(self)
            }
        }
    }
}

impl fmt::Debug for Unsaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsaved").field("error", &self.error).finish_non_exhaustive()
    }
}

impl fmt::Display for Unsaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {} changes are not saved", self.error, self.changes())
    }
}

impl std::error::Error for Unsaved {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
