//! Parts together: planned, linked, merged, and what is refused.

use super::super::{BuildParams, Input, Summary};
use super::*;
use crate::format::{Element, Metric, WriteError};
use crate::graph::reach;
use crate::par::Serial;
use crate::quant::RecordLayout;
use crate::vectors::Vectors;
use core::convert::Infallible;
use core::ops::ControlFlow;

const DIMENSIONS: usize = 24;

/// Rows around 20 middles, one in fifty a repetition.
fn rows(count: usize, seed: u64) -> Vec<u8> {
    let mut random = crate::seed::SplitMix::new(seed);
    let mut number = || random.below(2001) as f32 / 1000.0 - 1.0;
    let middles: Vec<f32> = (0..20 * DIMENSIONS).map(|_| 3.0 * number()).collect();
    let mut values: Vec<f32> = Vec::new();
    for row in 0..count {
        if row % 50 == 49 {
            values.extend_from_within((row - 7) * DIMENSIONS..(row - 6) * DIMENSIONS);
        } else {
            values.extend((0..DIMENSIONS).map(|at| middles[row * 20 / count * DIMENSIONS + at] + number()));
        }
    }
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn input(bytes: &[u8]) -> Input<'_> {
    Input { vectors: Vectors::packed(Element::F32, DIMENSIONS, bytes).unwrap(), ids: None, payloads: None }
}

fn on(_: super::super::Stage, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn split(rows: usize, params: &BuildParams, parts: u32) -> Split {
    Split::new(rows as u64, DIMENSIONS, params, 1 << 30, Some(parts)).unwrap()
}

fn plan(input: &Input<'_>, params: &BuildParams, split: Split) -> Plan {
    let planned = Plan::new::<_, Infallible>(
        input,
        #[cfg(feature = "filter")]
        &[],
        params,
        split,
        &Serial,
        Kernels::best(),
        &mut on,
    );
    planned.unwrap()
}

/// Records, copies and runs of a plan.
fn link_all(plan: &Plan, input: &Input<'_>, params: &BuildParams) -> (Vec<u8>, Vec<Vec<u8>>) {
    let stride = plan.record_bytes();
    let (mut records, mut copies) = (vec![0; plan.nodes() as usize * stride], vec![0; plan.copies.len() * stride]);
    let mut put = |stream, at: u64, record: &[u8]| {
        let target = if matches!(stream, Stream::Copies(_)) { &mut copies } else { &mut records };
        let place = &mut target[at as usize * stride..][..stride];
        assert!(place.iter().all(|&byte| byte == 0), "written twice");
        place.copy_from_slice(record);
        Ok::<_, Infallible>(())
    };
    let checks = plan.scatter(input, &Serial, Kernels::best(), &mut on, &mut put).unwrap();
    let mut runs = Vec::new();
    for (number, (part, check)) in plan.parts().iter().zip(checks).enumerate() {
        let own = &records[part.nodes.start as usize * stride..part.nodes.end as usize * stride];
        let mut members = own.to_vec();
        members.extend_from_slice(&copies[part.copies.start as usize * stride..part.copies.end as usize * stride]);
        plan.check_records(&members, check).unwrap();
        members[0] ^= 1;
        assert_eq!(plan.check_records(&members, check), Err(PlanError::Damaged { what: "the records of a part" }));
        members[0] ^= 1;
        let mut run = Vec::new();
        let mut put = |list: &[u8]| {
            run.extend_from_slice(list);
            Ok::<_, Infallible>(())
        };
        plan.link(number, &members, params, &Serial, Kernels::best(), &mut |_| ControlFlow::Continue(()), &mut put).unwrap();
        runs.push(run);
    }
    (records, runs)
}

fn merge(plan: &Plan, input: &Input<'_>, params: &BuildParams, records: &[u8], runs: &[Vec<u8>]) -> (Vec<u8>, Summary) {
    let runs: Vec<&[u8]> = runs.iter().map(Vec::as_slice).collect();
    let kept = Kept { records, runs: &runs };
    plan.check_kept(kept).unwrap();
    let built = plan.merge(
        input,
        #[cfg(feature = "filter")]
        &[],
        params,
        kept,
        &Serial,
        Kernels::best(),
        &mut on,
        Vec::new(),
    );
    built.unwrap()
}

#[test]
fn every_node_is_in_two_parts_and_none_is_too_large() {
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let (bytes, params) = (rows(3000, 5), BuildParams::new(metric));
        let split = split(3000, &params, 7);
        let plan = plan(&input(&bytes), &params, split);
        assert!(plan.is_sound());
        assert_eq!(plan.nodes(), 2940);
        assert!(plan.parts().iter().all(|part| (1..=split.members).contains(&part.members())), "{:?}", plan.parts());
        let smallest = plan.parts().iter().map(Part::members).min().unwrap();
        assert!(smallest > split.members / 3, "{smallest} of {}", split.members);
        let held: u64 = plan.parts().iter().map(Part::members).sum();
        assert_eq!(held, 2 * plan.nodes());
    }
}

