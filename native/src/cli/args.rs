//! What the command line understands. Every option is here; what they do is in the file of their command.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, Parser, Subcommand};
use nearshore::Driver;
use nearshore::build::{BuildParams, Builder, Codes, Tier};
use nearshore::dataset::{Format, Options};
use nearshore::filter::Filter;
use nearshore::format::{Metric, Plan, Refine};
use nearshore::search::Layout;

use super::fail::Fail;
use super::size::{Bytes, whole};

/// A vector index in one file: build it, search it, measure it.
#[derive(Debug, Parser)]
#[command(name = "nearshore", version, propagate_version = true, after_help = EXAMPLES, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

const EXAMPLES: &str = "Examples:
  nearshore build vectors.fbin -o vectors.shore --metric cosine
  nearshore search vectors.shore --vector '[0.1, 0.2, 0.3]' --k 5
  nearshore truth vectors.fbin --queries queries.fbin --metric cosine -o truth.ibin
  nearshore bench vectors.shore --queries queries.fbin --truth truth.ibin --recall 0.9,0.95,0.99
  nearshore tune vectors.shore --queries queries.fbin -o tuned.shore
  nearshore serve data

Exit codes: 0 done, 2 usage, 3 bad input, 4 I/O or disk full, 5 damaged index, 129 hangup (SIGHUP),
  130 interrupted (Ctrl-C), 141 output closed by its reader, 143 ended (SIGTERM)";

/// What can guide walks.
pub(super) const CODES: &[&str] = &["none", "u4", "rabitq1", "rabitq2", "rabitq4", "pq32", "pq64", "pq128"];

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// One JSON object on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress and no summary
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Says more, also about what caused an error
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Threads [default: one for each core; of bench, and of search --driver pread or uring: 1]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Builds an index from a file of vectors
    #[command(after_help = BUILD_EXAMPLES)]
    Build(Box<BuildArgs>),
    /// The last step of a build in partitions: what they found becomes one index
    #[command(after_help = super::partitioned::MERGE_EXAMPLES)]
    Merge(super::partitioned::MergeArgs),
    /// Makes one index of several that lie in their files: a set of segments
    #[command(after_help = super::set::EXAMPLES)]
    Set(super::set::SetArgs),
    /// Searches an index
    #[command(after_help = SEARCH_EXAMPLES)]
    Search(SearchArgs),
    /// Measures recall, speed and memory of an index
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(Box<BenchArgs>),
    /// Finds exact answers by comparing everything with everything
    #[command(after_help = TRUTH_EXAMPLES)]
    Truth(TruthArgs),
    /// Measures anew, on your queries, which effort gives which recall, and writes a copy of the index that knows
    #[command(after_help = TUNE_EXAMPLES)]
    Tune(TuneArgs),
    /// Lays an index out anew for another use: browsers that fetch what a search needs, or a disk
    #[command(after_help = super::export::EXAMPLES)]
    Export(super::export::ExportArgs),
    /// Says what is in an index: sections, bytes, options, quality table
    Info(FileArgs),
    /// Checks every block and every bound of an index
    Verify(FileArgs),
    /// Serves a collection over HTTP: insert, search, delete, get, save
    #[cfg(feature = "server")]
    #[command(after_help = super::serve::EXAMPLES)]
    Serve(super::serve::ServeArgs),
    /// Writes a shell's completions to standard output
    #[command(after_help = "Example:\n  nearshore completions bash > ~/.local/share/bash-completion/completions/nearshore")]
    Completions(CompletionsArgs),
}

const BUILD_EXAMPLES: &str = "Inputs: .fbin .f16bin .u8bin .i8bin .fvecs .bvecs .npy .parquet .jsonl, or - for standard input.

Examples:
  nearshore build base.u8bin -o base.shore
  nearshore build articles.parquet -o articles.shore --metric cosine --payload title --columns year,section
  zcat rows.jsonl.gz | nearshore build - --format jsonl -o rows.shore
  nearshore build large.fbin -o large.shore --memory 2GiB";

