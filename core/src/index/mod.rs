//! An open `.shore` file: searched where it lies, nothing parsed, nothing copied.
//!
//! Opening touches the 16 KiB header. The small hot tables (mean, quality) are read at the first
//! search and kept; every other block is verified when a search first touches it. An [`Index`] is
//! shared between threads freely; each brings its own [`Scratch`].

mod bounds;
#[cfg(feature = "codes")]
mod coarse;
#[cfg(feature = "filter")]
mod columns;
#[cfg(feature = "filter")]
mod columns_check;
#[cfg(all(feature = "filter", feature = "tiles"))]
mod excerpt;
#[cfg(all(feature = "filter", feature = "tiles"))]
mod excerpt_row;
#[cfg(feature = "codes")]
mod fast;
#[cfg(feature = "codes")]
mod fetched;
#[cfg(feature = "among")]
mod filtered;
#[cfg(feature = "tiles")]
mod pending;
#[cfg(all(feature = "tiles", feature = "among"))]
mod pending_among;
#[cfg(feature = "tiles")]
mod pending_hits;
#[cfg(feature = "codes")]
mod pending_twins;
#[cfg(feature = "codes")]
mod pending_walk;
mod rank;
mod scan;
#[cfg(feature = "tiles")]
mod tiles;
mod view;
mod walk;

use crate::distance::Kernels;
use crate::error::{Corrupt, OpenError};
use crate::format::encoding::CODES_U4;
use crate::format::{Element, Kind, Metric, Plan, Reader, Refine, Section};
#[cfg(feature = "codes")]
use crate::quant::Coarse;
use crate::quant::{CodeLayout, Encoding, RecordLayout, Space};
use crate::search::check;
use crate::search::quality::{self, QualityRow};
use crate::search::{Hit, Scratch, SearchError, SearchParams, Stats};
use crate::vectors::{self, Query};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
#[cfg(feature = "filter")]
pub use columns::{ColumnInfo, ColumnValues};
#[cfg(all(feature = "filter", feature = "tiles"))]
pub use excerpt::{Asked, Excerpt, Inquiry};
#[cfg(all(feature = "filter", feature = "tiles"))]
pub use excerpt_row::FoundRow;
#[cfg(all(feature = "filter", feature = "live"))]
pub(crate) use filtered::AmongWalk;
use once_cell::race::OnceBox;
use view::{Guide, RecordView, corrupt};
#[cfg(feature = "live")]
pub(crate) use walk::widen;

/// Bytes of `quant` before the mean.
pub(crate) const QUANT_HEAD: usize = 16;

/// A file ready to be searched; `B` is whatever holds its bytes.
pub struct Index<B> {
    reader: Reader<B>,
    kernels: &'static Kernels,
    loaded: OnceBox<Loaded>,
    /// Codes of neighbours that were made beside the file.
    #[cfg(feature = "codes")]
    derived: Option<alloc::sync::Arc<crate::graph::surround::Rows>>,
    /// Bytes from the front that searches which wait need not ask for.
    #[cfg(feature = "codes")]
    at_hand: u64,
}

impl<B: AsRef<[u8]>> core::fmt::Debug for Index<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Index").field("superblock", &self.reader.header().superblock).finish_non_exhaustive()
    }
}

/// What the first search reads and all later ones share.
#[derive(Debug)]
struct Loaded {
    space: Space,
    quality: Vec<QualityRow>,
    /// Where the file has codes that guide a walk.
    codes: Option<CodeLayout>,
    #[cfg(feature = "tiles")]
    rotation: crate::quant::rotation::Rotation,
    /// Where it has codes of fewer bits.
    #[cfg(feature = "codes")]
    coarse: Option<Coarse>,
}

impl<B: AsRef<[u8]>> Index<B> {
    /// Opens a file: checks its header, whatever its size.
    ///
    /// # Errors
    /// What is wrong with the header, with the value found and the one that would be right.
    pub fn open(bytes: B) -> Result<Self, OpenError> {
        Self::with_reader(Reader::open(bytes)?)
    }

    fn with_reader(reader: Reader<B>) -> Result<Self, OpenError> {
        let superblock = &reader.header().superblock;
        let needed = [
            (true, Kind::Quant),
            (true, Kind::Records),
            (superblock.plan == Plan::Walk, Kind::Edges),
            (superblock.plan == Plan::Tiles, Kind::Tiles),
            (superblock.plan == Plan::Tiles, Kind::RouteRecords),
            (superblock.plan == Plan::Tiles, Kind::CodesTiles),
            (superblock.refine == Refine::Originals, Kind::Originals),
        ];
        let missing = needed.iter().find(|(needed, kind)| *needed && reader.section(*kind, 0).is_none());
        if let Some(&(_, missing)) = missing {
            return Err(OpenError::Missing { section: missing as u16 });
        }
        Ok(Self {
            #[cfg(feature = "codes")]
            at_hand: reader.bytes().len() as u64,
            reader,
            kernels: Kernels::best(),
            loaded: OnceBox::new(),
            #[cfg(feature = "codes")]
            derived: None,
        })
    }

