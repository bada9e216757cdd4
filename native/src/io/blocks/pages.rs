//! Memory that begins at a page, as reads around the page cache want it.

use bytemuck::{Pod, Zeroable};

/// What such reads are aligned to: offset, length and memory. The largest that common devices and file systems ask for.
pub(super) const ALIGN: usize = 4096;

#[repr(C, align(4096))]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Page([u8; ALIGN]);

const _: () = assert!(size_of::<Page>() == ALIGN && align_of::<Page>() == ALIGN);

/// Bytes from a page's beginning.
#[derive(Default)]
pub(super) struct Pages(Vec<Page>);

impl Pages {
    /// Zeroes, at least `bytes` of them.
    #[cfg(target_os = "linux")]
    pub(super) fn zeroed(bytes: usize) -> Self {
        let mut pages = Self::default();
        pages.reserve(bytes);
        pages
    }

    /// Grows to at least `bytes`. What was there may be lost, and the place change.
    pub(super) fn reserve(&mut self, bytes: usize) {
        let pages = bytes.div_ceil(ALIGN);
        if self.0.len() < pages {
            self.0 = bytemuck::zeroed_vec(pages);
        }
    }

    /// All of them.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }

    /// How many.
    #[cfg(target_os = "linux")]
    pub(super) fn len(&self) -> usize {
        self.0.len() * ALIGN
    }

    /// Where they lie. Makes no reference to them: what is written through earlier pointers meanwhile is nobody else's.
    #[cfg(target_os = "linux")]
    pub(super) fn pointer(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}
