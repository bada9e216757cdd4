//! Measures filtered search: recall and time by selectivity, and by how the filter lies to the query.
//!
//! ```text
//! cargo run --release --example filters -- BASE.fbin QUERIES.fbin INDEX.shore [QUERIES [RECALL]]
//! ```
//! Builds INDEX.shore (cosine) unless it is there, with two columns: `u`, uniform in 0..1000 by a hash of the row, and
//! `cluster`, the nearest of 1,024 of the rows. An uncorrelated filter is `u < n`; a correlated one names the clusters
//! nearest to the query, an anti-correlated one the farthest, a clustered one any, as many as have the share of rows that is wanted.
//! `SHARES=0.1,0.5` asks about those alone, `EACH_PLAN=1` also by either plan.
//! INDEX.shore may as well be what `nearshore export --for web` made of such a file: then hops are the tiles whose codes are read.
//! Truth is the exact scan of the rows that match. Times are of single queries, one thread, sets of rows made before.

#![expect(clippy::print_stdout, reason = "its output")]

use std::collections::BTreeSet;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use nearshore::build::{BuildParams, Input, build_with_columns};
use nearshore::dataset::{Dataset, Options};
use nearshore::exact::{Base, nearest};
use nearshore::filter::{ColumnInput, Compare, Filter, RowSet, Value, Values};
use nearshore::format::{Element, Metric, Plan};
use nearshore::io::FileSink;
use nearshore::search::{Hit, Scratch, SearchParams};
use nearshore::vectors::Vectors;
use nearshore::{Driver, Index, Kernels, Pool, Queries};

const K: usize = 10;
const CLUSTERS: usize = 1024;

type Done<T> = Result<T, Box<dyn Error>>;

fn main() -> Done<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, queries, index, rest @ ..] = arguments.as_slice() else {
        return Err("BASE.fbin QUERIES.fbin INDEX.shore [QUERIES [RECALL]]".into());
    };
    let count = rest.first().map_or(Ok(500), |count| count.parse())?;
    let recall = rest.get(1).map_or(Ok(0.95), |recall| recall.parse())?;
    let (base, queries) = (Dataset::open(Path::new(base), &Options::default())?, Dataset::open(Path::new(queries), &Options::default())?);
    let centres = centres(&base);
    let pool = Pool::new(0)?;
    let path = Path::new(index);
    if !path.exists() {
        build(&base, &centres, path, &pool)?;
    }
    let index = Index::open_with(path, Driver::Slice)?;
    let asked = Queries::of(&queries)?;
    let count = asked.len().min(count);
    let far = |_, _| ControlFlow::Continue(());
    let from = Base { vectors: packed(&base, &centres), ids: None };
    let order = nearest(from, queries.vectors(), Metric::Cosine, CLUSTERS, &pool, &far).map_err(|error| format!("{error:?}"))?;
    let mut sizes = vec![0usize; CLUSTERS];
    for (cluster, size) in sizes.iter_mut().enumerate() {
        *size = index.select(&Filter::test("cluster", Compare::Equal(Value::I64(cluster as i64))))?.len();
    }
    let setting = SearchParams::recall(recall).k(K);
    let mut bench = Bench { index: &index, queries: &asked, count, scratch: Scratch::new(), hits: Vec::new() };
    let all = index.select(&Filter::parse("u >= 0")?)?;
    let truth = bench.truth(|_| &all)?;
    bench.report("all rows, unfiltered", None, &setting, &truth, 0.0)?;
    let shares = std::env::var("SHARES").unwrap_or_else(|_| "0.001,0.003,0.01,0.03,0.1,0.3,0.5,0.9".to_owned());
    for share in shares.split(',').map(str::parse::<f64>) {
        let share = share?;
        let wanted = share * index.len() as f64;
        let near = |query: usize, from_far: bool| {
            let ranked: Vec<u64> = order[query].iter().map(|found| found.id).collect();
            let mut ranked: Box<dyn Iterator<Item = u64>> =
                if from_far { Box::new(ranked.into_iter().rev()) } else { Box::new(ranked.into_iter()) };
            let (mut rows, mut chosen) = (0, Vec::new());
            while (rows as f64) < wanted {
                let Some(cluster) = ranked.next() else { break };
                rows += sizes[cluster as usize];
                chosen.push(Value::I64(cluster as i64));
            }
            Filter::test("cluster", Compare::In(chosen))
        };
        let some = |_| {
            let mut chosen: Vec<u64> = (0..CLUSTERS as u64).collect();
            chosen.sort_unstable_by_key(|&cluster| nearshore_core::seed::hash(3, 4, cluster));
            let mut rows = 0;
            chosen.retain(|&cluster| {
                let kept = (rows as f64) < wanted;
                rows += if kept { sizes[cluster as usize] } else { 0 };
                kept
            });
            Filter::test("cluster", Compare::In(chosen.into_iter().map(|cluster| Value::I64(cluster as i64)).collect()))
        };
        let kinds: [(&str, &dyn Fn(usize) -> Filter); 4] = [
            ("clustered", &some),
            ("uncorrelated", &|_| Filter::test("u", Compare::Less(Value::I64((share * 1000.0) as i64)))),
            ("correlated", &|query| near(query, false)),
            ("anti-correlated", &|query| near(query, true)),
        ];
        for (kind, filter) in kinds {
            let started = Instant::now();
            let sets: Vec<RowSet> = (0..count).map(|query| index.select(&filter(query))).collect::<Result<_, _>>()?;
            let selecting = started.elapsed().as_secs_f64() * 1e6 / count as f64;
            let truth = bench.truth(|query| &sets[query])?;
            bench.report(&format!("{kind}, {:.1} %", share * 100.0), Some(&sets), &setting, &truth, selecting)?;
            if std::env::var_os("EACH_PLAN").is_some() {
                for plan in [Plan::Walk, Plan::Scan] {
                    bench.report(&format!("  {plan}"), Some(&sets), &setting.plan(plan), &truth, 0.0)?;
                }
            }
        }
    }
    Ok(())
}

