//! Walks that wait for the records of what they found, against the same walks with every byte at hand.

use nearshore_core::build::{BuildParams, Codes, Input, Tier, build};
use nearshore_core::distance::Kernels;
use nearshore_core::format::{Element, Kind, Metric, Plan, Refine};
use nearshore_core::index::Index;
use nearshore_core::par::Serial;
use nearshore_core::search::{Layout, Pending, Scratch, SearchError, SearchParams};
use nearshore_core::seed::SplitMix;
use nearshore_core::vectors::{Query, Vectors};
use std::ops::ControlFlow;

const DIMENSIONS: usize = 24;

fn rows(count: usize, period: usize) -> Vec<u8> {
    let mut random = SplitMix::new(count as u64);
    let mut row = || (0..DIMENSIONS).map(|_| random.below(2000) as f32 / 1000.0 - 1.0).collect::<Vec<f32>>();
    let rows: Vec<Vec<f32>> = (0..period).map(|_| row()).collect();
    (0..count).flat_map(|at| rows[at % period].iter().flat_map(|x| x.to_le_bytes())).collect()
}

fn file(metric: Metric, codes: Codes, count: usize, period: usize) -> Vec<u8> {
    let mut params = BuildParams::default();
    (params.metric, params.codes, params.m) = (metric, codes, 8);
    built(&params, count, period)
}

fn built(params: &BuildParams, count: usize, period: usize) -> Vec<u8> {
    let data = rows(count, period);
    let vectors = Vectors::packed(Element::F32, DIMENSIONS, &data).expect("whole rows");
    let input = Input { vectors, ids: None, payloads: None };
    let go_on = &mut |_, _, _| ControlFlow::Continue(());
    build(&input, params, &Serial, Kernels::best(), go_on, Vec::new()).expect("sound rows").0
}

/// Runs a search whose blocks come from `file`, those of a round in an order drawn by `random`.
fn fed<B: AsRef<[u8]>>(
    index: &Index<B>,
    file: &[u8],
    query: Query<'_>,
    params: &SearchParams,
    pending: &mut Pending,
    random: &mut SplitMix,
) {
    index.start(query, params, pending).expect("a sound search");
    loop {
        let mut order: Vec<usize> = (0..pending.wanted().len()).collect();
        (1..order.len()).for_each(|at| order.swap(at, random.below(at as u64 + 1) as usize));
        for (left, at) in order.into_iter().enumerate() {
            assert!(left == 0 || !index.advance(pending).expect("a round that is not over"), "a round ends with its last block");
            let block = pending.wanted()[at];
            index.feed(pending, at, &file[block.offset as usize..][..block.bytes as usize]).expect("a sound block");
        }
        if index.advance(pending).expect("sound blocks") {
            return;
        }
    }
}

#[test]
fn walks_that_wait_find_what_others_find() {
    let mut random = SplitMix::new(3);
    let (mut pending, mut scratch, mut hits) = (Pending::new(), Scratch::new(), Vec::new());
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
        for (codes, count, period) in
            [(Codes::U4, 3000, 3000), (Codes::RaBitQ1, 2500, 2500), (Codes::U4, 900, 60), (Codes::Pq32, 1, 1), (Codes::None, 800, 800)]
        {
            let file = file(metric, codes, count, period);
            let index = Index::open(&*file).expect("a sound file");
            let queries = rows(20, 20);
            let queries = Vectors::packed(Element::F32, DIMENSIONS, &queries).expect("whole rows");
            for query in 0..queries.rows() {
                let mut vector = vec![0.0; DIMENSIONS];
                queries.decode(Kernels::best(), query, &mut vector);
                for params in [
                    SearchParams::ef(30),
                    SearchParams::recall(0.9).refine(Refine::Records),
                    SearchParams::ef(10).k(25).rerank(40),
                    SearchParams::ef(50).radius(0.6),
                ] {
                    let params = params.plan(Plan::Walk);
                    let stats = index.search(Query::F32(&vector), &params, &mut scratch, &mut hits).expect("a sound search");
                    fed(&index, &file, Query::F32(&vector), &params, &mut pending, &mut random);
                    assert_eq!(pending.hits(), hits, "{metric}, {codes:?}, {params:?}");
                    assert_eq!(pending.stats(), stats, "{metric}, {codes:?}, {params:?}");
                    let rounds = if codes == Codes::None {
                        0
                    } else if params.refine == Some(Refine::Records) {
                        1
                    } else {
                        2
                    };
                    assert_eq!(pending.rounds(), rounds, "{metric}, {codes:?}, {params:?}");
                }
            }
        }
    }
}

/// Where a table begins.
fn begins(index: &Index<&[u8]>, kind: Kind) -> u64 {
    index.reader().header().table(kind, 0).map_or(0, |table| table.offset)
}

