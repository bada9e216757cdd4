//! Searches that are fed block by block: the first bytes of a file open it, and blocks in any order give what a search of the whole file
//! gives.

use nearshore_core::format::{Kind, Refine};
use nearshore_core::search::{Block, Pending, SearchError};

use super::*;

/// One round's blocks in an order by chance.
fn shuffled(blocks: usize, random: &mut SplitMix) -> Vec<usize> {
    let mut order: Vec<usize> = (0..blocks).collect();
    for at in (1..blocks).rev() {
        order.swap(at, random.below(at as u64 + 1) as usize);
    }
    order
}

/// Feeds a search to its end out of `file`; returns each round's blocks.
fn run<B: AsRef<[u8]>>(
    index: &Index<B>,
    file: &[u8],
    query: &[f32],
    params: &SearchParams,
    pending: &mut Pending,
    random: &mut SplitMix,
) -> Result<Vec<Vec<Block>>, SearchError> {
    let mut rounds = Vec::new();
    index.start(Query::F32(query), params, pending)?;
    loop {
        let wanted = pending.wanted().to_vec();
        assert!(wanted.is_sorted_by(|a, b| a.offset < b.offset), "blocks in the order of the file, none twice");
        for (left, at) in (0..wanted.len()).rev().zip(shuffled(wanted.len(), random)) {
            assert_eq!(pending.wanted(), wanted, "a round's blocks stay where they are");
            index.feed(pending, at, bytes(file, &wanted[at]))?;
            assert!(left == 0 || !index.advance(pending)?, "not before every block came");
        }
        rounds.push(wanted);
        if index.advance(pending)? {
            assert!(pending.wanted().is_empty());
            rounds.retain(|round| !round.is_empty());
            return Ok(rounds);
        }
    }
}

fn bytes<'a>(file: &'a [u8], block: &Block) -> &'a [u8] {
    &file[block.offset as usize..][..block.bytes as usize]
}

fn kinds(index: &Index<&[u8]>, rounds: &[Vec<Block>]) -> Vec<Option<Kind>> {
    let kind = |block: &Block| index.reader().header().tables[block.table as usize].kind();
    rounds
        .iter()
        .map(|round| {
            assert!(round.iter().all(|block| kind(block) == kind(&round[0])));
            kind(&round[0])
        })
        .collect()
}

#[test]
fn blocks_in_any_order_give_what_a_search_of_the_whole_file_gives() {
    let mut random = SplitMix::new(1);
    let mut pending = Pending::new();
    for metric in METRICS {
        for element in ELEMENTS {
            let recipe = Recipe { metric, element, differ: 600, dressed: true, originals: true, ..RECIPE };
            let (_, whole) = recipe.make();
            let file = whole.reader().bytes();
            for kernels in Kernels::available() {
                let index = Index::open_prefix(&file[..hot(file)], file.len() as u64).expect("header and hot region").with_kernels(kernels);
                for query in recipe.queries() {
                    for params in [
                        SearchParams::default(),
                        SearchParams::recall(0.8).k(3),
                        probing(1, 1, 1),
                        probing(1, 1, 60),
                        probing(5, 40, 10).radius(0.5),
                        probing(4, 25, 10).refine(Refine::Originals),
                        probing(ALL, ALL, 20),
                    ] {
                        let rounds = run(&index, file, &query, &params, &mut pending, &mut random).expect("a search");
                        let (hits, stats) = search(&whole, &query, &params);
                        assert_eq!((pending.hits(), pending.stats()), (&hits[..], stats), "{metric} {element}, {params:?}");
                        assert_eq!(pending.rounds() as usize, rounds.len());
                        let blocks = rounds.concat();
                        assert_eq!(pending.blocks() as usize, blocks.len());
                        assert_eq!(pending.bytes(), blocks.iter().map(|block| u64::from(block.bytes)).sum::<u64>());
                        assert!((0..hits.len()).all(|hit| pending.payload(hit).is_empty()), "none were asked for");
                    }
                }
            }
        }
    }
}

#[test]
fn a_search_takes_two_rounds_and_one_more_for_originals_and_for_payloads() {
    use Kind::{CodesTiles, Originals, Payload, Records};
    let recipe = Recipe { dressed: true, originals: true, ..RECIPE };
    let (_, whole) = recipe.make();
    let file = whole.reader().bytes();
    let index = Index::open_prefix(&file[..hot(file)], file.len() as u64).expect("header and hot region");
    let (mut pending, mut random) = (Pending::new(), SplitMix::new(2));
    for (refine, payloads, wanted) in [
        (Refine::Records, false, vec![CodesTiles, Records]),
        (Refine::Originals, false, vec![CodesTiles, Records, Originals]),
        (Refine::Records, true, vec![CodesTiles, Records, Payload]),
        (Refine::Originals, true, vec![CodesTiles, Records, Originals, Payload]),
    ] {
        pending.ask_payloads(payloads);
        for query in recipe.queries() {
            let params = probing(6, 30, 10).refine(refine);
            let rounds = run(&index, file, &query, &params, &mut pending, &mut random).expect("a search");
            let found: Vec<Kind> = kinds(&index, &rounds).into_iter().flatten().collect();
            assert_eq!(found, wanted);
            assert_eq!(rounds[1].len(), 30, "a record a block");
            assert_eq!(pending.hits(), search(&whole, &query, &params).0);
            for (at, hit) in pending.hits().iter().enumerate() {
                let wanted = if payloads { text(hit.id) } else { String::new() };
                assert_eq!(String::from_utf8_lossy(pending.payload(at)), wanted);
            }
        }
    }
    pending.ask_payloads(false);
}

