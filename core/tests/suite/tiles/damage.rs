//! Blocks that are not what was asked for: an error that names section and block, and the next search is as good as any.

use nearshore_core::search::{Pending, SearchError};

use super::*;

/// What is fed in the place of a sound block.
type Damage = fn(&[u8], &[u8]) -> Vec<u8>;

const DAMAGES: [(&str, Damage); 8] = [
    ("a flipped bit", |own, _| flipped(own, own.len() / 2)),
    ("a flipped bit of the first row", |own, _| flipped(own, 0)),
    ("a flipped bit of the check", |own, _| flipped(own, own.len() - 1)),
    ("another block", |_, other| other.to_vec()),
    ("nothing", |_, _| Vec::new()),
    ("less than a check", |own, _| own[..7].to_vec()),
    ("a byte less", |own, _| own[..own.len() - 1].to_vec()),
    ("a byte more", |own, _| [own, &[0]].concat()),
];

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 4;
    bytes
}

#[test]
fn damaged_blocks_are_named_and_sound_ones_may_come_instead() {
    let recipe = Recipe { dressed: true, originals: true, ..RECIPE };
    let (_, whole) = recipe.make();
    let file = whole.reader().bytes();
    let index = Index::open_prefix(&file[..hot(file)], file.len() as u64).expect("header and hot region");
    let query = recipe.queries().remove(0);
    let params = probing(4, 20, 10).refine(nearshore_core::format::Refine::Originals);
    let wanted = search(&whole, &query, &params);
    let mut pending = Pending::new();
    pending.ask_payloads(true);
    for (name, damage) in DAMAGES {
        for bad_round in 0..4 {
            index.start(Query::F32(&query), &params, &mut pending).expect("a search");
            let mut round = 0;
            loop {
                let blocks = pending.wanted().to_vec();
                let bytes = |at: usize| &file[blocks[at].offset as usize..][..blocks[at].bytes as usize];
                for at in 0..blocks.len() {
                    if round == bad_round && at == blocks.len() / 2 {
                        let other = if at > 0 { bytes(at - 1) } else { &file[..blocks[at].bytes as usize] };
                        let error = index.feed(&mut pending, at, &damage(bytes(at), other)).expect_err(name);
                        let SearchError::Corrupt(corrupt) = error else { panic!("{name}: {error}") };
                        let table = &index.reader().header().tables[blocks[at].table as usize];
                        assert_eq!((corrupt.section, corrupt.block), (table.kind, blocks[at].block), "{name}: {corrupt}");
                        assert_eq!(index.advance(&mut pending), Ok(false), "{name}: the block is awaited still");
                    }
                    index.feed(&mut pending, at, bytes(at)).expect("a sound block");
                }
                round += 1;
                if index.advance(&mut pending).expect("sound blocks") {
                    break;
                }
            }
            assert_eq!(round, 4);
            assert_eq!((pending.hits(), pending.stats()), (&wanted.0[..], wanted.1), "{name} in round {bad_round}");
        }
    }
}

/// A search that was left at its damage does not touch the next one.
#[test]
fn the_next_search_of_the_same_state_is_sound() {
    let (_, whole) = RECIPE.make();
    let file = whole.reader().bytes();
    let mut pending = Pending::new();
    for (query, next) in RECIPE.queries().iter().zip(RECIPE.queries().iter().skip(1)) {
        whole.start(Query::F32(query), &probing(6, 30, 10), &mut pending).expect("a search");
        let first = pending.wanted()[0];
        let bytes = &file[first.offset as usize..][..first.bytes as usize];
        whole.feed(&mut pending, 0, bytes).expect("a sound block");
        assert!(whole.feed(&mut pending, 1, bytes).is_err());
        whole.start(Query::F32(next), &probing(6, 30, 10), &mut pending).expect("a search");
        loop {
            for (at, block) in pending.wanted().to_vec().into_iter().enumerate() {
                whole.feed(&mut pending, at, &file[block.offset as usize..][..block.bytes as usize]).expect("a sound block");
            }
            if whole.advance(&mut pending).expect("sound blocks") {
                break;
            }
        }
        let (hits, stats) = search(&whole, next, &probing(6, 30, 10));
        assert_eq!((pending.hits(), pending.stats()), (&hits[..], stats));
    }
}

/// A block that came twice is one block: another is awaited still, and nothing is counted twice.
#[test]
fn a_block_that_is_fed_again_changes_nothing() {
    let (_, whole) = RECIPE.make();
    let file = whole.reader().bytes();
    let query = RECIPE.queries().remove(2);
    let mut pending = Pending::new();
    whole.start(Query::F32(&query), &probing(6, 30, 10), &mut pending).expect("a search");
    loop {
        let blocks = pending.wanted().to_vec();
        for (at, block) in blocks.iter().enumerate() {
            for _ in 0..2 {
                assert_eq!(whole.advance(&mut pending), Ok(false), "block {at} of {} is awaited", blocks.len());
                whole.feed(&mut pending, at, &file[block.offset as usize..][..block.bytes as usize]).expect("a sound block");
                if at + 1 == blocks.len() {
                    break;
                }
            }
        }
        if whole.advance(&mut pending).expect("sound blocks") {
            break;
        }
    }
    let (hits, stats) = search(&whole, &query, &probing(6, 30, 10));
    assert_eq!((pending.hits(), pending.stats()), (&hits[..], stats));
}

#[test]
fn every_flip_of_a_file_in_tiles_is_noticed_or_harmless() {
    let recipe = Recipe { rows: 40, dimensions: 5, element: Element::I8, tile_rows: 8, ..RECIPE };
    let (_, whole) = recipe.make();
    let mut file = whole.reader().bytes().to_vec();
    let query = recipe.queries().remove(0);
    let params = probing(3, 12, 5);
    let wanted = search(&whole, &query, &params);
    let mut random = SplitMix::new(9);
    for byte in (0..200).chain((16_384..file.len()).step_by(7)) {
        let bit = 1 << random.below(8);
        file[byte] ^= bit;
        if let Ok(index) = Index::open(&file[..]) {
            let mut hits = Vec::new();
            let found = index.search(Query::F32(&query), &params, &mut Scratch::new(), &mut hits);
            assert!(found.is_err() || (&hits, found) == (&wanted.0, Ok(wanted.1)), "byte {byte} changes an answer silently");
            assert!(index.check(&mut |_, _| {}).is_err(), "byte {byte} goes unnoticed");
        }
        file[byte] ^= bit;
    }
}