/// How an input is read.
#[derive(Debug, Args)]
pub(crate) struct InputArgs {
    /// Format, where the extension does not say it
    #[arg(long, value_name = "FORMAT", value_parser = words::<Format>(&["fbin", "f16bin", "u8bin", "i8bin", "fvecs", "bvecs", "npy", "parquet", "jsonl"]))]
    pub(crate) format: Option<Format>,
    /// Folder for temporary files (Parquet, JSONL, pipes) [default: the system's]
    #[arg(long, value_name = "DIR")]
    pub(crate) tmp: Option<PathBuf>,
    /// Column of the vectors in Parquet and JSONL [default: vector, embedding, or the only list of numbers]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) vector_column: Option<String>,
    /// Column of the ids in Parquet and JSONL [default: id, where there is one]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) id_column: Option<String>,
}

impl InputArgs {
    /// The same for the library.
    pub(crate) fn options<'a>(&'a self, payload: Option<&'a str>, progress: &'a dyn Fn(u64, Option<u64>)) -> Options<'a> {
        let tmp = self.tmp.as_deref();
        let (vector, id) = (self.vector_column.as_deref(), self.id_column.as_deref());
        Options { format: self.format, tmp, vector, id, payload, columns: None, progress }
    }
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Vectors, one a row; - is standard input (fbin unless --format says otherwise)
    pub(crate) input: PathBuf,
    /// The index
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Distance: squared Euclidean, 1 - dot product, 1 - cosine
    #[arg(long, default_value = "l2", value_parser = words::<Metric>(&["l2", "ip", "cosine"]))]
    pub(crate) metric: Metric,
    /// Neighbours of a node (the base layer has twice as many)
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=256))]
    pub(crate) m: u16,
    /// Candidates looked at for a node's neighbours: more is slower and better
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) ef_construction: u32,
    /// How neighbours are found: all pairs inside overlapping leaves, a search for each row (HNSW's own way; twice as slow), or two searches
    /// for each and pruning by --alpha-sq (Vamana; four times as slow)
    #[arg(long, default_value = "leaves", value_parser = words::<Builder>(&["leaves", "insertion", "vamana"]))]
    pub(crate) builder: Builder,
    /// For vamana: how much nearer to a candidate a neighbour must be to stand for it, as a factor on squared lengths, 1 to 4 (the paper's
    /// alpha, squared) [default: 1.2]
    #[arg(long, value_name = "A")]
    pub(crate) alpha_sq: Option<f32>,
    /// The same input, options and seed give the same bytes
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Ids in a file: u64 little-endian, .npy, or .txt with one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) ids: Option<PathBuf>,
    /// Whether the input rows go into the file beside their codes, for exact distances
    #[arg(long, default_value = "keep", value_name = "keep|drop", value_parser = ["keep", "drop"])]
    pub(crate) originals: String,
    #[command(flatten)]
    pub(crate) tier: super::tier::TierArgs,
    /// What guides walks: records (none); four bits a dimension beside them (u4): an eighth faster, and
    /// a third larger without originals; or fewer bytes (rabitq1, 2, 4; pq32, 64, 128), which browsers refuse
    /// [default: none; u4 with --tier disk]
    #[arg(long, value_parser = words::<Codes>(CODES))]
    pub(crate) codes: Option<Codes>,
    /// What walks may read: nodes' own rows (lean), or also codes of each node's neighbours beside it (fast): up to half
    /// again as fast, at a million rows twice, for 12 bytes and a bit a dimension for each of 2 m neighbours, and twice the time of
    /// the build. A search takes them with --layout fast
    #[arg(long, default_value = "lean", value_parser = words::<Layout>(&["lean", "fast"]))]
    pub(crate) layout: Layout,
    /// What hits bring back: a column of Parquet or JSONL; beside other inputs a text file, one line a row
    #[arg(long, value_name = "COLUMN|FILE")]
    pub(crate) payload: Option<String>,
    /// What searches can be filtered by: columns of Parquet or JSONL, or `all` of them that hold single values
    #[arg(long, value_name = "COLUMN,...|all", value_delimiter = ',', value_parser = trimmed)]
    pub(crate) columns: Vec<String>,
    /// Rows of a file at most: an input of more becomes a set of segments, of about as many rows each. For -o base.shore that is base.shores,
    /// which lists base.0.shore, base.1.shore and so on; an output that is called .shores is a set in any case [default: 4294967294]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=super::segments::ROWS_MAX))]
    pub(crate) segment_rows: Option<u32>,
    #[command(flatten)]
    pub(crate) bound: super::partitioned::BoundArgs,
    #[command(flatten)]
    pub(crate) from: InputArgs,
    /// Replaces an existing file; of a set, its list and the segments beside it, whatever other lists name them
    #[arg(long)]
    pub(crate) force: bool,
}

