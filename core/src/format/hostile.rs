//! Damaged and malicious headers. Accidents are caught by checks, malice (a header that checks, yet lies) by rules.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::raw::{CHECKSUM_AT, DIRECTORY_AT, FACTS_BYTES, RawSuperblock, RawTable};
use super::tests::{spec, tables, write};
use super::*;

/// A sound file of 14 blocks in 6 sections, with gaps.
fn sound() -> Vec<u8> {
    write(&spec(11), &tables(), 64)
}

/// Makes a changed header check again: identity, then checksum.
fn seal(bytes: &mut [u8]) {
    let identity = hash::identity(&bytes[..FACTS_BYTES], &bytes[DIRECTORY_AT..HEADER_BYTES]);
    bytes[FACTS_BYTES..][..16].copy_from_slice(&identity);
    let checksum = hash::checksum(&bytes[..CHECKSUM_AT]);
    bytes[CHECKSUM_AT..][..8].copy_from_slice(&checksum.to_le_bytes());
}

/// Why a header does not open once `change` was done to its superblock and entries, checks repaired.
fn refusal(change: impl FnOnce(&mut RawSuperblock, &mut Vec<RawTable>)) -> String {
    let mut bytes = sound();
    let mut superblock: RawSuperblock = bytemuck::pod_read_unaligned(&bytes[..size_of::<RawSuperblock>()]);
    let entries = bytes[DIRECTORY_AT..][..tables().len() * 64].chunks_exact(64);
    let mut entries: Vec<RawTable> = entries.map(bytemuck::pod_read_unaligned).collect();
    change(&mut superblock, &mut entries);
    bytes[..size_of::<RawSuperblock>()].copy_from_slice(bytemuck::bytes_of(&superblock));
    bytes[DIRECTORY_AT..HEADER_BYTES].fill(0);
    bytes[DIRECTORY_AT..][..entries.len() * 64].copy_from_slice(bytemuck::cast_slice(&entries));
    seal(&mut bytes);
    Reader::open(&bytes).map_or_else(|error| error.to_string(), |_| "opens".into())
}

#[test]
fn every_truncation_is_refused_and_says_both_lengths() {
    let bytes = sound();
    for length in 0..bytes.len() {
        let wanted = if length < HEADER_BYTES { HEADER_BYTES } else { bytes.len() } as u64;
        let expected = if length < 8 { OpenError::NotShore } else { OpenError::Truncated { wanted, found: length as u64 } };
        assert_eq!(Reader::open(&bytes[..length]).unwrap_err(), expected);
    }
    let longer = [&bytes[..], &[0]].concat();
    let (wanted, found) = (bytes.len() as u64, longer.len() as u64);
    assert_eq!(Reader::open(&longer).unwrap_err(), OpenError::Trailing { wanted, found });
}

#[test]
fn every_bit_flip_is_found_by_open_or_by_verify_and_changes_no_row() {
    let (mut bytes, tables) = (sound(), tables());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            if at < HEADER_BYTES {
                assert!(Reader::open(&bytes).is_err(), "byte {at} bit {bit} opens");
            } else {
                let reader = Reader::open(&bytes).unwrap();
                assert!(reader.verify(&mut |_, _| {}).is_err(), "byte {at} bit {bit} verifies");
                for ((spec, rows), section) in tables.iter().zip(reader.sections()) {
                    let mut expected = rows.chunks(spec.stride as usize).zip(0..);
                    assert!(expected.all(|(bytes, row)| section.row(row).is_ok_and(|row| row == bytes) || section.row(row).is_err()));
                }
            }
            bytes[at] ^= 1 << bit;
        }
    }
}