#[test]
fn walks_whose_graph_is_brought_find_what_others_find() {
    let mut random = SplitMix::new(4);
    let (mut pending, mut scratch, mut hits) = (Pending::new(), Scratch::new(), Vec::new());
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
        for (codes, count, period) in
            [(Codes::U4, 3000, 3000), (Codes::RaBitQ1, 2500, 2500), (Codes::U4, 900, 60), (Codes::Pq32, 1, 1), (Codes::U4, 3, 1)]
                .into_iter()
                // Of as few rows some have layers of one node.
                .chain((5..45).step_by(4).map(|count| (Codes::U4, count, count)))
        {
            let mut params = BuildParams::default();
            (params.metric, params.codes, params.m, params.tier) = (metric, codes, 8, Tier::Disk);
            let file = built(&params, count, period);
            let whole = Index::open(&*file).expect("a sound file");
            let (codes_at, edges_at) = (begins(&whole, Kind::CodesRows), begins(&whole, Kind::Edges));
            let queries = rows(12, 12);
            let queries = Vectors::packed(Element::F32, DIMENSIONS, &queries).expect("whole rows");
            let mut taken = Vec::new();
            // Nothing but the layers above, codes, all.
            for (at_hand, ahead) in [(codes_at, 1), (codes_at, 9), (edges_at, 1), (edges_at, 4), (edges_at, 64), (u64::MAX, 1)] {
                // What is not at hand is worth nothing where it lies.
                let mut torn = file.clone();
                let end = begins(&whole, Kind::Records) as usize;
                torn[end.min(usize::try_from(at_hand).unwrap_or(end))..end].fill(0xAA);
                let index = Index::open(torn).expect("a sound header").with_at_hand(at_hand);
                pending.read_ahead(ahead);
                let mut rounds = 0;
                for query in 0..queries.rows() {
                    let mut vector = vec![0.0; DIMENSIONS];
                    queries.decode(Kernels::best(), query, &mut vector);
                    let few = [SearchParams::ef(10).k(25), SearchParams::ef(40).radius(0.6)];
                    for params in [SearchParams::ef(30), SearchParams::recall(0.9).refine(Refine::Records)].into_iter().chain(few) {
                        let params = params.plan(Plan::Walk);
                        let stats = whole.search(Query::F32(&vector), &params, &mut scratch, &mut hits).expect("a sound search");
                        fed(&index, &file, Query::F32(&vector), &params, &mut pending, &mut random);
                        assert_eq!(pending.hits(), hits, "{metric}, {codes:?}, {at_hand}, {ahead}, {params:?}");
                        assert_eq!(pending.stats(), stats, "{metric}, {codes:?}, {at_hand}, {ahead}, {params:?}");
                        rounds += pending.rounds();
                    }
                }
                taken.push(rounds);
            }
            let searches = 4 * queries.rows() as u32;
            if let [nothing, nothing_ahead, codes, codes_ahead, codes_far_ahead, all] = taken[..]
                && count > 100
            {
                assert!(nothing > nothing_ahead && nothing_ahead > codes_ahead, "{taken:?}");
                assert!(codes > codes_ahead && codes_ahead > codes_far_ahead, "{taken:?}");
                assert!(codes_far_ahead > all && all <= 2 * searches, "{taken:?}");
            }
        }
    }
}

/// Writes into a table of a file and makes the checks of its blocks right.
fn changed(file: &[u8], kind: Kind, change: impl Fn(u64, &mut [u8])) -> Vec<u8> {
    let whole = Index::open(file).expect("a sound file");
    let header = whole.reader().header();
    let table = *header.table(kind, 0).expect("the table");
    let mut file = file.to_vec();
    for block in 0..table.blocks() {
        let start = table.block_offset(block) as usize;
        let mut bytes = file[start..start + table.row_bytes(block) as usize].to_vec();
        for (row, bytes) in (block * u64::from(table.block_rows)..).zip(bytes.chunks_mut(table.stride as usize)) {
            change(row, bytes);
        }
        table.seal(header.superblock.build_id, block, &mut bytes, 0);
        file[start..start + bytes.len()].copy_from_slice(&bytes);
    }
    file
}

/// What a search of a file in blocks ends in.
fn outcome(file: &[u8]) -> Result<(), SearchError> {
    let at_hand = begins(&Index::open(file).expect("a sound file"), Kind::CodesRows);
    let index = Index::open(file).expect("a sound file").with_at_hand(at_hand);
    let mut pending = Pending::new();
    index.start(Query::F32(&[0.25; DIMENSIONS]), &SearchParams::ef(20).plan(Plan::Walk), &mut pending)?;
    loop {
        for at in 0..pending.wanted().len() {
            let block = pending.wanted()[at];
            index.feed(&mut pending, at, &file[block.offset as usize..][..block.bytes as usize])?;
        }
        if index.advance(&mut pending)? {
            return Ok(());
        }
    }
}