/// Rows that stand for clusters, by a fixed step.
fn centres(base: &Dataset) -> Vec<u8> {
    (0..CLUSTERS).flat_map(|cluster| base.vectors().row(cluster * base.rows() / CLUSTERS)).copied().collect()
}

fn packed<'a>(base: &Dataset, centres: &'a [u8]) -> Vectors<'a> {
    Vectors::packed(Element::F32, base.dimensions(), centres).unwrap_or_else(|| unreachable!("whole rows"))
}

fn build(base: &Dataset, centres: &[u8], path: &Path, pool: &Pool) -> Done<()> {
    let go_on = |_, _| ControlFlow::Continue(());
    let of = Base { vectors: packed(base, centres), ids: None };
    let clusters = nearest(of, base.vectors(), Metric::Cosine, 1, pool, &go_on).map_err(|error| format!("{error:?}"))?;
    let clusters: Vec<i64> = clusters.iter().map(|found| found[0].id as i64).collect();
    let uniform: Vec<i64> = (0..base.rows() as u64).map(|row| (nearshore_core::seed::hash(1, 2, row) % 1000) as i64).collect();
    let columns = [("u", &uniform), ("cluster", &clusters)];
    let columns = columns.map(|(name, values)| ColumnInput { name, values: Values::I64(values), nulls: None });
    let mut params = BuildParams::default();
    params.metric = Metric::Cosine;
    let input = Input { vectors: base.vectors(), ids: None, payloads: None };
    let sink = FileSink::create(path, false)?;
    let mut tell = |_, _, _| ControlFlow::Continue(());
    build_with_columns(&input, &columns, &params, pool, Kernels::best(), &mut tell, sink)?.0.finish()?;
    Ok(())
}

struct Bench<'a> {
    index: &'a Index,
    queries: &'a Queries,
    count: usize,
    scratch: Scratch,
    hits: Vec<Hit>,
}

impl Bench<'_> {
    fn truth<'s>(&mut self, rows: impl Fn(usize) -> &'s RowSet) -> Done<Vec<BTreeSet<u64>>> {
        let params = SearchParams::default().k(K).plan(Plan::Scan);
        let mut answers = Vec::new();
        for query in 0..self.count {
            (**self.index).search_where(self.queries.get(query), &params, rows(query), &mut self.scratch, &mut self.hits)?;
            answers.push(self.hits.iter().map(|hit| hit.id).collect());
        }
        Ok(answers)
    }

    fn report(&mut self, what: &str, sets: Option<&[RowSet]>, params: &SearchParams, truth: &[BTreeSet<u64>], selecting: f64) -> Done<()> {
        let (mut nanos, mut found, mut wanted, mut short, mut distances, mut hops) = (Vec::new(), 0, 0, 0, 0, 0);
        for pass in 0..4 {
            for (query, truth) in truth.iter().enumerate() {
                let started = Instant::now();
                let asked = self.queries.get(query);
                let stats = match sets {
                    Some(sets) => (**self.index).search_where(asked, params, &sets[query], &mut self.scratch, &mut self.hits)?,
                    None => (**self.index).search(asked, params, &mut self.scratch, &mut self.hits)?,
                };
                let took = started.elapsed().as_nanos() as u64;
                if pass == 0 {
                    // Untimed: it warms caches.
                    found += self.hits.iter().filter(|hit| truth.contains(&hit.id)).count();
                    wanted += truth.len();
                    short += usize::from(self.hits.len() < truth.len());
                    distances += stats.distances;
                    hops += stats.hops;
                } else {
                    nanos.push(took);
                }
            }
        }
        nanos.sort_unstable();
        let percentile = |share: f64| nanos[((nanos.len() as f64 * share) as usize).min(nanos.len() - 1)] as f64 / 1e3;
        let mean = |sum: u64| sum as f64 / self.count as f64;
        println!(
            "| {what:<24} | {:>6.3} | {short:>3} | {:>8.1} | {:>8.1} | {:>8.0} | {:>7.0} | {selecting:>8.0} |",
            found as f64 / wanted as f64,
            percentile(0.5),
            percentile(0.99),
            mean(distances),
            mean(hops),
        );
        Ok(())
    }
}