    /// Uses other kernels than the machine's best: the answers stay the same.
    #[must_use]
    pub fn with_kernels(self, kernels: &'static Kernels) -> Self {
        Self { kernels, ..self }
    }

    /// [`Reader::announcing`]. The answers stay the same.
    #[must_use]
    pub fn announcing(self, announce: fn(&[u8])) -> Self {
        Self { reader: self.reader.announcing(announce), ..self }
    }

    /// Says how many bytes from the front of the file are in memory to stay: searches that wait ask for the tables behind them that a walk
    /// goes by, codes and edges, and for exact duplicates. The answers stay the same. Layers above the base and tombstones are read where they lie.
    #[cfg(feature = "codes")]
    #[must_use]
    pub fn with_at_hand(self, bytes: u64) -> Self {
        Self { at_hand: bytes.min(self.reader.bytes().len() as u64), ..self }
    }

    /// The kernels in use.
    pub fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// The file behind the index.
    pub fn reader(&self) -> &Reader<B> {
        &self.reader
    }

    /// Rows in the file, tombstones included.
    pub fn len(&self) -> usize {
        self.reader.header().superblock.rows as usize
    }

    /// Whether the file holds no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements of a vector.
    pub fn dimensions(&self) -> usize {
        self.reader.header().superblock.dimensions as usize
    }

    /// How far apart two vectors are.
    pub fn metric(&self) -> Metric {
        self.reader.header().superblock.metric
    }

    /// Type of the input's elements.
    pub fn element(&self) -> Element {
        self.reader.header().superblock.element
    }

    /// How a search goes about it unless told.
    pub fn plan(&self) -> Plan {
        self.reader.header().superblock.plan
    }

    /// What the final order is computed from unless told.
    pub fn refine(&self) -> Refine {
        self.reader.header().superblock.refine
    }

    /// Finds the nearest rows; `hits` is replaced, nearest first, ties by the smaller id.
    ///
    /// Cost: a walk computes about `hops * degree` distances, a scan one a row.
    ///
    /// # Errors
    /// A query of the wrong length or with a value that is not finite, a parameter out of range,
    /// or a damaged block, which never leads to a wrong answer.
    pub fn search(
        &self,
        query: Query<'_>,
        params: &SearchParams,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        let plan = params.plan.unwrap_or(self.plan());
        #[cfg(feature = "tiles")]
        if plan == Plan::Tiles {
            return self.search_tiles(
                query,
                params,
                #[cfg(feature = "among")]
                None,
                scratch,
                hits,
            );
        }
        let (loaded, refine) = self.begin(query, params, scratch, hits)?;
        match plan {
            Plan::Scan => self.scan(loaded, params, refine, scratch, hits),
            #[cfg(feature = "codes")]
            Plan::Walk if params.layout == crate::search::Layout::Fast => self.sweep(loaded, params, refine, scratch, hits),
            Plan::Walk => self.walk(loaded, params, refine, scratch, hits),
            Plan::Tiles => Err(SearchError::Unsupported { lacks: "has no tiles that this engine searches" }),
        }
    }

