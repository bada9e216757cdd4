//! What `check` finds where every checksum is right and a value is not.

use nearshore_core::format::{Element, Kind, Metric};
use nearshore_core::index::Index;
use nearshore_hostile::{repair, sample};

/// Writes `value` at byte `at` of a row of a table of a sound file, makes all checksums right, and returns what `check` says.
fn said(kind: Kind, row: u32, at: usize, value: &[u8]) -> String {
    let mut file = sample::file(Metric::L2, Element::F32);
    let index = Index::open(&file[..]).expect("a sound file");
    index.check(&mut |_, _| {}).expect("a sound file");
    let place = index.reader().section(kind, 0).expect("a sample has all tables").place(row).expect("a row of it");
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
