//! The answers beside a golden file: queries, searches, and what each must give, as JSON.
//!
//! One search is one line, so that a difference reads as one. Floats are written as their bits and ids as text: JSON's numbers hold
//! neither. The same file is read by the tests in Rust and by the script that runs in Node and in a browser.

use std::fmt::Write as _;

use nearshore_core::format::{Element, Metric, Plan, Refine};
use nearshore_core::index::Index;
use nearshore_core::search::{Effort, Hit, Layout, Scratch, SearchParams, Stats};
use nearshore_core::vectors::{Query, decode};
use serde_json::Value;

use crate::golden::{Golden, Made};
use crate::rows::Random;

/// A query that owns its numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// Floats.
    F32(Vec<f32>),
    /// Bytes.
    U8(Vec<u8>),
    /// Signed bytes.
    I8(Vec<i8>),
}

impl Form {
    /// As a search takes it.
    #[must_use]
    pub fn query(&self) -> Query<'_> {
        match self {
            Self::F32(values) => Query::F32(values),
            Self::U8(values) => Query::U8(values),
            Self::I8(values) => Query::I8(values),
        }
    }

    fn write(&self) -> String {
        match self {
            Self::F32(values) => format!("{{\"form\":\"f32\",\"bits\":{:?}}}", values.iter().map(|v| v.to_bits()).collect::<Vec<_>>()),
            Self::U8(values) => format!("{{\"form\":\"u8\",\"values\":{values:?}}}"),
            Self::I8(values) => format!("{{\"form\":\"i8\",\"values\":{values:?}}}"),
        }
        .replace(", ", ",")
    }

    fn read(value: &Value) -> Option<Self> {
        let numbers = |key: &str| value[key].as_array().map(|list| list.iter().filter_map(Value::as_i64).collect::<Vec<_>>());
        Some(match value["form"].as_str()? {
            "f32" => Self::F32(numbers("bits")?.into_iter().map(|bits| f32::from_bits(bits as u32)).collect()),
            "u8" => Self::U8(numbers("values")?.into_iter().map(|value| value as u8).collect()),
            "i8" => Self::I8(numbers("values")?.into_iter().map(|value| value as i8).collect()),
            _ => return None,
        })
    }
}

/// One search and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Which query.
    pub query: usize,
    /// How it is asked.
    pub params: SearchParams,
    /// Ids of the hits, nearest first.
    pub ids: Vec<u64>,
    /// Bits of their distances.
    pub bits: Vec<u32>,
    /// Distances computed and nodes expanded.
    pub stats: Stats,
}

/// What stands beside one golden file.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// What the file shows.
    pub about: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Rows in it.
    pub rows: usize,
    /// Elements of a row.
    pub dimensions: usize,
    /// Its metric.
    pub metric: String,
    /// Its element type.
    pub element: String,
    /// Whether hits bring [`crate::rows::payload`] back.
    pub payload: bool,
    /// All queries.
    pub queries: Vec<Form>,
    /// All searches.
    pub cases: Vec<Case>,
}

impl Expected {
    /// Searches `index` in all the ways that a golden file is searched.
    ///
    /// # Panics
    /// When a search fails.
    #[must_use]
    pub fn of<B: AsRef<[u8]>>(golden: &Golden, made: &Made, index: &Index<B>, sha256: String) -> Self {
        let queries = queries(golden, made);
        let mut cases = Vec::new();
        let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
        for (query, form) in queries.iter().enumerate() {
            let mut radius = None;
            for mut params in searches(golden) {
                params.radius = params.radius.and(radius);
                let stats = index.search(form.query(), &params, &mut scratch, &mut hits).expect("a search");
                // The radius, once asked for, is the distance of the middle hit of the first search: a tie with the bound itself.
                radius = radius.or_else(|| Some(hits.get(hits.len() / 2).map_or(1.0, |hit: &Hit| hit.distance)));
                let ids = hits.iter().map(|hit| hit.id).collect();
                let bits = hits.iter().map(|hit| hit.distance.to_bits()).collect();
                cases.push(Case { query, params, ids, bits, stats });
            }
        }
        Self {
            about: golden.about.to_owned(),
            sha256,
            rows: golden.rows,
            dimensions: golden.dimensions,
            metric: golden.metric.as_str().to_owned(),
            element: golden.element.as_str().to_owned(),
            payload: golden.payload,
            queries,
            cases,
        }
    }