    /// What every search begins with: checks, and the query prepared.
    fn begin(
        &self,
        query: Query<'_>,
        params: &SearchParams,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<(&Loaded, Refine), SearchError> {
        hits.clear();
        params.validate()?;
        check::query(query, self.dimensions())?;
        let loaded = self.loaded()?;
        let refine = self.resolve_refine(params)?;
        scratch.query.query(&loaded.space, self.kernels, query);
        check::prepared(&loaded.space, &scratch.query)?;
        Ok((loaded, refine))
    }

    /// Reads the payload of `row` into `out`; empty where it has none.
    ///
    /// # Errors
    /// A damaged block, or a range outside the payload table.
    pub fn payload(&self, row: u32, out: &mut Vec<u8>) -> Result<(), SearchError> {
        out.clear();
        let records = self.records(self.loaded()?)?;
        let (offset, length) = records.space.layout.payload(records.record(row)?);
        if length == 0 {
            return Ok(());
        }
        let Some(payload) = self.reader.section(Kind::Payload, 0) else {
            return Err(view::corrupt_row(&records.section, row, "payload without a payload table").into());
        };
        payload.read_blob(offset, length.into(), out)?;
        Ok(())
    }

    /// The user's id of `row`.
    ///
    /// # Errors
    /// A damaged block, or a row beyond the last one.
    pub fn id_of(&self, row: u32) -> Result<u64, SearchError> {
        let records = self.records(self.loaded()?)?;
        Ok(records.space.layout.id(records.record(row)?))
    }

    /// The row of a user's id, if it is there and not deleted. `O(log rows)`.
    ///
    /// # Errors
    /// A damaged block.
    pub fn row_of(&self, id: u64) -> Result<Option<u32>, SearchError> {
        let row = match self.reader.section(Kind::IdsIndex, 0) {
            Some(ids) => find_id(&ids, id)?,
            None => u32::try_from(id).ok().filter(|&row| (row as usize) < self.len()),
        };
        let Some(row) = row else { return Ok(None) };
        if row as usize >= self.len() {
            let ids = self.reader.section(Kind::IdsIndex, 0);
            let corrupt = ids.map(|ids| corrupt(&ids, 0, "a row beyond the last one"));
            return corrupt.map_or(Ok(None), |corrupt| Err(corrupt.into()));
        }
        Ok((!self.is_deleted(row)?).then_some(row))
    }

    /// The vector of `row`: the input where it was kept (or is the record itself), else as near as
    /// the codes are (at unit length under cosine).
    ///
    /// # Errors
    /// A damaged block, or a row beyond the last one.
    pub fn vector(&self, row: u32, out: &mut Vec<f32>) -> Result<(), SearchError> {
        let records = self.records(self.loaded()?)?;
        match self.reader.section(Kind::Originals, 0) {
            Some(originals) => {
                out.clear();
                out.resize(self.dimensions(), 0.0);
                vectors::decode(self.kernels, self.element(), originals.row(row)?, out);
            }
            None => records.space.decode(records.record(row)?, out),
        }
        Ok(())
    }

    /// What was taken off the rows before coding.
    ///
    /// # Errors
    /// A damaged block.
    pub fn mean(&self) -> Result<&[f32], SearchError> {
        Ok(&self.loaded()?.space.mean)
    }

    /// What the build measured: recall and cost by effort.
    ///
    /// # Errors
    /// A damaged block.
    pub fn quality(&self) -> Result<&[QualityRow], SearchError> {
        Ok(&self.loaded()?.quality)
    }

    /// The file's description of itself, JSON; empty where it has none, or of a file of which not all is at hand.
    ///
    /// # Errors
    /// A damaged block, or text that is not UTF-8.
    pub fn meta(&self) -> Result<String, SearchError> {
        let at_hand = self.reader.bytes().len() as u64;
        let Some(meta) = self.reader.section(Kind::Meta, 0).filter(|meta| meta.table().end() <= at_hand) else {
            return Ok(String::new());
        };
        let mut bytes = Vec::new();
        meta.read_blob(0, meta.rows(), &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| corrupt(&meta, 0, "text that is not UTF-8").into())
    }

    /// Whether `row` is a tombstone.
    ///
    /// # Errors
    /// A damaged block.
    pub fn is_deleted(&self, row: u32) -> Result<bool, SearchError> {
        match self.reader.section(Kind::Deleted, 0) {
            Some(deleted) => Ok(rank::is_deleted(&deleted, row)?),
            None => Ok(false),
        }
    }

    /// Tombstones in the file.
    pub fn deleted(&self) -> u64 {
        let deleted = self.reader.section(Kind::Deleted, 0);
        deleted.map_or(0, |deleted| deleted.table().extra.min(self.len() as u64))
    }

    fn resolve_refine(&self, params: &SearchParams) -> Result<Refine, SearchError> {
        let refine = params.refine.unwrap_or(self.refine());
        let exact = matches!(self.element(), Element::U8 | Element::I8);
        if refine == Refine::Records || exact {
            // Integer records are the originals.
            return Ok(Refine::Records);
        }
        if self.reader.section(Kind::Originals, 0).is_none() {
            return Err(SearchError::Unsupported { lacks: "was built without originals: refine by records" });
        }
        Ok(Refine::Originals)
    }

    fn records<'a>(&'a self, loaded: &'a Loaded) -> Result<RecordView<'a>, SearchError> {
        let section = self.reader.section(Kind::Records, 0);
        let section = section.ok_or(SearchError::Unsupported { lacks: "has no records" })?;
        Ok(RecordView { section, space: &loaded.space, kernels: self.kernels })
    }

    #[cfg(feature = "codes")]
    fn edges(&self) -> Result<Section<'_>, SearchError> {
        let lacks = "has no graph: choose the plan scan";
        self.reader.section(Kind::Edges, 0).ok_or(SearchError::Unsupported { lacks })
    }