impl BuildArgs {
    /// The files that it reads.
    pub(crate) fn inputs(&self) -> Vec<&Path> {
        [Some(self.input.as_path()), self.ids.as_deref(), self.payload.as_deref().map(Path::new)].into_iter().flatten().collect()
    }

    /// What decides the bytes, beside the rows.
    pub(crate) fn params(&self, tier: Tier) -> BuildParams {
        let mut params = BuildParams::new(self.metric).m(usize::from(self.m)).ef_construction(self.ef_construction as usize);
        params = params
            .builder(self.builder)
            .alpha_sq(self.alpha_sq.unwrap_or(params.alpha_sq))
            .seed(self.seed)
            .originals(self.originals == "keep")
            .codes(self.codes.unwrap_or(if tier == Tier::Disk { Codes::U4 } else { Codes::None }))
            .layout(self.layout);
        params.tier = tier;
        params.page_bytes = self.tier.page.unwrap_or(params.page_bytes);
        params
    }
}

const SEARCH_EXAMPLES: &str = "Examples:
  nearshore search base.shore --queries queries.fbin --k 10 --recall 0.95 --json
  nearshore search base.shore --vector '[0.1, 0.2, 0.3]' --ef 100
  nearshore search base.shore --vector '[0.1, 0.2, 0.3]' --plan scan --radius 0.5
  nearshore search articles.shore --queries queries.fbin --filter 'year >= 2020 and section in (\"arts\", \"film\")'

Filters compare columns: = != < <= > >=, between .. and .., in (..), is null, joined by and, or, not.";

/// Which rows count.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// Only rows that meet a condition on columns, such as 'price < 20 and not sold'
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
}

impl FilterArgs {
    /// The condition, read.
    pub(crate) fn parse(&self) -> Result<Option<Filter>, Fail> {
        let parsed = self.filter.as_deref().map(Filter::parse).transpose();
        parsed.map_err(|error| Fail::usage(format!("--filter: {error}")))
    }
}

/// How a search goes about it.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Compares all rows, walks along the graph, or reads the nearest tiles [default: as the file says]
    #[arg(long, value_parser = words::<Plan>(&["scan", "walk", "tiles"]))]
    pub(crate) plan: Option<Plan>,
    /// Tiles whose codes are read [default: as the effort says]
    #[arg(long, value_name = "N", value_parser = whole)]
    pub(crate) probes: Option<usize>,
    /// What a walk reads: nodes' own rows, or codes of neighbours beside each node, which are made when the file is opened unless
    /// `build --layout fast` put them into it
    #[arg(long, default_value = "lean", value_parser = words::<Layout>(&["lean", "fast"]))]
    pub(crate) layout: Layout,
    /// Candidates whose distances are computed again: from the originals [default: those in doubt], or from records where
    /// codes guide the walk [default: max(20, 2 k) and those in doubt, up to 15 times as many; by rabitq codes those in doubt; by parts
    /// 10 k]; of a search of tiles those whose records are read [default: as the effort says]
    #[arg(long, value_name = "N", value_parser = whole)]
    pub(crate) rerank: Option<usize>,
    /// What the final order is computed from [default: as the file says]
    #[arg(long, value_parser = words::<Refine>(&["records", "originals"]))]
    pub(crate) refine: Option<Refine>,
    /// How the file is read: into memory at once, or mapped; or what guides searches into memory and the rest as it is wanted, by
    /// positioned reads or io_uring. Changes cost, never answers. A mapped file must not be shortened or written over meanwhile: the former ends the process, and what was checked is not checked again; with
    /// pread and uring that ends searches in an error; mapped with these, too, are the columns of a filter, originals of a file that was built
    /// neither for a disk nor in tiles (but for walks by its codes), and what guides searches where it is said to be mapped for want of memory
    #[arg(long, default_value = "auto", value_parser = words::<Driver>(&["auto", "slice", "mmap", "pread", "uring"]))]
    pub(crate) driver: Driver,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("asked").args(["queries", "vector"]).required(true)))]
