//! What `check` finds where every checksum is right and a value is not.

use nearshore_core::format::{Element, Kind, Metric};
use nearshore_core::index::Index;
use nearshore_hostile::{repair, sample};

/// Writes `value` at byte `at` of a row of a table of a sound file, makes all checksums right, and returns what `check` says.
fn said(kind: Kind, row: u32, at: usize, value: &[u8]) -> String {
    said_of(kind, 0, row, at, value)
}

fn said_of(kind: Kind, instance: u32, row: u32, at: usize, value: &[u8]) -> String {
    let neighbors = kind == Kind::NeighborCodes;
    let file = if neighbors { sample::file(Metric::InnerProduct, Element::I8) } else { sample::file(Metric::L2, Element::F32) };
    said_in(file, kind, instance, row, at, value)
}

fn said_in(mut file: Vec<u8>, kind: Kind, instance: u32, row: u32, at: usize, value: &[u8]) -> String {
    let index = Index::open(&file[..]).expect("a sound file");
    index.check(&mut |_, _| {}).expect("a sound file");
    let place = index.reader().section(kind, instance).expect("a sample with the table").place(row).expect("a row of it");
    drop(index);
    file[place + at..place + at + value.len()].copy_from_slice(value);
    repair(&mut file);
    let index = Index::open(&file[..]).expect("all checksums are right");
    index.check(&mut |_, _| {}).map_or_else(|damage| damage.to_string(), |()| "nothing".to_owned())
}

#[test]
fn values_that_contradict_others_are_found() {
    let factors = 16;
    let nan = f32::NAN.to_le_bytes();
    for (kind, row, at, value, found) in [
        (Kind::Records, 3, factors, &nan[..], "a factor is not a finite number"),
        (Kind::Records, 3, factors + 8, &nan, "a factor is not a finite number"),
        (Kind::Records, 3, 5, &[1], "bytes beside its fields are not zero"),
        (Kind::Records, 3, factors + 36, &[1], "bytes beside its fields are not zero"),
        (Kind::Records, 3, 60, &[1], "bytes beside its fields are not zero"),
        (Kind::Records, 9, factors + 12, &[1], "a duplicate that is another vector"),
        (Kind::Records, 23, factors + 12, &[1], "a duplicate beyond the last row"),
        (Kind::Records, 9, factors + 16, &[1], "a row with another id"),
        (Kind::Records, 9, factors + 27, &[1], "a payload outside its table"),
        (Kind::CodesRows, 3, 16, &nan, "a factor is not a finite number"),
        (Kind::CodesRows, 3, 20, &f32::INFINITY.to_le_bytes(), "a factor is not a finite number"),
        (Kind::CodesRows, 3, 24, &(-1f32).to_le_bytes(), "a factor is not a finite number"),
        (Kind::CodesRows, 3, 28, &[1], "bytes beside its fields are not zero"),
        (Kind::CodesRows, 3, 4, &[0x10], "bytes beside its fields are not zero"),
        (Kind::CodesRows, 3, 5, &[1], "bytes beside its fields are not zero"),
        (Kind::IdsIndex, 4, 8, &[0], "a row with another id"),
        (Kind::IdsIndex, 4, 12, &[1], "bytes beside its fields are not zero"),
        (Kind::Deleted, 1, 0, &[2], "another number of tombstones than it says"),
        (Kind::Upper, 2, 12, &[1], "bytes beside its fields are not zero"),
    ] {
        let said = said(kind, row, at, value);
        assert!(said.contains(found), "{kind:?}, row {row}, byte {at}: {said}");
    }
}