#[test]
fn a_repaired_superblock_is_held_to_its_rules() {
    let checks = |change: fn(&mut RawSuperblock)| refusal(|superblock, _| change(superblock));
    assert_eq!(refusal(|_, _| {}), "opens");
    assert_eq!(checks(|s| s.magic[5] = 10), "not a .shore file: the first 8 bytes are not its magic number");
    assert_eq!(checks(|s| s.major = 2), "format version 2: this version of nearshore reads version 1");
    assert_eq!(checks(|s| s.minor = 9), "opens");
    assert_eq!(checks(|s| s.optional = u64::MAX), "opens");
    assert_eq!(checks(|s| s.required = 1 << 40), "the file needs feature 40, which this version of nearshore does not know");
    assert_eq!(checks(|s| s.sections = u32::MAX), "header: section count is 4294967295, must be at most 192");
    assert_eq!(checks(|s| s.sections -= 1), "header: section count is 5, must be the number of entries in use");
    assert_eq!(checks(|s| s.sections += 1), "header: kind is 0, must be at least 1");
    assert!(checks(|s| s.file_bytes += 1).starts_with("truncated: "));
    assert!(checks(|s| s.file_bytes = u64::MAX).ends_with(" bytes of 18446744073709551615"));
    assert_eq!(checks(|s| s.rows = 1 << 32), "header: rows is 4294967296, must be at most 4294967294");
    assert_eq!(checks(|s| s.rows = 12), "section edges: rows is 11, must be 12");
    assert_eq!(checks(|s| s.dimensions = 0), "header: dimensions is 0, must be at least 1");
    assert_eq!(checks(|s| s.dimensions = 1 << 20), "header: dimensions is 1048576, must be at most 32768");
    assert_eq!(checks(|s| s.metric = 3), "header: metric is 3, must be 0 (l2), 1 (ip) or 2 (cosine)");
    assert_eq!(checks(|s| s.element = 4), "header: element is 4, must be 0 (f32), 1 (f16), 2 (u8) or 3 (i8)");
    assert_eq!(checks(|s| s.plan = 3), "header: plan is 3, must be 0 (scan), 1 (walk) or 2 (tiles)");
    assert_eq!(checks(|s| s.refine = 2), "header: refine level is 2, must be 0 (records) or 1 (originals)");
    assert_eq!(checks(|s| s.hot = [0, 0]), "header: hot region offset is 0, must be at least 16384");
    assert!(checks(|s| s.hot = [u64::MAX, 0]).starts_with("header: hot region offset is 18446744073709551615, must be at most"));
    assert!(checks(|s| s.hot[1] = u64::MAX).starts_with("header: hot region length is 18446744073709551615, must be at most"));
    assert!(checks(|s| s.hot[1] -= 64).ends_with("must be in the hot region if and only if the section is flagged hot"));
}

#[test]
fn a_repaired_directory_is_held_to_its_rules() {
    let checks = |change: fn(&mut Vec<RawTable>)| refusal(|_, entries| change(entries));
    assert_eq!(checks(|t| t[3].offset += 64).split_once(" is ").unwrap().0, "section edges: offset");
    assert!(checks(|t| t[3].offset += 64).ends_with("must be a multiple of 4096"));
    assert!(checks(|t| t[1].offset += 8).ends_with("must be a multiple of 64"));
    assert!(checks(|t| t[3].offset = u64::MAX - 4095).contains("section edges: offset is 18446744073709547520, must be at most"));
    assert!(checks(|t| t[3].offset += 4096).contains("section edges: offset is"));
    assert!(checks(|t| t[4].offset = t[3].offset).starts_with("section originals: offset is"));
    assert!(checks(|t| t.swap(3, 4)).starts_with("section originals: offset is"));
    assert!(checks(|t| t[0].flags = 0).ends_with("must be in the hot region if and only if the section is flagged hot"));
    assert!(checks(|t| t[3].flags = 1).ends_with("must be in the hot region if and only if the section is flagged hot"));
    assert_eq!(checks(|t| t[3].stride = 0), "section edges: stride is 0, must be at least 1");
    assert_eq!(checks(|t| t[3].block_rows = 0), "section edges: rows a block is 0, must be at least 1");
    assert_eq!(checks(|t| t[3].block_bytes = 0), "section edges: block bytes is 0, must be at least 32");
    assert_eq!(checks(|t| t[3].block_bytes = 68), "section edges: block bytes is 68, must be a multiple of 8");
    assert_eq!(checks(|t| t[3].block_bytes = 1 << 25), "section edges: block bytes is 33554432, must be at most 16777216");
    let message = checks(|t| (t[3].block_rows, t[3].stride) = (u32::MAX, u32::MAX));
    assert_eq!(message, "section edges: block bytes is 64, must be at least 18446744065119617033");
    let message = checks(|t| t[3].rows = u64::MAX);
    assert_eq!(message, "section edges: rows is 18446744073709551615, must be few enough for the section to end inside the file");
    assert!(checks(|t| (t[3].kind, t[3].instance) = (20, 1)).contains("section keys #1: instance is 1, must be another"));
    assert!(checks(|t| t[5].rows = 1).starts_with("header: file length is"));
    assert_eq!(checks(|t| t[3].kind = 0), "header: kind is 0, must be at least 1");
}