#[test]
fn what_leads_astray_ends_a_walk_whose_graph_is_brought() {
    let mut params = BuildParams::default();
    (params.codes, params.m, params.tier) = (Codes::U4, 4, Tier::Disk);
    let file = built(&params, 600, 600);
    outcome(&file).expect("a sound file");
    let beyond = changed(&file, Kind::Edges, |_, slots| slots[..4].copy_from_slice(&600_u32.to_le_bytes()));
    let upper_loop = changed(&file, Kind::Upper, |row, node| node[8..12].copy_from_slice(&(row as u32).to_le_bytes()));
    let upper_beyond = changed(&file, Kind::Upper, |_, node| node[..4].copy_from_slice(&600_u32.to_le_bytes()));
    let no_factor = changed(&file, Kind::CodesRows, |_, code| code.fill(0xFF));
    let cases = [
        (beyond, "edges", "neighbour beyond"),
        (upper_loop, "upper", "more layers"),
        (upper_beyond, "upper", "beyond the last"),
        (no_factor, "codes", "finite"),
    ];
    for (file, section, what) in cases {
        let error = outcome(&file).expect_err(what).to_string();
        assert!(error.contains(section) && error.contains(what), "{error}");
    }
}

#[test]
fn a_walk_whose_graph_is_brought_is_cut_off_without_hits() {
    let mut params = BuildParams::default();
    (params.codes, params.m, params.tier) = (Codes::U4, 8, Tier::Disk);
    let file = built(&params, 600, 600);
    let edges = begins(&Index::open(&*file).expect("a sound file"), Kind::Edges);
    let index = Index::open(&*file).expect("a sound file").with_at_hand(edges);
    let (query, params, mut pending) = ([0.25; DIMENSIONS], SearchParams::ef(20).plan(Plan::Walk), Pending::new());
    index.start(Query::F32(&query), &params, &mut pending).expect("a sound search");
    assert!(!pending.wanted().is_empty());
    index.cut(&mut pending);
    assert!(pending.wanted().is_empty() && pending.hits().is_empty() && index.advance(&mut pending).expect("nothing awaited"));
    fed(&index, &file, Query::F32(&query), &params, &mut pending, &mut SplitMix::new(1));
    assert_eq!(pending.hits().len(), 10);
}

#[test]
fn a_damaged_block_of_edges_ends_a_walk_whose_graph_is_brought() {
    let mut params = BuildParams::default();
    (params.codes, params.m, params.tier) = (Codes::U4, 8, Tier::Disk);
    let file = built(&params, 600, 600);
    let whole = Index::open(&*file).expect("a sound file");
    let index = Index::open(&*file).expect("a sound file").with_at_hand(begins(&whole, Kind::Edges));
    let mut pending = Pending::new();
    index.start(Query::F32(&[0.25; DIMENSIONS]), &SearchParams::ef(20).plan(Plan::Walk), &mut pending).expect("a sound search");
    let block = pending.wanted()[0];
    let mut bytes = file[block.offset as usize..][..block.bytes as usize].to_vec();
    bytes[2] ^= 0x40;
    let error = index.feed(&mut pending, 0, &bytes).expect_err("a damaged block").to_string();
    assert!(error.contains("edges") && error.contains("checksum"), "{error}");
}

#[test]
fn a_damaged_record_ends_the_search_and_not_the_state() {
    let file = file(Metric::L2, Codes::U4, 500, 500);
    let index = Index::open(&*file).expect("a sound file");
    let (query, params) = ([0.25; DIMENSIONS], SearchParams::ef(20).plan(Plan::Walk));
    let mut pending = Pending::new();
    index.start(Query::F32(&query), &params, &mut pending).expect("a sound search");
    let block = pending.wanted()[0];
    let mut bytes = file[block.offset as usize..][..block.bytes as usize].to_vec();
    assert!(index.feed(&mut pending, 0, &bytes[1..]).is_err(), "a block of another length");
    bytes[40] ^= 4;
    let error = index.feed(&mut pending, 0, &bytes).expect_err("a damaged block").to_string();
    assert!(error.contains("records") && error.contains("checksum"), "{error}");
    bytes[40] ^= 4;
    index.feed(&mut pending, 0, &bytes).expect("the block after all");
    fed(&index, &file, Query::F32(&query), &params, &mut pending, &mut SplitMix::new(1));
    assert_eq!(pending.hits().len(), 10);
}

#[test]
fn a_layout_that_reads_neighbours_codes_is_searched_as_ever() {
    let data = rows(600, 600);
    let vectors = Vectors::packed(Element::F32, DIMENSIONS, &data).expect("whole rows");
    let mut params = BuildParams::default();
    (params.codes, params.layout, params.m) = (Codes::U4, Layout::Fast, 8);
    let input = Input { vectors, ids: None, payloads: None };
    let go_on = &mut |_, _, _| ControlFlow::Continue(());
    let (file, _) = build(&input, &params, &Serial, Kernels::best(), go_on, Vec::new()).expect("sound rows");
    let index = Index::open(&*file).expect("a sound file");
    let (mut pending, mut scratch, mut hits) = (Pending::new(), Scratch::new(), Vec::new());
    for layout in [Layout::Lean, Layout::Fast] {
        let params = SearchParams::ef(30).plan(Plan::Walk).layout(layout);
        let query = Query::F32(&[0.125; DIMENSIONS]);
        let stats = index.search(query, &params, &mut scratch, &mut hits).expect("a sound search");
        fed(&index, &file, query, &params, &mut pending, &mut SplitMix::new(9));
        assert_eq!((pending.hits(), pending.stats()), (&*hits, stats), "{layout:?}");
    }
}