pub(crate) struct SearchArgs {
    /// The index
    pub(crate) file: PathBuf,
    /// Queries, one a row, in any input format; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) queries: Option<PathBuf>,
    /// One query, as a JSON list
    #[arg(long, value_name = "JSON")]
    pub(crate) vector: Option<String>,
    /// Hits a query
    #[arg(long, short, default_value_t = 10, value_name = "N", value_parser = whole)]
    pub(crate) k: usize,
    /// Effort: candidates kept while walking
    #[arg(long, value_name = "N", value_parser = whole, conflicts_with = "recall")]
    pub(crate) ef: Option<usize>,
    /// Effort: the cheapest whose measured recall is at least this [default: 0.95]
    #[arg(long, value_name = "R")]
    pub(crate) recall: Option<f32>,
    /// Only hits at most this far away
    #[arg(long, value_name = "D", allow_negative_numbers = true)]
    pub(crate) radius: Option<f32>,
    /// With --driver pread or uring: bytes that stay in memory, such as 100MiB; what searches in flight read comes on top, until they end
    /// [default: what guides searches]
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory: Option<Bytes>,
    #[command(flatten)]
    pub(crate) only: FilterArgs,
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    #[command(flatten)]
    pub(crate) from: InputArgs,
}

const BENCH_EXAMPLES: &str =
    "Times are of single queries; distances, hops, blocks and bytes are means of a query: distances computed, nodes expanded,
blocks of the file (64 KiB at most) that a first query would touch, and their bytes. `ef/gamma`: a pool of ef nodes, and, behind the stroke,
how much farther than the last hit a candidate may be before the walk ends (0.05: a twentieth).

Examples:
  nearshore bench base.shore --queries queries.fbin --truth truth.ibin --ef 10,20,40,80
  nearshore bench base.shore --queries queries.fbin --truth truth.ibin --recall 0.9,0.95,0.99 --threads 8 --json
  nearshore bench concurrent base.shore --queries queries.fbin
  nearshore bench billion --dir /mnt/disk";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) mode: Option<BenchMode>,
    /// The index
    // Optional to the parser alone, because a mode does without.
    #[arg(required = true)]
    pub(crate) file: Option<PathBuf>,
    /// Queries, one a row, in any input format
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) queries: Option<PathBuf>,
    /// Their exact answers (.ibin, .ivecs), for the recall; `nearshore truth` makes them. May hold those of further queries behind
    #[arg(long, value_name = "FILE")]
    pub(crate) truth: Option<PathBuf>,
    /// Hits a query
    #[arg(long, short, default_value_t = 10, value_name = "N", value_parser = whole)]
    pub(crate) k: usize,
    /// Efforts to measure [default: the one that --recall 0.95 stands for]
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', value_parser = whole, conflicts_with = "recall")]
    pub(crate) ef: Vec<usize>,
    /// Efforts to measure, by the recall that the file's quality table promises
    #[arg(long, value_name = "R,R,...", value_delimiter = ',')]
    pub(crate) recall: Vec<f32>,
    /// With --driver pread or uring: bytes that stay in memory, first what guides searches, then blocks that came before, such as 100MiB; what
    /// searches in flight read comes on top, until they end (--in-flight) [default: what guides searches]
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory: Option<Bytes>,
    /// With --driver pread or uring, where memory does not hold the graph: nodes ahead whose edges are read [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) read_ahead: Option<u16>,
    /// With --driver pread or uring: searches in flight on each thread at most, one begun only when no other can go on
    /// [default: 8 where codes and graph are in memory, 32 where edges are read, 8 where codes are as well, else 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) in_flight: Option<u16>,
    #[command(flatten)]
    pub(crate) only: FilterArgs,
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    #[command(flatten)]
    pub(crate) from: InputArgs,
}