#[test]
fn a_plan_comes_back_from_its_bytes_and_damage_is_seen() {
    let (bytes, params) = (rows(600, 9), BuildParams::new(Metric::L2));
    let plan = plan(&input(&bytes), &params, split(600, &params, 3));
    let mut kept = Vec::new();
    let Ok(()) = plan.write(&mut |piece| {
        kept.extend_from_slice(piece);
        Ok::<_, Infallible>(())
    });
    let again = Plan::read(&kept).unwrap();
    assert_eq!((again.split, &again.members, &again.copies, &again.parts), (plan.split, &plan.members, &plan.copies, &plan.parts));
    assert_eq!((&again.space.mean, &again.arranged.nodes), (&plan.space.mean, &plan.arranged.nodes));
    assert_eq!((&again.arranged.duplicates, again.digest()), (&plan.arranged.duplicates, plan.digest()));
    for cut in 0..kept.len() {
        assert!(Plan::read(&kept[..cut]).is_err(), "cut at {cut}");
    }
    kept[0] = 99;
    assert_eq!(Plan::read(&kept).unwrap_err(), PlanError::Version);
    kept[0] = 1;
    // The last member's slot, just before the copies and duplicates.
    let at = kept.len() - 8 * plan.arranged.duplicates.len() - 4 * plan.copies.len() - 4;
    kept[at] ^= 1;
    assert!(Plan::read(&kept).is_err());
}

#[test]
fn parts_become_one_graph_as_good_as_one_that_was_linked_at_once() {
    for (count, metric) in [(4000, Metric::L2), (2500, Metric::Cosine), (2500, Metric::InnerProduct)] {
        let (bytes, params) = (rows(count, 11), BuildParams::new(metric).m(8));
        let input = input(&bytes);
        let plan = plan(&input, &params, split(count, &params, 5));
        let (records, runs) = link_all(&plan, &input, &params);
        let (file, summary) = merge(&plan, &input, &params, &records, &runs);
        assert_eq!((summary.rows, summary.duplicates, summary.file_bytes), (count as u64, count as u64 / 50, file.len() as u64));
        let (_, whole) = super::super::build(&input, &params, &Serial, Kernels::best(), &mut on, Vec::new()).unwrap();
        let (own, other) = (best_at(&summary, 56), best_at(&whole, 56));
        assert!(own > other - 0.01, "{metric:?}: {own} in parts, {other} at once");
        // The same again, byte for byte.
        let (again, _) = merge(&plan, &input, &params, &records, &runs);
        assert!(again == file);
    }
}

/// Recall at an effort, or at the last one before it that was needed.
fn best_at(summary: &Summary, ef: u32) -> f32 {
    let rows = summary.quality.iter().filter(|row| row.gamma == 0.0 && row.ef <= ef);
    rows.map(|row| row.recall).fold(0.0, f32::max)
}

#[test]
fn all_nodes_are_reached_though_parts_lie_far_apart() {
    // Rows of one part are alike to the last bit but for one number; parts are a thousand apart.
    let values: Vec<f32> = (0..900)
        .flat_map(|row| (0..DIMENSIONS).map(move |at| if at == 0 { 1000.0 * (row / 300) as f32 } else { (row * at % 97) as f32 * 1e-3 }))
        .collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let params = BuildParams::new(Metric::L2).m(4);
    let input = input(&bytes);
    let plan = plan(&input, &params, split(900, &params, 3));
    let (records, runs) = link_all(&plan, &input, &params);
    let runs: Vec<&[u8]> = runs.iter().map(Vec::as_slice).collect();
    let kept = Kept { records: &records, runs: &runs };
    let space = crate::graph::layer::Records { space: &plan.space, kernels: Kernels::best(), bytes: &records };
    let mut layer = plan.union(kept, space, None, &params, &Serial, &mut |_| ControlFlow::Continue(())).unwrap();
    reach::mend(&mut layer, space);
    assert_eq!(reach::unreached(&layer), 0);
    let mut order = plan.order(&layer);
    order.sort_unstable();
    assert!(order.iter().copied().eq(0..plan.nodes() as u32), "every node once");
}