    /// What guides a walk: coarse codes where the file has some that this version knows, else the records.
    fn guide<'a>(&'a self, loaded: &'a Loaded, records: RecordView<'a>) -> Guide<'a> {
        let Some(section) = self.reader.section(Kind::CodesRows, 0) else { return Guide::records(records) };
        let rows = RecordView { section, ..records };
        #[cfg(feature = "codes")]
        if loaded.coarse.is_some() {
            return Guide { coarse: loaded.coarse.as_ref(), ..Guide::records(rows) };
        }
        match loaded.codes {
            Some(codes) => Guide { codes: Some(codes), ..Guide::records(rows) },
            None => Guide::records(records),
        }
    }

    /// How rows are coded, and how they are turned where signs are taken of them.
    #[cfg(feature = "codes")]
    pub(crate) fn coding(&self) -> Result<(&Space, &crate::quant::rotation::Rotation), SearchError> {
        self.loaded().map(|loaded| (&loaded.space, &loaded.rotation))
    }

    fn loaded(&self) -> Result<&Loaded, SearchError> {
        self.loaded.get_or_try_init(|| self.load().map(Box::new))
    }

    fn load(&self) -> Result<Loaded, SearchError> {
        let missing = SearchError::Unsupported { lacks: "has no records" };
        let (records, quant) = self.reader.section(Kind::Records, 0).zip(self.reader.section(Kind::Quant, 0)).ok_or(missing)?;
        let table = records.table();
        let dimensions = self.dimensions();
        let bad = |what| SearchError::Corrupt(corrupt(&records, 0, what));
        let encoding = Encoding::try_from(table.encoding).map_err(|_| bad("an unknown encoding"))?;
        if encoding != Encoding::of(self.element()) {
            return Err(bad("an encoding that does not fit the element type"));
        }
        let layout = RecordLayout::from_file(dimensions, table.parameter as usize, table.stride as usize)
            .ok_or_else(|| bad("parts of a record overlap"))?;
        let space = Space { metric: self.metric(), encoding, layout, mean: read_mean(&quant, dimensions)? };
        let codes = self.reader.section(Kind::CodesRows, 0).map(|section| section.table()).filter(|table| table.encoding == CODES_U4);
        let codes = codes.map(|table| CodeLayout { stride: table.stride as usize, ..CodeLayout::new(dimensions) });
        let mut rows = Vec::new();
        if let Some(section) = self.reader.section(Kind::Quality, 0) {
            // A table of efforts has a few dozen rows; more is no reason to read on.
            for row in 0..section.rows().min(1024) as u32 {
                rows.push(section.row(row)?);
            }
        }
        let quality = quality::read(rows.into_iter());
        #[cfg(feature = "codes")]
        let coarse = coarse::read(&self.reader, &space, &quality)?;
        Ok(Loaded {
            space,
            quality,
            codes,
            #[cfg(feature = "codes")]
            coarse,
            #[cfg(feature = "tiles")]
            rotation: crate::quant::rotation::Rotation::new(dimensions, self.reader.header().superblock.seed),
        })
    }
}

fn read_mean(quant: &Section<'_>, dimensions: usize) -> Result<Vec<f32>, Corrupt> {
    let mut bytes = Vec::new();
    quant.read_blob(0, (QUANT_HEAD + dimensions * 4) as u64, &mut bytes)?;
    let word = |at: usize| view::word(&bytes, at).unwrap_or(0);
    if word(0) != 1 || word(1) as usize != dimensions {
        return Err(corrupt(quant, 0, "unknown version or other dimensions than the file"));
    }
    let mean: Vec<f32> = bytes[QUANT_HEAD..].as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if mean.iter().all(|value| value.is_finite()) { Ok(mean) } else { Err(corrupt(quant, 0, "a mean that is not a finite number")) }
}

/// Binary search of the sorted (id, row, 0) table.
fn find_id(ids: &Section<'_>, id: u64) -> Result<Option<u32>, Corrupt> {
    let (mut low, mut high) = (0, ids.rows().min(u64::from(u32::MAX)) as u32);
    while low < high {
        let middle = low + (high - low) / 2;
        let row = ids.row(middle)?;
        let found = u64::from(view::word(row, 0).unwrap_or(0)) | u64::from(view::word(row, 1).unwrap_or(0)) << 32;
        match found.cmp(&id) {
            core::cmp::Ordering::Equal => return Ok(view::word(row, 2)),
            core::cmp::Ordering::Less => low = middle + 1,
            core::cmp::Ordering::Greater => high = middle,
        }
    }
    Ok(None)
}
