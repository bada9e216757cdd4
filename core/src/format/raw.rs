//! The two structs that lie in a file, byte for byte. Plain data: nothing here is checked yet.
//!
//! [`RawSuperblock`] is the used front of the first 4 KiB, [`RawTable`] one entry of the directory. They are read and
//! written by copy, and only `header` turns them into their checked counterparts.

#![allow(clippy::indexing_slicing, reason = "derived code")]

use bytemuck::{Pod, Zeroable};

/// `\x89SHORE\r\n`: a high bit and a line end, so that a transfer as text breaks it visibly.
pub(super) const MAGIC: [u8; 8] = *b"\x89SHORE\r\n";

/// The version that this code writes; it reads every minor version of this major one.
pub(super) const VERSION: (u16, u16) = (1, 0);

/// Superblock and directory: all that `open` reads.
pub const HEADER_BYTES: usize = 16 * 1024;

/// Required feature 0: walks are guided by codes of fewer than four bits a dimension, without which hits would be others.
pub(super) const COARSE_CODES: u64 = 1 << 0;

/// Where the directory begins.
pub(super) const DIRECTORY_AT: usize = 4096;

/// The most entries of a directory: it fills the header.
pub(super) const TABLES_MAX: usize = (HEADER_BYTES - DIRECTORY_AT) / size_of::<RawTable>();

/// Where the checksum of the superblock lies; it covers all bytes before it.
pub(super) const CHECKSUM_AT: usize = DIRECTORY_AT - 8;

/// The fields that decide what a file is; the identity covers them.
pub(super) const FACTS_BYTES: usize = core::mem::offset_of!(RawSuperblock, identity);

/// The first bytes of a file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct RawSuperblock {
    /// [`MAGIC`].
    pub(super) magic: [u8; 8],
    /// Major version.
    pub(super) major: u16,
    /// Minor version.
    pub(super) minor: u16,
    /// Entries in the directory.
    pub(super) sections: u32,
    /// Feature bits that a reader must know.
    pub(super) required: u64,
    /// Feature bits that a reader may ignore.
    pub(super) optional: u64,
    /// Length of the file.
    pub(super) file_bytes: u64,
    /// Rows of the index.
    pub(super) rows: u64,
    /// Coordinates of a vector.
    pub(super) dimensions: u32,
    /// A `Metric`.
    pub(super) metric: u8,
    /// An `Element`.
    pub(super) element: u8,
    /// A `Plan`.
    pub(super) plan: u8,
    /// A `Refine`.
    pub(super) refine: u8,
    /// Offset and length of the hot region.
    pub(super) hot: [u64; 2],
    /// Seed of the build.
    pub(super) seed: u64,
    /// Hash of what decided the bytes; seeds every block check.
    pub(super) build_id: u64,
    /// Hash of the fields above and of the directory.
    pub(super) identity: [u8; 16],
}

/// One directory entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct RawTable {
    /// A `Kind`, or a later version's.
    pub(super) kind: u16,
    /// Bit 0 hot, bit 1 required.
    pub(super) flags: u16,
    /// How a row's bytes read.
    pub(super) encoding: u32,
    /// Of the first block.
    pub(super) offset: u64,
    /// Rows of the table.
    pub(super) rows: u64,
    /// Bytes of a row.
    pub(super) stride: u32,
    /// Rows of a block.
    pub(super) block_rows: u32,
    /// Bytes of a block, its check included.
    pub(super) block_bytes: u32,
    /// Per kind.
    pub(super) parameter: u32,
    /// Hash of the blocks' checks in order.
    pub(super) digest: u64,
    /// Tells tables of one kind apart.
    pub(super) instance: u32,
    /// Zero.
    pub(super) reserved: u32,
    /// Per kind.
    pub(super) extra: u64,
}

const _: () = assert!(size_of::<RawSuperblock>() == 104 && align_of::<RawSuperblock>() == 8);
const _: () = assert!(size_of::<RawTable>() == 64 && align_of::<RawTable>() == 8);
const _: () = assert!(TABLES_MAX == 192 && FACTS_BYTES == 88);
const _: () = assert!(cfg!(target_endian = "little"), "tables are read in place: little-endian machines only");
