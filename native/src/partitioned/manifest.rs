//! What a folder of steps says of itself: JSON, for people as well.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use nearshore_core::build::{BuildParams, Layers};
use serde_json::{Map, Value, json};

use super::Job;
use crate::size::bytes;

/// Version of the folder's files.
const VERSION: u64 = 3;

/// Options that are sizes.
const MEMORY: &str = "memory";
const PAGE: &str = "page_bytes";

/// Where rows come from, in words that bring them again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The vectors; `-` is standard input.
    pub input: PathBuf,
    /// A file of ids.
    pub ids: Option<PathBuf>,
    /// A column, or a file of lines.
    pub payload: Option<String>,
    /// Columns, or `all`.
    pub columns: Vec<String>,
    /// The format, where the extension does not say it.
    pub format: Option<String>,
    /// The column of vectors.
    pub vector_column: Option<String>,
    /// The column of ids.
    pub id_column: Option<String>,
}

impl Source {
    /// The files that it reads; `None` where one of them has no name.
    fn files(&self) -> Option<Vec<&Path>> {
        let payload = self.payload.as_deref().map(Path::new).filter(|path| path.is_file());
        (self.input != Path::new("-")).then(|| [Some(self.input.as_path()), self.ids.as_deref(), payload].into_iter().flatten().collect())
    }

    /// Size and time of each file, for want of reading them; empty where these say nothing.
    fn stamps(&self) -> Vec<Value> {
        let stamp = |path: &Path| {
            let data = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
            let modified = data.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            Some(json!({ "path": path.to_str()?, "bytes": data.len(), "modified_ns": u64::try_from(modified.as_nanos()).ok()? }))
        };
        let stamps = self.files().and_then(|files| files.into_iter().map(stamp).collect());
        stamps.unwrap_or_default()
    }

    fn to_json(&self) -> Value {
        let path = |path: &Path| path.to_str().map(str::to_owned);
        json!({
            "input": path(&self.input), "ids": self.ids.as_deref().and_then(path), "payload": self.payload, "columns": self.columns,
            "format": self.format, "vector_column": self.vector_column, "id_column": self.id_column,
        })
    }

    fn of_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Some(Self {
            input: text("input")?.into(),
            ids: text("ids").map(PathBuf::from),
            payload: text("payload"),
            columns: value["columns"].as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?,
            format: text("format"),
            vector_column: text("vector_column"),
            id_column: text("id_column"),
        })
    }

    /// What of it decides which numbers are read of the files.
    fn options(&self) -> Map<String, Value> {
        let mut options = Map::new();
        options.insert("payload".into(), json!(self.payload));
        options.insert("columns".into(), json!(self.columns));
        options.insert("vector_column".into(), json!(self.vector_column));
        options.insert("id_column".into(), json!(self.id_column));
        options
    }
}

/// What was planned, and of what.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Where rows come from.
    pub source: Source,
    /// What decides the bytes, beside them.
    pub params: BuildParams,
    /// The bound.
    pub memory: u64,
    /// Partitions.
    pub partitions: u32,
    /// Whether their number was asked for.
    pub(super) asked: Option<u32>,
    /// A digest of all that was read.
    pub digest: u64,
    /// Rows that were read.
    pub rows: u64,
    pub(super) stamps: Vec<Value>,
    pub(super) plan_digest: u64,
    /// A check of each partition's records.
    pub(super) checks: Vec<u64>,
    /// A digest of all records, in any order.
    pub(super) records: u64,
}

impl Manifest {
    /// The source and options of a job, as they are now.
    pub(super) fn new(job: &Job<'_>) -> Self {
        Self {
            source: job.source.clone(),
            params: *job.params,
            memory: job.memory,
            partitions: 0,
            asked: job.partitions,
            digest: 0,
            rows: 0,
            stamps: job.source.stamps(),
            plan_digest: 0,
            checks: Vec::new(),
            records: 0,
        }
    }

    /// The job that it is the manifest of.
    #[must_use]
    pub fn job(&self) -> Job<'_> {
        Job { source: &self.source, params: &self.params, memory: self.memory, partitions: self.asked }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let hex = |number: &u64| format!("{number:016x}");
        let value = json!({
            "version": VERSION, "nearshore": env!("CARGO_PKG_VERSION"), "source": self.source.to_json(), "files": self.stamps,
            "options": options(&self.job()), "rows": self.rows, "digest": hex(&self.digest), "partitions": self.partitions,
            "plan": hex(&self.plan_digest), "checks": self.checks.iter().map(hex).collect::<Vec<_>>(),
            "records": hex(&self.records),
        });
        format!("{value:#}\n").into_bytes()
    }

    /// `None` where these are not the bytes of a manifest of this version.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        if value["version"] != VERSION || value["nearshore"] != env!("CARGO_PKG_VERSION") {
            return None;
        }
        let hex = |value: &Value| u64::from_str_radix(value.as_str()?, 16).ok();
        let options = &value["options"];
        Some(Self {
            source: Source::of_json(&value["source"])?,
            params: params(options)?,
            memory: options["memory"].as_u64()?,
            asked: options["partitions"].as_u64().map(u32::try_from).transpose().ok()?,
            partitions: u32::try_from(value["partitions"].as_u64()?).ok()?,
            digest: hex(&value["digest"])?,
            rows: value["rows"].as_u64()?,
            stamps: value["files"].as_array()?.clone(),
            plan_digest: hex(&value["plan"])?,
            checks: value["checks"].as_array()?.iter().map(hex).collect::<Option<_>>()?,
            records: hex(&value["records"])?,
        })
    }

    /// Whether a job has the options of this one.
    ///
    /// # Errors
    /// The first that differs, in words.
    pub(super) fn same_options(&self, job: &Job<'_>) -> Result<(), String> {
        let (own, other) = (options(&self.job()), options(job));
        let differs = own.iter().find(|(key, value)| other.get(*key) != Some(*value));
        differs.map_or(Ok(()), |(key, value)| {
            let told = [Some(value), other.get(key)].map(|value| value.unwrap_or(&Value::Null));
            let [mut then, mut now] = told.map(|value| words(key, value));
            if then == now {
                // Sizes that differ by less than is shown.
                [then, now] = told.map(Value::to_string);
            }
            // As it is called where it is given.
            let option = if key == PAGE { "page".to_owned() } else { key.replace('_', "-") };
            Err(format!("--{option}: {then} then, {now} now"))
        })
    }

    /// Whether the files of `source` are those of this one, by name, size and time.
    pub(super) fn same_files(&self, source: &Source) -> bool {
        !self.stamps.is_empty() && self.stamps == source.stamps()
    }
}