/// A payload of many blocks, and hits whose payloads share one.
#[test]
fn payloads_that_span_blocks_are_put_together() {
    let recipe = Recipe { rows: 60, ..RECIPE };
    let data = rows(recipe.element, recipe.dimensions, recipe.rows, ALL);
    let long = |row: usize| -> Vec<u8> { (0..row * 307).map(|at| (at * 31 + row) as u8).collect() };
    let texts: Vec<u8> = (0..recipe.rows).flat_map(long).collect();
    let ends: Vec<u64> = (0..recipe.rows)
        .scan(0, |end, row| {
            *end += long(row).len() as u64;
            Some(*end)
        })
        .collect();
    let input = Input {
        vectors: Vectors::packed(recipe.element, recipe.dimensions, &data).expect("whole rows"),
        ids: None,
        payloads: Payloads::new(&texts, &ends),
    };
    let go_on = &mut |_, _, _| ControlFlow::Continue(());
    let source = build(&input, &BuildParams::new(Metric::L2), &Serial, Kernels::best(), go_on, Vec::new()).expect("a build").0;
    let file = tiles(&Index::open(source).expect("a file"), &recipe.params(), &Serial).0;
    let index = Index::open_prefix(&file[..hot(&file)], file.len() as u64).expect("header and hot region");
    let (mut pending, mut random) = (Pending::new(), SplitMix::new(3));
    pending.ask_payloads(true);
    for k in [60, 3, 20] {
        run(&index, &file, &recipe.queries()[0], &SearchParams::default().k(k), &mut pending, &mut random).expect("a search");
        assert_eq!(pending.hits().len(), k);
        for (at, hit) in pending.hits().iter().enumerate() {
            assert_eq!(pending.payload(at), long(hit.id as usize), "of id {}", hit.id);
        }
    }
}

/// What a search fetches is what its parameters say, and a larger `k` than the tiles probed have rows fetches more of them.
#[test]
fn more_tiles_are_probed_until_there_are_as_many_rows_as_are_wanted() {
    let (_, whole) = RECIPE.make();
    let file = whole.reader().bytes();
    let index = Index::open_prefix(&file[..hot(file)], file.len() as u64).expect("header and hot region");
    let (mut pending, mut random) = (Pending::new(), SplitMix::new(4));
    let query = RECIPE.queries().remove(0);
    let rounds = run(&index, file, &query, &probing(1, 1, 5), &mut pending, &mut random).expect("a search");
    assert_eq!(rounds.len(), 2);
    assert_eq!((rounds[1].len(), pending.stats().hops), (5, 1), "as many records as hits");
    let rounds = run(&index, file, &query, &probing(1, 1, 300), &mut pending, &mut random).expect("a search");
    assert!(rounds.len() > 4, "tiles are probed twice as many a time: {}", rounds.len());
    assert_eq!(pending.hits().len(), 300);
    let mut blocks = rounds.concat();
    let fetched = blocks.len();
    blocks.sort_unstable_by_key(|block| block.offset);
    blocks.dedup();
    assert_eq!(blocks.len(), fetched, "no block twice");
    run(&index, file, &query, &probing(1, 1, 5000), &mut pending, &mut random).expect("a search");
    assert_eq!((pending.hits().len(), pending.stats().hops), (RECIPE.rows, whole.tile_count()));
}

#[test]
fn plans_that_need_no_blocks_are_done_at_once_and_find_what_is_not_at_hand_missing() {
    let (_, whole) = RECIPE.make();
    let file = whole.reader().bytes();
    let query = RECIPE.queries().remove(0);
    let scan = SearchParams::default().plan(Plan::Scan);
    let mut pending = Pending::new();
    whole.start(Query::F32(&query), &scan, &mut pending).expect("a search");
    assert!(pending.wanted().is_empty() && whole.advance(&mut pending) == Ok(true));
    assert_eq!(pending.hits(), search(&whole, &query, &scan).0);
    assert_eq!((pending.rounds(), pending.blocks(), pending.bytes()), (0, 0, 0));
    let index = Index::open_prefix(&file[..hot(file)], file.len() as u64).expect("header and hot region");
    for params in [scan, SearchParams::default()] {
        let error = index.search(Query::F32(&query), &params, &mut Scratch::new(), &mut Vec::new());
        assert!(matches!(error, Err(SearchError::Corrupt(_))), "{error:?}");
    }
}

#[test]
fn a_search_that_cannot_begin_leaves_nothing_behind() {
    let (source, whole) = RECIPE.make();
    let query = RECIPE.queries().remove(0);
    let mut pending = Pending::new();
    let mut random = SplitMix::new(5);
    let file = whole.reader().bytes();
    let wrong = vec![0.5; 3];
    for (index, query, params) in [
        (&whole, &wrong, SearchParams::default()),
        (&whole, &query, SearchParams::default().k(0)),
        (&whole, &query, SearchParams::default().probes(0)),
        (&whole, &query, probing(3, 3, 3).refine(Refine::Originals)),
        (&source, &query, probing(3, 3, 3)),
    ] {
        run(&whole, file, &RECIPE.queries()[1], &SearchParams::default(), &mut pending, &mut random).expect("a search");
        // In the midst of another search, too.
        whole.start(Query::F32(&RECIPE.queries()[1]), &SearchParams::default(), &mut pending).expect("a search");
        assert!(index.start(Query::F32(query), &params, &mut pending).is_err());
        assert!(pending.hits().is_empty() && pending.wanted().is_empty());
        assert_eq!(pending.stats(), Stats::default());
    }
}
