//! What can go wrong with a file: one type an operation, each carrying what is needed to act.
//!
//! Opening fails with [`OpenError`], a later touch of a block with [`Corrupt`], a whole-file check with [`Damage`] and
//! writing with [`WriteError`]. Every message is one line that says where, what was found, and what would be right.
//! Nothing in this crate panics on data.

use crate::words::{Words, display, say};
use alloc::string::String;
use core::fmt;

display!(Must, BadField, OpenError, Corrupt, Damage);

/// Names of the table kinds by their number; 0 stands for the header.
const TABLE_NAMES: [&str; 26] = [
    "header",
    "meta",
    "quant",
    "records",
    "edges",
    "nodes",
    "neighbor.codes",
    "upper",
    "codes.rows",
    "codes.tiles",
    "tiles",
    "route.records",
    "route.edges",
    "route.upper",
    "ids.index",
    "dup_of",
    "deleted",
    "quality",
    "column",
    "payload",
    "keys",
    "originals",
    "columns",
    "column.nulls",
    "column.ends",
    "column.text",
];

/// The name of a table kind as FORMAT.md spells it, `"unknown"` for a number that this version does not know.
pub fn table_name(kind: u16) -> &'static str {
    TABLE_NAMES.get(usize::from(kind)).copied().unwrap_or("unknown")
}

/// A section in a sentence: `section records`, `section column #3`, `section unknown (kind 99)`, `header`.
struct Place(u16, u32);

impl Words for Place {
    fn say(&self, out: &mut String) {
        match (self.0, TABLE_NAMES.get(usize::from(self.0))) {
            (0, _) => return say!(out, TABLE_NAMES[0]),
            (kind, None) => say!(out, "section unknown (kind ", kind, ")"),
            (_, Some(name)) => say!(out, "section ", name),
        }
        if self.1 > 0 {
            say!(out, " #", self.1);
        }
    }
}

/// What a field must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Must {
    /// This value and no other.
    Equal(u64),
    /// At least this.
    AtLeast(u64),
    /// At most this.
    AtMost(u64),
    /// A multiple of this.
    MultipleOf(u64),
    /// Something that a number does not say.
    Be(&'static str),
}

impl Words for Must {
    fn say(&self, out: &mut String) {
        match self {
            Must::Equal(limit) => say!(out, limit),
            Must::AtLeast(limit) => say!(out, "at least ", limit),
            Must::AtMost(limit) => say!(out, "at most ", limit),
            Must::MultipleOf(limit) => say!(out, "a multiple of ", limit),
            Must::Be(what) => say!(out, what),
        }
    }
}

/// A field of the header that breaks a rule: which one, its value, the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadField {
    /// Kind of the section whose directory entry it is; 0 for the superblock.
    pub section: u16,
    /// Instance of that section.
    pub instance: u32,
    /// The field as FORMAT.md names it.
    pub field: &'static str,
    /// What was found.
    pub value: u64,
    /// What would be right.
    pub must: Must,
}

impl Words for BadField {
    fn say(&self, out: &mut String) {
        let Self { section, instance, field, value, must } = self;
        say!(out, Place(*section, *instance), ": ", field, " is ", value, ", must be ", must);
    }
}