    /// JSON, a line a search.
    #[must_use]
    pub fn write(&self) -> String {
        let Self { about, sha256, rows, dimensions, metric, element, payload, queries, cases } = self;
        let mut text = format!(
            "{{\n\"description\":\"{about}\",\n\"sha256\":\"{sha256}\",\n\"rows\":{rows},\"dimensions\":{dimensions},\
             \"metric\":\"{metric}\",\"element\":\"{element}\",\"payload\":{payload},\n\"queries\":[\n"
        );
        text.push_str(&queries.iter().map(Form::write).collect::<Vec<_>>().join(",\n"));
        text.push_str("\n],\n\"searches\":[\n");
        text.push_str(&cases.iter().map(Case::write).collect::<Vec<_>>().join(",\n"));
        text.push_str("\n]}\n");
        text
    }

    /// Reads what [`Expected::write`] wrote; `None` where a field is missing or of another kind.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let number = |key: &str| value[key].as_u64().map(|number| number as usize);
        Some(Self {
            about: text("description")?,
            sha256: text("sha256")?,
            rows: number("rows")?,
            dimensions: number("dimensions")?,
            metric: text("metric")?,
            element: text("element")?,
            payload: value["payload"].as_bool()?,
            queries: value["queries"].as_array()?.iter().map(Form::read).collect::<Option<_>>()?,
            cases: value["searches"].as_array()?.iter().map(Case::read).collect::<Option<_>>()?,
        })
    }
}

impl Case {
    fn write(&self) -> String {
        let SearchParams { k, effort, plan, refine, rerank, probes, radius, layout, .. } = self.params;
        let mut text = format!("{{\"query\":{},\"k\":{k}", self.query);
        let mut add = |key: &str, value: &dyn std::fmt::Display| write!(text, ",\"{key}\":{value}").is_ok();
        match effort {
            Effort::Ef(ef) => add("ef", &ef),
            Effort::Recall(recall) => add("recall_bits", &recall.to_bits()),
            Effort::Auto => true,
        };
        plan.map(|plan| add("plan", &format_args!("\"{}\"", plan.as_str())));
        refine.map(|refine| add("refine", &format_args!("\"{}\"", refine.as_str())));
        rerank.map(|rerank| add("rerank", &rerank));
        probes.map(|probes| add("probes", &probes));
        radius.map(|radius| add("radius_bits", &radius.to_bits()));
        if layout == Layout::Fast {
            add("layout", &"\"fast\"");
        }
        let ids: Vec<String> = self.ids.iter().map(|id| format!("\"{id}\"")).collect();
        add("ids", &format_args!("[{}]", ids.join(",")));
        add("bits", &format!("{:?}", self.bits).replace(' ', ""));
        add("distances", &self.stats.distances);
        add("hops", &self.stats.hops);
        text + "}"
    }

    fn read(value: &Value) -> Option<Self> {
        let number = |key: &str| value[key].as_u64();
        let float = |key: &str| number(key).map(|bits| f32::from_bits(bits as u32));
        let mut params = SearchParams::default().k(number("k")? as usize);
        if let Some(ef) = number("ef") {
            params.effort = Effort::Ef(ef as usize);
        }
        if let Some(recall) = float("recall_bits") {
            params.effort = Effort::Recall(recall);
        }
        params.plan = value["plan"].as_str().and_then(|word| word.parse().ok());
        params.refine = value["refine"].as_str().and_then(|word| word.parse().ok());
        params.rerank = number("rerank").map(|rerank| rerank as usize);
        params.probes = number("probes").map(|probes| probes as usize);
        params.radius = float("radius_bits");
        if let Some(layout) = value["layout"].as_str() {
            params.layout = layout.parse().ok()?;
        }
        Some(Self {
            query: number("query")? as usize,
            params,
            ids: value["ids"].as_array()?.iter().map(|id| id.as_str()?.parse().ok()).collect::<Option<_>>()?,
            bits: value["bits"].as_array()?.iter().map(|bits| Some(bits.as_u64()? as u32)).collect::<Option<_>>()?,
            stats: Stats { distances: number("distances")?, hops: number("hops")?, ..Stats::default() },
        })
    }
}

