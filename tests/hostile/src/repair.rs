//! Makes all checks of a mutated file right, as far as its header leads into it. Shares no code with the crate under test.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128_with_seed};

const DIRECTORY: usize = 4096;
const HEADER: usize = 16_384;
const ENTRY: usize = 64;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Sets magic, major version, file length, the check of every block that lies in the file, digests, identity and checksum.
/// Everything else stays as the mutation left it. A file without a whole header stays as it is.
pub fn repair(bytes: &mut [u8]) {
    if bytes.len() < HEADER {
        return;
    }
    bytes[..10].copy_from_slice(b"\x89SHORE\r\n\x01\x00");
    let length = bytes.len() as u64;
    bytes[32..40].copy_from_slice(&length.to_le_bytes());
    let build_id = u64_at(bytes, 80);
    let sections = (u32_at(bytes, 12) as usize).min((HEADER - DIRECTORY) / ENTRY);
    for section in 0..sections {
        let entry = DIRECTORY + section * ENTRY;
        let digest = seal_blocks(bytes, entry, build_id);
        bytes[entry + 40..entry + 48].copy_from_slice(&digest.to_le_bytes());
    }
    let identity = xxh3_128_with_seed(&bytes[DIRECTORY..HEADER], xxh3_64(&bytes[..88]));
    bytes[88..104].copy_from_slice(&identity.to_le_bytes());
    let checksum = xxh3_64(&bytes[..4088]);
    bytes[4088..4096].copy_from_slice(&checksum.to_le_bytes());
}

/// Seals the blocks of one section and returns its digest.
fn seal_blocks(bytes: &mut [u8], entry: usize, build_id: u64) -> u64 {
    let (kind, instance) = (u32_at(bytes, entry) & 0xFFFF, u32_at(bytes, entry + 48));
    let (offset, rows) = (u64_at(bytes, entry + 8), u64_at(bytes, entry + 16));
    let (block_rows, block_bytes) = (u64::from(u32_at(bytes, entry + 28)), u64::from(u32_at(bytes, entry + 32)));
    let mut checks = Vec::new();
    if block_rows == 0 || block_bytes < 8 {
        return xxh3_64(&checks);
    }
    for block in 0..rows.div_ceil(block_rows) {
        let place = block.checked_mul(block_bytes).and_then(|at| at.checked_add(offset));
        let range = place.and_then(|at| Some(usize::try_from(at).ok()?..usize::try_from(at.checked_add(block_bytes)?).ok()?));
        // The header is no one's block, and what lies beyond the file cannot be sealed.
        let Some(block_range) = range.filter(|range| range.start >= HEADER && range.end <= bytes.len()) else { break };
        let mut seed = [0; 16];
        seed[..4].copy_from_slice(&kind.to_le_bytes());
        seed[4..8].copy_from_slice(&instance.to_le_bytes());
        seed[8..].copy_from_slice(&block.to_le_bytes());
        let (body, check) = bytes[block_range].split_last_chunk_mut::<8>().expect("at least eight bytes");
        *check = xxh3_64_with_seed(body, build_id ^ xxh3_64(&seed)).to_le_bytes();
        checks.extend_from_slice(check);
    }
    xxh3_64(&checks)
}