/// An option's value as people write it.
fn words(key: &str, value: &Value) -> String {
    match value.as_u64() {
        _ if value.is_null() => "not given".to_owned(),
        Some(count) if [MEMORY, PAGE].contains(&key) => bytes(count),
        _ => value.to_string().replace('"', ""),
    }
}

/// Everything that decides the bytes and is not read from a file: of the parameters those that `parts::check_params` does not bind to one value.
fn options(job: &Job<'_>) -> Map<String, Value> {
    let Job { source, params, memory, partitions } = job;
    let mut options = source.options();
    let own = json!({
        "metric": params.metric.as_str(), "m": params.m, "ef_construction": params.ef_construction, "seed": params.seed,
        "originals": if params.originals { "keep" } else { "drop" }, "codes": params.codes.as_str(), "tier": params.tier.as_str(),
        "page_bytes": params.page_bytes,
        "layout": params.layout.as_str(), "layers": if params.layers == Layers::One { "one" } else { "many" },
        "keep_pruned": params.keep_pruned, "quality": params.quality, "memory": memory, "partitions": partitions,
    });
    options.extend(own.as_object().cloned().unwrap_or_default());
    options
}

fn params(options: &Value) -> Option<BuildParams> {
    let text = |key: &str| options[key].as_str();
    let count = |key: &str| usize::try_from(options[key].as_u64()?).ok();
    let mut params = BuildParams::default();
    params.metric = text("metric")?.parse().ok()?;
    params.m = count("m")?;
    params.ef_construction = count("ef_construction")?;
    params.seed = options["seed"].as_u64()?;
    params.originals = text("originals")? == "keep";
    params.codes = text("codes")?.parse().ok()?;
    params.tier = text("tier")?.parse().ok()?;
    params.page_bytes = u32::try_from(count("page_bytes")?).ok()?;
    params.layout = text("layout")?.parse().ok()?;
    params.layers = if text("layers")? == "one" { Layers::One } else { Layers::Many };
    params.keep_pruned = options["keep_pruned"].as_bool()?;
    params.quality = options["quality"].as_bool()?;
    Some(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearshore_core::build::Codes;
    use nearshore_core::format::Metric;

    #[test]
    fn a_manifest_comes_back_and_names_what_differs() {
        let source = Source { input: "/data/base.fbin".into(), columns: vec!["year".into()], ..Source::default() };
        let params = BuildParams::new(Metric::Cosine).m(24).seed(u64::MAX).codes(Codes::U4);
        let job = Job { source: &source, params: &params, memory: 2 << 30, partitions: Some(8) };
        let manifest =
            Manifest { partitions: 8, digest: 7, rows: 1000, plan_digest: u64::MAX, checks: vec![1, 2], records: 3, ..Manifest::new(&job) };
        let again = Manifest::parse(&manifest.to_bytes()).unwrap();
        assert_eq!((&again.source, again.params, again.memory, again.asked), (&source, params, 2 << 30, Some(8)));
        assert_eq!((again.digest, again.rows, again.plan_digest, &again.checks, again.records), (7, 1000, u64::MAX, &manifest.checks, 3));
        assert_eq!(again.same_options(&job), Ok(()));
        let other = params.m(32);
        assert_eq!(again.same_options(&Job { params: &other, ..job }), Err("--m: 24 then, 32 now".to_owned()));
        assert_eq!(again.same_options(&Job { partitions: None, ..job }), Err("--partitions: 8 then, not given now".to_owned()));
        let memory = |memory| again.same_options(&Job { memory, ..job });
        assert_eq!(memory(64 << 20), Err("--memory: 2.00 GiB then, 64.00 MiB now".to_owned()));
        assert_eq!(memory((2 << 30) + 1), Err("--memory: 2147483648 then, 2147483649 now".to_owned()));
        let mut paged = params;
        paged.page_bytes = 16 << 10;
        assert_eq!(again.same_options(&Job { params: &paged, ..job }), Err("--page: 4.00 KiB then, 16.00 KiB now".to_owned()));
        for (name, other) in
            [("layers", params.layers(Layers::One)), ("keep-pruned", params.keep_pruned(true)), ("quality", params.quality(false))]
        {
            let differing = Job { params: &other, ..job };
            assert!(again.same_options(&differing).unwrap_err().starts_with(&format!("--{name}: ")));
            assert_eq!(Manifest::parse(&Manifest::new(&differing).to_bytes()).unwrap().params, other);
        }
        assert!(Manifest::parse(b"{}").is_none() && Manifest::parse(b"").is_none());
    }
}
