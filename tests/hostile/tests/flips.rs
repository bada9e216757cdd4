//! Accidents: a truncated or flipped file is refused, or answers exactly as before, never otherwise.

use std::path::Path;

use nearshore_core::index::Index;
use nearshore_hostile::{Random, check, data, repair, sample};

#[test]
fn every_truncation_is_refused() {
    let file = sample::all().remove(0);
    for length in 0..file.len() {
        assert!(Index::open(&file[..length]).is_err(), "{length} of {} bytes open", file.len());
    }
}

/// Flips one bit and holds the file to the bar.
fn flip(file: &mut [u8], bit: usize, expected: &[check::Answer]) {
    file[bit / 8] ^= 1 << (bit % 8);
    if let Ok(index) = Index::open(&*file) {
        for (answer, expected) in check::answers(&index).iter().zip(expected) {
            assert!(answer == expected || answer.is_err(), "bit {bit} changes an answer silently: {answer:?} instead of {expected:?}");
        }
        // A search need not touch the bit; a check must.
        assert!(index.check(&mut |_, _| {}).is_err(), "bit {bit} goes unnoticed");
    }
    file[bit / 8] ^= 1 << (bit % 8);
}

#[test]
fn a_bit_flip_gives_an_error_or_the_same_answer() {
    let mut file = sample::all().remove(0);
    let expected = check::answers(&Index::open(&file[..]).expect("a sound file"));
    assert!(expected[..18].iter().all(|answer| answer.as_ref().is_ok_and(|hits| hits.len() == 5)), "{expected:?}");
    assert!(expected[18..].iter().all(|answer| answer.as_ref().is_ok_and(|rows| !rows.is_empty())), "{expected:?}");
    // A step that has no factor in common with 8 comes by every bit of a byte.
    for bit in (0..file.len() * 8).step_by(step(3)) {
        flip(&mut file, bit, &expected);
    }
}

/// Every place, where a long run is asked for; else each of so many.
fn step(usual: usize) -> usize {
    if std::env::var_os("NEARSHORE_FULL").is_some() { 1 } else { usual }
}

#[test]
fn flips_all_over_every_sample_give_an_error_or_the_same_answer() {
    let mut random = Random::new(1);
    for mut file in sample::all() {
        let expected = check::answers(&Index::open(&file[..]).expect("a sound file"));
        for byte in (0..file.len()).step_by(step(4)) {
            let bit = byte * 8 + random.below(8);
            flip(&mut file, bit, &expected);
        }
    }
}

#[test]
fn repair_makes_what_it_repairs_open() {
    let file = sample::all().remove(2);
    let mut damaged = file.clone();
    damaged[17_000] ^= 0xFF;
    damaged[4090] = 0;
    damaged[90] ^= 1;
    assert!(nearshore_core::format::Reader::open(&damaged).is_err());
    repair(&mut damaged);
    let reader = nearshore_core::format::Reader::open(&damaged).expect("repaired");
    assert_eq!(reader.verify(&mut |_, _| {}), Ok(()));
    let mut sound = file.clone();
    repair(&mut sound);
    assert_eq!(sound, file, "a sound file needs no repair");
}

#[test]
fn the_corpora_begin_with_every_sample() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let indexes = sample::all().into_iter().enumerate().map(|(number, file)| (format!("open_search/sample-{number}.shore"), file));
    let datasets = data::all().into_iter().map(|(name, file)| (format!("dataset/sample.{name}"), file));
    for (name, file) in indexes.chain(datasets) {
        let path = corpora.join(name);
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("the corpus");
            std::fs::write(&path, &file).expect("the corpus");
        }
        assert!(std::fs::read(&path).is_ok_and(|found| found == file), "{} is not the sample: BLESS=1 rewrites it", path.display());
    }
}