#[test]
fn an_unknown_table_is_skipped_unless_it_is_required() {
    assert_eq!(refusal(|_, t| t[3].kind = 99), "opens");
    let message = "the file needs its section of kind 99, which this version of nearshore does not know";
    assert_eq!(refusal(|_, t| (t[3].kind, t[3].flags) = (99, table::REQUIRED)), message);
    assert_eq!(refusal(|_, t| t[3].flags = table::REQUIRED | 1 << 15), "opens");

    // Its neighbours stay readable, and its blocks, which were sealed as another kind's, are no one's concern but verify's.
    let mut bytes = sound();
    bytes[DIRECTORY_AT + 3 * 64..][..2].copy_from_slice(&99u16.to_le_bytes());
    seal(&mut bytes);
    let reader = Reader::open(&bytes).unwrap();
    assert!(reader.section(Kind::Edges, 0).is_none());
    let originals = reader.section(Kind::Originals, 0).unwrap();
    assert_eq!(originals.row(10).unwrap(), &tables()[4].1[160..176]);
    assert_eq!(reader.verify(&mut |_, _| {}).unwrap_err().first.to_string(), "section unknown (kind 99), block 0: checksum mismatch");
}

#[test]
fn a_block_of_another_place_or_another_build_does_not_check() {
    let (mut bytes, other) = (sound(), write(&FileSpec { build_id: 5, ..spec(11) }, &tables(), 64));
    let edges = *Reader::open(&bytes).unwrap().header().table(Kind::Edges, 0).unwrap();
    let (first, second) = (edges.block_offset(0) as usize, edges.block_offset(1) as usize);
    bytes.copy_within(first..second, second);
    assert!(Reader::open(&bytes).unwrap().section(Kind::Edges, 0).unwrap().row(3).is_err());
    bytes[first..second].copy_from_slice(&other[first..second]);
    assert!(Reader::open(&bytes).unwrap().section(Kind::Edges, 0).unwrap().row(0).is_err());
}

#[test]
fn a_changed_block_whose_check_was_repaired_is_found_by_its_digest() {
    let mut bytes = sound();
    let edges = *Reader::open(&bytes).unwrap().header().table(Kind::Edges, 0).unwrap();
    let at = edges.block_offset(1) as usize;
    bytes[at] ^= 1;
    let (rows, check) = bytes[at..][..edges.block_bytes as usize].split_last_chunk_mut::<8>().unwrap();
    let build_id = spec(11).build_id;
    *check = hash::block_check(build_id, edges.kind, 0, 1, rows).to_le_bytes();
    let reader = Reader::open(&bytes).unwrap();
    assert!(reader.section(Kind::Edges, 0).unwrap().row(3).is_ok());
    let damage = reader.verify(&mut |_, _| {}).unwrap_err();
    assert_eq!(damage.first.to_string(), "section edges, block 0: the digest does not match the blocks");
}

#[test]
fn every_field_of_every_entry_may_lie_without_harm() {
    // Not a proof, but each field at its extremes, alone, in a header that checks: an error or rows inside the file.
    let sound = sound();
    for entry in 0..tables().len() {
        for at in (0..64).step_by(2) {
            for value in [[0, 0], [1, 0], [0xFF, 0xFF], [0, 0x80], [0xFF, 0x7F], [0x40, 0]] {
                let mut bytes = sound.clone();
                bytes[DIRECTORY_AT + entry * 64 + at..][..2].copy_from_slice(&value);
                seal(&mut bytes);
                let Ok(reader) = Reader::open(&bytes) else { continue };
                for section in reader.sections() {
                    assert!(section.table().end() <= bytes.len() as u64);
                    for row in (0..40).chain([u32::MAX]) {
                        let row = section.row(row);
                        assert!(row.is_err() || row.is_ok_and(|row| row.len() == section.table().stride as usize));
                    }
                }
                let _ = reader.verify(&mut |_, _| {});
            }
        }
    }
}
