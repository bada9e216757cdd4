//! Files in tiles whose checks are right and whose values are not: the check of the whole file says so, and a search ends in an error or
//! answers as ever, whether its blocks are at hand or fed.

use nearshore_core::format::Kind;
use nearshore_core::index::Index;
use nearshore_hostile::{check, repair, tiles};

/// What is changed: bytes of a row of a table, or of a table's entry in the directory.
#[derive(Clone, Copy, Debug)]
enum At {
    Row(Kind, u32, usize),
    Entry(Kind, usize),
}

fn change(file: &mut [u8], at: At, value: &[u8]) {
    let index = Index::open(&*file).expect("a sound file");
    let place = match at {
        At::Row(kind, row, at) => index.reader().section(kind, 0).expect("a table").place(row).expect("a row") + at,
        At::Entry(kind, at) => {
            let tables = &index.reader().header().tables;
            4096 + 64 * tables.iter().position(|table| table.kind == kind as u16).expect("a table") + at
        }
    };
    drop(index);
    file[place..place + value.len()].copy_from_slice(value);
    repair(file);
}

const FULL: [u8; 4] = [0xFF; 4];
const NAN: [u8; 4] = f32::NAN.to_le_bytes();
const MINUS_ONE: [u8; 4] = (-1f32).to_le_bytes();
const OUT_OF_ORDER: &str = "a tile that does not begin where the one before it ends";
const MANY: &str = "more slots than there are rows";
const BEYOND: &str = "a tile beyond the last block of codes";

#[test]
fn values_that_no_tile_has_are_found_by_the_check_and_by_searches() {
    use At::{Entry, Row};
    let sound = tiles::file();
    let index = Index::open(&sound[..]).expect("a sound file");
    index.check(&mut |_, _| {}).expect("a sound file");
    let (count, wanted) = (index.tile_count() as u32, tiles::answers(&index));
    assert!(count >= 2 && wanted.iter().all(|answer| answer.as_ref().is_ok_and(|hits| !hits.is_empty())), "{count}: {wanted:?}");
    drop(index);
    let fewer = [count as u8 - 1];
    // Where, what, what the check says, and what a search of all tiles does.
    let cases: Vec<(At, &[u8], &str, Option<&str>)> = vec![
        (Row(Kind::Tiles, 1, 4), &[99], BEYOND, Some(BEYOND)),
        (Row(Kind::Tiles, 1, 4), &FULL, BEYOND, Some(BEYOND)),
        (Row(Kind::Tiles, 1, 8), &FULL, MANY, Some(MANY)),
        (Row(Kind::Tiles, 1, 4), &[0], OUT_OF_ORDER, Some(OUT_OF_ORDER)),
        (Row(Kind::Tiles, 0, 0), &[1], OUT_OF_ORDER, None),
        (Row(Kind::Tiles, 1, 0), &FULL, "rows of a tile that are not its own", None),
        (Row(Kind::Tiles, 0, 12), &NAN, "a radius that is not a finite number", None),
        (Row(Kind::Tiles, 0, 12), &MINUS_ONE, "a radius that is not a finite number", None),
        (Row(Kind::Tiles, 0, 8), &[1], "another number of rows than its blocks have", None),
        (Row(Kind::CodesTiles, 0, 0), &[77], "a row beyond the last one", Some("a row beyond the last one")),
        (Row(Kind::CodesTiles, 0, 0), &FULL, "bytes beside its fields are not zero", None),
        (Row(Kind::CodesTiles, 0, 0), &[5], "rows of a tile that are not its own", None),
        (
            Row(Kind::CodesTiles, 0, 128),
            &[0x80, 0x7F],
            "a factor is not a finite number",
            Some("a factor is not a finite number, or too large"),
        ),
        (
            Row(Kind::CodesTiles, 0, 192),
            &[0xC0, 0xFF],
            "a factor is not a finite number",
            Some("a factor is not a finite number, or too large"),
        ),
        (Row(Kind::RouteRecords, 1, 16), &NAN, "a factor is not a finite number", Some("not a finite number")),
        (Row(Kind::RouteRecords, 0, 28), &[1], "bytes beside its fields are not zero", None),
        (Row(Kind::Records, 3, 16 + 24), &FULL, "a payload outside its table", None),
        (Entry(Kind::RouteRecords, 16), &fewer, "rows", Some("another number of tiles than of centroids")),
        (Entry(Kind::Tiles, 16), &fewer, "rows", Some("another number of tiles than of centroids")),
    ];
    for (at, value, said, searched) in cases {
        let mut file = sound.clone();
        change(&mut file, at, value);
        let index = Index::open(&file[..]).expect("a header that holds");
        let damage = index.check(&mut |_, _| {}).expect_err("a value that no file has").to_string();
        assert!(damage.contains(said), "{at:?}: {damage}");
        // Holds searches of whole files and fed ones against each other.
        let answers = tiles::answers(&index);
        let all = &answers[tiles::OF_ALL];
        match searched {
            Some(what) => assert!(all.as_ref().is_err_and(|error| error.to_string().contains(what)), "{at:?}: {all:?}"),
            None => assert!(all.is_ok(), "{at:?}: {all:?}"),
        }
        check::open_search(&file);
    }
}

#[test]
fn entries_that_no_table_of_tiles_has_are_refused() {
    let sound = tiles::file();
    for (kind, at, value, wanted) in [
        (Kind::CodesTiles, 4, &[1, 0, 0, 0][..], "section codes.tiles: encoding is 1, must be 0"),
        (Kind::CodesTiles, 24, &[1, 1, 0, 0], "section codes.tiles: stride is 257, must be at least 512"),
        (Kind::CodesTiles, 28, &[2, 0, 0, 0], "section codes.tiles: "),
        (Kind::Tiles, 24, &[12, 0, 0, 0], "section tiles: stride is 12, must be at least 16"),
        (Kind::RouteRecords, 4, &[9, 0, 0, 0], "section route.records: encoding is 9, must be 0"),
        (Kind::RouteRecords, 36, &[32, 0, 0, 0], "section route.records: parameter is 32, must be 16"),
        (Kind::Tiles, 0, &[200, 0], "tiles"),
    ] {
        let mut file = sound.clone();
        change(&mut file, At::Entry(kind, at), value);
        let error = Index::open(&file[..]).expect_err("an entry that breaks a rule").to_string();
        assert!(error.contains(wanted), "{kind:?}, byte {at}: {error}");
    }
}

/// A hint in the file is a hint: numbers beyond all reason probe all tiles and read all records.
#[test]
fn a_quality_row_beyond_reason_costs_no_more_than_the_file_is() {
    let mut file = tiles::file();
    for row in 0.. {
        let index = Index::open(&file[..]).expect("a sound file");
        if u64::from(row) >= index.reader().section(Kind::Quality, 0).expect("a table").rows() {
            break;
        }
        drop(index);
        change(&mut file, At::Row(Kind::Quality, row, 4), &FULL);
        change(&mut file, At::Row(Kind::Quality, row, 20), &FULL);
        change(&mut file, At::Row(Kind::Quality, row, 16), &[1, 0, 0, 0]);
    }
    let index = Index::open(&file[..]).expect("a sound file");
    let answers = tiles::answers(&index);
    assert_eq!(answers[0].as_ref().map(Vec::len), Ok(5));
}