#[test]
fn a_split_keeps_to_its_memory_or_says_what_would_do() {
    let params = BuildParams::new(Metric::L2);
    let two = Split::new(1_000_000, 1024, &params, 2 << 30, None).unwrap();
    assert!((PARTS_MIN..8).contains(&two.parts), "{two:?}");
    let billion = Split::new(1_000_000_000, 1024, &params, 2 << 30, None).unwrap();
    assert!(billion.members <= two.members * 21 / 20 + two.members && billion.parts > 1000, "{billion:?}");
    let Err(SplitError::Memory { least }) = Split::new(1000, 16, &params, 1 << 20, None) else { panic!("it fits") };
    assert!((MEMORY_MIN..MEMORY_MIN + (2 << 20)).contains(&least), "{least}");
    let Err(SplitError::Memory { least }) = Split::new(1000, 32_768, &params.m(512), MEMORY_MIN, None) else { panic!("it fits") };
    assert!(Split::new(1000, 32_768, &params.m(512), least, None).is_ok());
    assert!(matches!(Split::new(1_000_000_000, 1024, &params, 2 << 30, Some(7)), Err(SplitError::Parts { least: 1000.., .. })));
    assert_eq!(Split::new(1000, 16, &params, 1 << 30, Some(9)).unwrap().parts, 9);
}

/// What a thread holds grows with the slots of a node, whose finds it keeps, and with the record, of which it keeps a leaf's.
#[test]
fn threads_fit_beside_what_they_link() {
    let params = BuildParams::new(Metric::L2);
    for (dimensions, m, memory) in [(16, 4, MEMORY_MIN), (16, 16, 2 << 30), (1024, 16, 2 << 30), (1024, 64, 1 << 30), (4096, 512, 8 << 30)]
    {
        let (params, record) = (params.m(m), RecordLayout::new(dimensions).stride);
        let threads = threads_at_most(record, &params, memory) as u64;
        // 8 leaves of 1,000 nodes, of which each finds half of its slots, 12 bytes each.
        let found = 8 * 1000 * m as u64 * 12;
        let one = THREAD_BYTES + 1000 * record as u64 + found;
        assert!(threads == 1 || threads * one <= memory / 4 + 2 * found * 9 / 8, "{dimensions}, {m}: {threads}");
        assert!((threads + 1) * one * 3 / 2 > memory / 4, "{dimensions}, {m}: {threads}, where more would fit");
    }
    // A leaf of long records is more than a quarter of little memory.
    let long = |memory| Split::new(10_000, 32_768, &params.m(4), memory, None);
    let record = RecordLayout::new(32_768).stride as u64;
    let Err(SplitError::Memory { least }) = long(MEMORY_MIN) else { panic!("it fits") };
    for memory in [least, 2 * least, 20 * least] {
        let split = long(memory).unwrap();
        let threads = threads_at_most(record as usize, &params.m(4), memory) as u64;
        let held = split.members * record + threads * (THREAD_BYTES + 1000 * record) + (16 << 20);
        assert!(held <= memory / 8 * 7, "{memory}: {split:?}, {threads}");
    }
}

#[test]
fn leaves_count_where_lists_are_short_and_leaves_many() {
    let few = BuildParams::new(Metric::L2).m(4);
    let many = few.ef_construction(2000);
    let split = |params| Split::new(1_000_000, 16, params, MEMORY_MIN, None).unwrap();
    let (few, many) = (split(&few), split(&many));
    assert!(many.parts > few.parts, "{many:?}");
    // 48 leaves a node, 8 bytes each, in what is neither left for allocators and threads nor the program's.
    assert!(many.members * 8 * 48 <= MEMORY_MIN / 8 * 5 - (16 << 20), "{many:?}");
    let in_memory = |ef| in_memory_bytes(1_000_000, 16, &BuildParams::new(Metric::L2).m(4).ef_construction(ef));
    assert!(in_memory(2000) > in_memory(200) + 1_000_000 * 8 * 40);
}

#[test]
fn upper_layers_that_would_not_fit_are_left_out_from_below() {
    let turns = || (0..4096u32).map(|row| (u8::MAX - (row.trailing_zeros() / 4).min(3) as u8, u64::from(row), row));
    let (all, sizes) = upper(turns(), 4096, Layers::Many);
    assert_eq!((all.len(), sizes), (256, vec![256, 16, 1]));
    let (few, sizes) = upper(turns(), 100, Layers::Many);
    assert_eq!((few.len(), sizes), (16, vec![16, 1]));
    assert_eq!(upper(turns(), 0, Layers::Many), (Vec::new(), Vec::new()));
    assert_eq!(upper(turns(), 4096, Layers::One), (Vec::new(), Vec::new()));
}

#[test]
fn what_cannot_be_built_in_parts_is_refused_by_name() {
    let params = BuildParams::new(Metric::L2).builder(Builder::Insertion);
    let refused = check_params::<Infallible>(&params);
    assert!(matches!(refused, Err(BuildError::Parameter { parameter: "builder", .. })));
    assert!(!matches!(refused, Err(BuildError::Write(WriteError::Sink(_)))));
}