/// A row itself, near a row, far from all, and the other way round or nowhere.
fn queries(golden: &Golden, made: &Made) -> Vec<Form> {
    let vectors = made.vectors(golden.element, golden.dimensions);
    let mut random = Random::new(golden.seed() ^ 0x0071_7565_7279);
    let kernels = nearshore_core::distance::Kernels::best();
    let row = |random: &mut Random| {
        let mut values = vec![0.5; golden.dimensions];
        if golden.rows > 0 {
            decode(kernels, golden.element, vectors.row(random.below(golden.rows as u64) as usize), &mut values);
        }
        values
    };
    let integers = matches!(golden.element, Element::U8 | Element::I8);
    let size = if integers { 16.0 } else { 0.125 };
    let exact = row(&mut random);
    let near: Vec<f32> = row(&mut random).into_iter().map(|value| value + random.float() * size).collect();
    let far: Vec<f32> = (0..golden.dimensions).map(|_| random.float() * size * 64.0).collect();
    let last = if golden.metric == Metric::Cosine { exact.iter().map(|value| -value).collect() } else { vec![0.0; golden.dimensions] };
    let own = match golden.element {
        Element::U8 => Some(Form::U8(exact.iter().map(|&value| value as u8).collect())),
        Element::I8 => Some(Form::I8(exact.iter().map(|&value| value as i8).collect())),
        Element::F32 | Element::F16 => None,
    };
    let mut queries: Vec<Form> = own.into_iter().collect();
    queries.extend([exact, near, far, last].map(Form::F32));
    queries
}

/// The ways in which each query is asked.
fn searches(golden: &Golden) -> Vec<SearchParams> {
    let originals = golden.originals || matches!(golden.element, Element::U8 | Element::I8);
    let best = if originals { Refine::Originals } else { Refine::Records };
    let (scan, walk) = (|k| SearchParams::default().plan(Plan::Scan).k(k), |ef| SearchParams::ef(ef).plan(Plan::Walk));
    let ten = if golden.rows < 100 { 6 } else { 10 };
    if golden.tiles.is_some() {
        return searches_of_tiles(golden, best);
    }
    let mut searches = vec![
        scan(ten).refine(Refine::Records),
        walk(10).k(ten).refine(Refine::Records),
        walk(1).k(1).refine(Refine::Records),
        walk(40).k(ten).refine(best),
        SearchParams::recall(0.99).k(ten).plan(Plan::Walk),
    ];
    if originals {
        searches.push(scan(ten).refine(Refine::Originals));
        searches.push(walk(30).k(5).rerank(30).refine(Refine::Originals));
    }
    // Any number stands for "a radius" here: `of` puts the right one in.
    searches.push(scan(ten).refine(Refine::Records).radius(0.0));
    searches.push(walk(20).k(ten).refine(Refine::Records).radius(0.0));
    if golden.layout == Layout::Fast {
        for walk in [walk(10).refine(Refine::Records), walk(40).k(ten), walk(2).k(1), SearchParams::recall(0.9).plan(Plan::Walk)] {
            searches.push(walk.layout(Layout::Fast));
        }
    }
    if golden.rows < 100 {
        searches.push(walk(3).k(golden.rows + 3));
        searches.push(SearchParams::default());
    } else {
        searches.push(SearchParams::recall(0.8).k(3).plan(Plan::Walk));
    }
    searches
}

/// The ways in which a file in tiles is asked: one tile and one record, more, all; more hits than the tiles probed have rows, and than
/// there are.
fn searches_of_tiles(golden: &Golden, best: Refine) -> Vec<SearchParams> {
    let scan = SearchParams::default().plan(Plan::Scan).refine(Refine::Records);
    let tiles = |probes, rerank, k| SearchParams::default().plan(Plan::Tiles).refine(Refine::Records).probes(probes).rerank(rerank).k(k);
    let mut searches = vec![
        scan,
        tiles(1, 1, 1),
        tiles(2, 12, 10),
        tiles(4, 30, 10),
        tiles(1, 20, 30),
        tiles(1000, golden.rows, 15),
        SearchParams::default(),
        SearchParams::recall(0.8).k(3).plan(Plan::Tiles),
        SearchParams::ef(25).plan(Plan::Tiles),
        // Any number stands for "a radius" here: `of` puts the right one in.
        scan.radius(0.0),
        tiles(3, 20, 10).radius(0.0),
    ];
    if golden.columns {
        searches.push(tiles(3, 5, golden.rows + 3));
    }
    if best == Refine::Originals {
        searches.extend([scan.refine(best), tiles(3, 20, 10).refine(best)]);
    }
    searches
}
