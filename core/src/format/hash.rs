//! The hashes of a file, all XXH3: fast in WebAssembly too, 64 bits, seedable, stable by specification.
//!
//! ```text
//! block check   XXH3-64 (bytes of the block before its check, seed = build id ^ XXH3-64 (kind u32, instance u32, block u64))
//! digest        XXH3-64 (the checks of a table's blocks, in order)
//! identity      XXH3-128 (the directory's 12 KiB, seed = XXH3-64 (superblock bytes 0..88))
//! checksum      XXH3-64 (superblock bytes 0..4088)
//! ```
//! The seed of a block check makes a sound block in the wrong place, or of another file, fail as well. These stop
//! accidents; malice is stopped by bounds.

#[cfg(target_family = "wasm")]
use super::xxh3::{Xxh3, xxh3_64_with_seed, xxh3_128_with_seed};
#[cfg(not(target_family = "wasm"))]
use xxhash_rust::xxh3::{Xxh3Default as Xxh3, xxh3_64_with_seed, xxh3_128_with_seed};

/// The check of a block: `bytes` without the 8 of the check itself.
pub(crate) fn block_check(build_id: u64, kind: u16, instance: u32, block: u64, bytes: &[u8]) -> u64 {
    let mut place = [0; 16];
    let (head, number) = place.split_at_mut(8);
    let (kind_at, instance_at) = head.split_at_mut(4);
    kind_at.copy_from_slice(&u32::from(kind).to_le_bytes());
    instance_at.copy_from_slice(&instance.to_le_bytes());
    number.copy_from_slice(&block.to_le_bytes());
    xxh3_64_with_seed(bytes, build_id ^ xxh3_64_with_seed(&place, 0))
}

/// The identity of a file: equal identity, equal content.
pub(super) fn identity(superblock_facts: &[u8], directory: &[u8]) -> [u8; 16] {
    xxh3_128_with_seed(directory, xxh3_64_with_seed(superblock_facts, 0)).to_le_bytes()
}

/// The checksum of the superblock.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, 0)
}

/// A build id from the parts that decide the bytes of a file; where one part ends and the next begins counts, too.
pub fn build_id(parts: &[&[u8]]) -> u64 {
    let mut digest = Digest::new();
    for part in parts {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finish()
}

/// XXH3-64 of bytes that come piece by piece.
#[derive(Clone)]
pub struct Digest(Xxh3);

impl Digest {
    /// Of no bytes yet.
    pub const fn new() -> Self {
        Self(Xxh3::new())
    }

    /// Appends bytes; how they are split makes no difference.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes so far.
    pub fn finish(&self) -> u64 {
        self.0.digest()
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Digest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Digest({:016x})", self.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_does_not_depend_on_how_its_bytes_were_split() {
        let bytes: alloc::vec::Vec<u8> = (0..3000u32).map(|i| (i * 7 % 251) as u8).collect();
        for piece in [1, 7, 64, 1024, 2999] {
            let mut digest = Digest::new();
            bytes.chunks(piece).for_each(|part| digest.update(part));
            assert_eq!(digest.finish(), xxh3_64_with_seed(&bytes, 0));
        }
    }

    #[test]
    fn a_block_in_another_place_or_file_has_another_check() {
        let check = block_check(1, 3, 0, 5, b"rows");
        assert_ne!(check, block_check(2, 3, 0, 5, b"rows"));
        assert_ne!(check, block_check(1, 4, 0, 5, b"rows"));
        assert_ne!(check, block_check(1, 3, 1, 5, b"rows"));
        assert_ne!(check, block_check(1, 3, 0, 6, b"rows"));
    }

    #[test]
    fn a_build_id_knows_where_its_parts_end() {
        assert_ne!(build_id(&[b"ab", b"c"]), build_id(&[b"a", b"bc"]));
    }
}