impl BenchArgs {
    /// The index, there unless a mode was chosen.
    pub(crate) fn file(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new(""))
    }

    /// The queries, likewise.
    pub(crate) fn queries(&self) -> &Path {
        self.queries.as_deref().unwrap_or(Path::new(""))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchMode {
    /// Measures readers of the index alone, then beside a writer that inserts into it, then the writer alone
    #[command(after_help = super::concurrent::EXAMPLES)]
    Concurrent(super::concurrent::ConcurrentArgs),
    /// Reads rows of a sparse file of a billion rows of 1,024 f32, by every driver; needs no space to speak of
    #[command(after_help = super::billion::EXAMPLES)]
    Billion(super::billion::BillionArgs),
}

const TRUTH_EXAMPLES: &str = "Examples:
  nearshore truth base.u8bin --queries queries.u8bin -o truth.ibin
  nearshore truth base.fbin --queries queries.fbin --metric cosine --k 100 -o truth.ibin
  nearshore truth articles.parquet --queries queries.fbin --metric cosine --filter 'year >= 2020' -o truth.ibin";

#[derive(Debug, Args)]
pub(crate) struct TruthArgs {
    /// Vectors, one a row
    pub(crate) base: PathBuf,
    /// Queries, one a row
    #[arg(long, value_name = "FILE")]
    pub(crate) queries: PathBuf,
    /// The answers: .ibin (ids and distances) or .ivecs (ids)
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Answers a query
    #[arg(long, short, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) k: u32,
    /// Distance: squared Euclidean, 1 - dot product, 1 - cosine
    #[arg(long, default_value = "l2", value_parser = words::<Metric>(&["l2", "ip", "cosine"]))]
    pub(crate) metric: Metric,
    #[command(flatten)]
    pub(crate) only: FilterArgs,
    /// Ids of the base in a file: u64 little-endian, .npy, or .txt with one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) ids: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) from: InputArgs,
    /// Replaces an existing file
    #[arg(long)]
    pub(crate) force: bool,
}

const TUNE_EXAMPLES: &str =
    "A build measures on rows of its own. Queries of another kind, such as questions where rows are articles, need more effort for
the same --recall; this finds out how much. Use queries like those to come, a few hundred of them, and none that is a row.

Examples:
  nearshore tune base.shore --queries queries.fbin
  nearshore tune base.shore --queries queries.fbin --truth truth.ibin --recall 0.95 -o tuned.shore";

#[derive(Debug, Args)]
pub(crate) struct TuneArgs {
    /// The index; it stays as it is
    pub(crate) file: PathBuf,
    /// Queries, one a row, in any input format
    #[arg(long, value_name = "FILE")]
    pub(crate) queries: PathBuf,
    /// Their exact answers (.ibin, .ivecs) [default: an exact scan finds them]
    #[arg(long, value_name = "FILE")]
    pub(crate) truth: Option<PathBuf>,
    /// Hits a query
    #[arg(long, short, default_value_t = 10, value_name = "N", value_parser = whole)]
    pub(crate) k: usize,
    /// Recalls to compare the old table and the new one by
    #[arg(long, value_name = "R,R,...", value_delimiter = ',', default_value = "0.9,0.95,0.99")]
    pub(crate) recall: Vec<f32>,
    /// What walks read; the table for the other layout stays as it is
    #[arg(long, default_value = "lean", value_parser = words::<Layout>(&["lean", "fast"]))]
    pub(crate) layout: Layout,
    /// The same index with the new table, as another file
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// How the file is read: into memory at once, or mapped; changes cost, never answers
    #[arg(long, default_value = "auto", value_parser = words::<Driver>(&["auto", "slice", "mmap"]))]
    pub(crate) driver: Driver,
    #[command(flatten)]
    pub(crate) from: InputArgs,
    /// Replaces an existing file
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The index
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// A name of a list, without the blanks that people write behind its commas.
fn trimmed(name: &str) -> Result<String, Infallible> {
    Ok(name.trim().to_owned())
}

/// Words that are listed in help and completions and mean a `T`.
pub(super) fn words<T: FromStr<Err: ToString> + Clone + Send + Sync + 'static>(
    list: &'static [&'static str],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(list).try_map(|word| word.parse::<T>().map_err(|error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