#[test]
fn codes_of_few_bits_that_contradict_themselves_are_found() {
    let (bits, parts) = (sample::file(Metric::Cosine, Element::F16), sample::file(Metric::InnerProduct, Element::I8));
    let nan = f32::NAN.to_le_bytes();
    let number = "a value that is not a finite number";
    for (file, kind, instance, row, at, value, found) in [
        (&bits, Kind::CodesRows, 0, 3, 8, &nan[..], "a factor is not a finite number"),
        (&bits, Kind::CodesRows, 0, 3, 12, &(-1f32).to_le_bytes(), "a factor is not a finite number"),
        (&bits, Kind::CodesRows, 0, 3, 16, &f32::INFINITY.to_le_bytes(), "a factor is not a finite number"),
        (&bits, Kind::CodesRows, 0, 3, 20, &[99], "a sum that is not that of its codes"),
        (&bits, Kind::CodesRows, 0, 3, 24, &[1], "bytes beside its fields are not zero"),
        (&bits, Kind::Quant, 1, 0, 0, &[2], "unknown version"),
        (&bits, Kind::Quant, 1, 0, 8, &[2], "another encoding"),
        (&bits, Kind::Quant, 1, 0, 12, &[2], "bits or parts that its encoding does not have"),
        (&bits, Kind::Quant, 1, 0, 36, &nan, number),
        (&parts, Kind::Quant, 1, 0, 12, &[3], "another number of values than its encoding has"),
        (&parts, Kind::Quant, 1, 0, 24, &nan, number),
        (&parts, Kind::Quant, 1, 0, 1000, &nan, number),
    ] {
        let said = said_in(file.clone(), kind, instance, row, at, value);
        assert!(said.contains(found), "{kind:?} #{instance}, row {row}, byte {at}: {said}");
    }
}

#[test]
fn columns_that_contradict_themselves_are_found() {
    let number = "another number of rows without a value, or another smallest or largest one, than it says";
    for (kind, instance, row, at, value, found) in [
        (Kind::DupOf, 0, 0, 0, &[5][..], "columns without a pair in `dup_of` for every duplicate"),
        (Kind::DupOf, 0, 0, 4, &[6], "no pair of a row and a later one"),
        (Kind::DupOf, 0, 0, 4, &[200], "no pair of a row and a later one"),
        (Kind::NeighborCodes, 0, 0, 0, &[99], "a neighbour beyond the last row"),
        (Kind::NeighborCodes, 0, 4, 124, &[5, 0, 0, 0], "a gap between neighbours"),
        (Kind::NeighborCodes, 0, 0, 128, &[0, 0, 0xC0, 0x7F], "a factor is not a finite number"),
        (Kind::NeighborCodes, 0, 23, 260, &[0, 0, 0x80, 0xFF], "a factor is not a finite number"),
        (Kind::NeighborCodes, 0, 9, 252, &[1], "bytes beside its fields are not zero"),
        (Kind::NeighborCodes, 0, 9, 387, &[0x80], "bytes beside its fields are not zero"),
        (Kind::Columns, 0, 0, 0, &[0], "a column without a name"),
        (Kind::Columns, 0, 0, 0, &[97], "a column without a name"),
        (Kind::Columns, 0, 0, 32, &[0xFF], "a column without a name"),
        (Kind::Columns, 0, 1, 32, b"n", "two columns of one name"),
        (Kind::Columns, 0, 1, 4, &[1], "bytes beside its fields are not zero"),
        (Kind::Columns, 0, 1, 40, &[1], "bytes beside its fields are not zero"),
        (Kind::Columns, 0, 0, 8, &[2], number),
        (Kind::Columns, 0, 0, 16, &[1], number),
        (Kind::Columns, 0, 0, 24, &[22], number),
        (Kind::Columns, 0, 1, 16, &[1], number),
        (Kind::Column, 0, 0, 0, &[99], number),
        (Kind::Column, 0, 5, 0, &[1], "a value in a row without one"),
        (Kind::Column, 1, 3, 0, &[3], "a word beyond its dictionary"),
        (Kind::ColumnNulls, 0, 0, 0, &[0], number),
        (Kind::ColumnEnds, 1, 0, 0, &[4], "the words' ends do not ascend"),
        (Kind::ColumnEnds, 1, 2, 0, &[5], "text behind the last word"),
        (Kind::ColumnEnds, 1, 2, 0, &[7], "range beyond the end of the blob"),
        (Kind::ColumnText, 1, 0, 0, b"z", "words out of order, or not UTF-8"),
        (Kind::ColumnText, 1, 5, 0, &[0xFF], "words out of order, or not UTF-8"),
    ] {
        let said = said_of(kind, instance, row, at, value);
        assert!(said.contains(found), "{kind:?} #{instance}, row {row}, byte {at}: {said}");
    }
}