/// Why a file does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The first eight bytes are not the magic number.
    NotShore,
    /// Written by another major version.
    Version {
        /// The major version of the file.
        found: u16,
        /// The one that this code reads.
        known: u16,
    },
    /// Fewer bytes than the file says it has (or than a header needs).
    Truncated {
        /// Bytes that there should be.
        wanted: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// More bytes than the file says it has.
    Trailing {
        /// Bytes that there should be.
        wanted: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// The superblock does not match its checksum.
    Checksum,
    /// The directory does not match the identity in the superblock.
    Identity,
    /// A required feature that this version does not know.
    Feature {
        /// Number of the bit.
        bit: u32,
    },
    /// A required section of a kind that this version does not know.
    Required {
        /// Its kind.
        section: u16,
    },
    /// A section that the file needs and lacks.
    Missing {
        /// Its kind.
        section: u16,
    },
    /// A field that breaks a rule.
    Field(BadField),
    /// A block that had to be read at once is damaged.
    Corrupt(Corrupt),
}

impl Words for OpenError {
    fn say(&self, out: &mut String) {
        match self {
            OpenError::NotShore => say!(out, "not a .shore file: the first 8 bytes are not its magic number"),
            OpenError::Version { found, known } => {
                say!(out, "format version ", found, ": this version of nearshore reads version ", known);
            }
            OpenError::Truncated { wanted, found } => say!(out, "truncated: ", found, " bytes of ", wanted),
            OpenError::Trailing { wanted, found } => say!(out, "trailing bytes: ", found, " bytes instead of ", wanted),
            OpenError::Checksum => say!(out, "header: superblock checksum mismatch"),
            OpenError::Identity => say!(out, "header: the directory does not match the file's identity"),
            OpenError::Feature { bit } => say!(out, "the file needs feature ", bit, UNKNOWN),
            OpenError::Required { section } => say!(out, "the file needs its section of kind ", section, UNKNOWN),
            OpenError::Missing { section } => say!(out, Place(*section, 0), " is missing"),
            OpenError::Field(bad) => say!(out, bad),
            OpenError::Corrupt(corrupt) => say!(out, corrupt),
        }
    }
}

const UNKNOWN: &str = ", which this version of nearshore does not know";

impl core::error::Error for OpenError {}

impl From<BadField> for OpenError {
    fn from(bad: BadField) -> Self {
        OpenError::Field(bad)
    }
}

impl From<Corrupt> for OpenError {
    fn from(corrupt: Corrupt) -> Self {
        OpenError::Corrupt(corrupt)
    }
}

/// A damaged place: a block that fails its check, or a value in it that is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// Kind of the section; 0 for the header.
    pub section: u16,
    /// Instance of the section.
    pub instance: u32,
    /// Block of the section.
    pub block: u64,
    /// What is wrong.
    pub what: &'static str,
}

impl Words for Corrupt {
    fn say(&self, out: &mut String) {
        say!(out, Place(self.section, self.instance), ", block ", self.block, ": ", self.what);
    }
}

impl core::error::Error for Corrupt {}

/// What a check of the whole file found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The first damaged place, in file order.
    pub first: Corrupt,
    /// How many blocks are damaged.
    pub damaged: u64,
    /// How many blocks there are.
    pub blocks: u64,
}

impl Words for Damage {
    fn say(&self, out: &mut String) {
        say!(out, self.first, " (", self.damaged, " of ", self.blocks, " blocks damaged)");
    }
}

impl core::error::Error for Damage {}

/// Why a file could not be written. `E` is the sink's own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError<E> {
    /// The specification breaks a rule of the format.
    Spec(BadField),
    /// More bytes were given than the current table holds.
    TooManyBytes {
        /// Kind of the table; 0 when all tables are full.
        section: u16,
        /// Bytes that it still takes.
        room: u64,
        /// Bytes that were given.
        given: u64,
    },
    /// The file was finished before a table was full.
    MissingBytes {
        /// Kind of the table.
        section: u16,
        /// Bytes that it lacks.
        missing: u64,
    },
    /// The sink failed.
    Sink(E),
}

impl<E> WriteError<E> {
    /// What went wrong, in words.
    ///
    /// # Errors
    /// The sink's own error, which has words of its own.
    pub fn words(&self) -> Result<String, &E> {
        let mut out = String::new();
        match self {
            WriteError::Spec(bad) => say!(&mut out, bad),
            WriteError::TooManyBytes { section, room, given } => {
                say!(&mut out, Place(*section, 0), ": ", given, " bytes given, room for ", room);
            }
            WriteError::MissingBytes { section, missing } => say!(&mut out, Place(*section, 0), ": ", missing, " bytes missing"),
            WriteError::Sink(error) => return Err(error),
        }
        Ok(out)
    }
}

impl<E: fmt::Display> fmt::Display for WriteError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            Ok(words) => f.write_str(&words),
            Err(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for WriteError<E> {}
