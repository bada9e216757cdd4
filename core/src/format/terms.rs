//! The words of a header: table kinds, metric, element, plan, refine level. Integers in the file, enums behind the door.

use core::fmt;
use core::str::FromStr;

/// An integer in a file, or a word on a command line, that stands for nothing this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownTerm {
    /// What would be right.
    pub expected: &'static str,
}

impl fmt::Display for UnknownTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be {}", self.expected)
    }
}

impl core::error::Error for UnknownTerm {}

/// Stamps an enum with its integers, its words and the way back from both.
macro_rules! terms {
    ($(#[$doc:meta])* $name:ident: $int:ty, $all:literal { $($(#[$item_doc:meta])* $item:ident = $value:literal $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr($int)]
        pub enum $name { $($(#[$item_doc])* $item = $value,)* }

        impl $name {
            /// Every value, by number.
            pub const ALL: &[Self] = &[$(Self::$item),*];

            /// All words, for messages.
            pub const EXPECTED: &str = $all;

            /// The word for it, as every door spells it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$item => $word,)* }
            }
        }

        impl TryFrom<$int> for $name {
            type Error = UnknownTerm;
            fn try_from(value: $int) -> Result<Self, UnknownTerm> {
                match value { $($value => Ok(Self::$item),)* _ => Err(UnknownTerm { expected: $all }) }
            }
        }

        impl FromStr for $name {
            type Err = UnknownTerm;
            fn from_str(word: &str) -> Result<Self, UnknownTerm> {
                match word { $($word => Ok(Self::$item),)* _ => Err(UnknownTerm { expected: $all }) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

terms! {
    /// How far apart two vectors are. Smaller is nearer, always.
    Metric: u8, "l2, ip or cosine" {
        /// Squared Euclidean distance.
        L2 = 0 "l2",
        /// 1 - dot product.
        InnerProduct = 1 "ip",
        /// 1 - cosine of the angle.
        Cosine = 2 "cosine",
    }
}

terms! {
    /// Type of one coordinate of the input.
    Element: u8, "f32, f16, u8 or i8" {
        /// IEEE 754 single precision.
        F32 = 0 "f32",
        /// IEEE 754 half precision.
        F16 = 1 "f16",
        /// Unsigned byte.
        U8 = 2 "u8",
        /// Signed byte.
        I8 = 3 "i8",
    }
}

impl Element {
    /// Bytes of one coordinate.
    pub const fn bytes(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::F16 => 2,
            Element::U8 | Element::I8 => 1,
        }
    }
}

terms! {
    /// How a search goes about it.
    Plan: u8, "scan, walk or tiles" {
        /// Every row, exactly.
        Scan = 0 "scan",
        /// Along the graph.
        Walk = 1 "walk",
        /// The nearest tiles, then the best rows in them.
        Tiles = 2 "tiles",
    }
}

terms! {
    /// What the final ranking is computed from.
    Refine: u8, "records or originals" {
        /// The records: i8, or the input itself where it was bytes.
        Records = 0 "records",
        /// The input rows, where the file keeps them.
        Originals = 1 "originals",
    }
}

terms! {
    /// What a table holds. FORMAT.md describes the rows of each.
    Kind: u16, "a known table" {
        /// What decided the bytes, as JSON.
        Meta = 1 "meta",
        /// Mean, codebooks, scale rules.
        Quant = 2 "quant",
        /// One vector a row with all that a hit needs.
        Records = 3 "records",
        /// Neighbours of every row in the base graph.
        Edges = 4 "edges",
        /// Reserved: a record and its edges together.
        Nodes = 5 "nodes",
        /// Codes of a row's neighbours, relative to it.
        NeighborCodes = 6 "neighbor.codes",
        /// The layers above the base graph.
        Upper = 7 "upper",
        /// One coarse code a row, in row order.
        CodesRows = 8 "codes.rows",
        /// Codes of rows, tile by tile.
        CodesTiles = 9 "codes.tiles",
        /// Where each tile lies.
        Tiles = 10 "tiles",
        /// Centroids of the tiles.
        RouteRecords = 11 "route.records",
        /// Reserved: a graph over the centroids.
        RouteEdges = 12 "route.edges",
        /// Reserved: its upper layers.
        RouteUpper = 13 "route.upper",
        /// Rows sorted by user id.
        IdsIndex = 14 "ids.index",
        /// Exact duplicates and the row that stands for them.
        DupOf = 15 "dup_of",
        /// Tombstones.
        Deleted = 16 "deleted",
        /// Measured recall and cost of search settings.
        Quality = 17 "quality",
        /// A value of a column for each row.
        Column = 18 "column",
        /// Bytes that go with a hit.
        Payload = 19 "payload",
        /// Reserved: string ids.
        Keys = 20 "keys",
        /// The input rows as given.
        Originals = 21 "originals",
        /// What each column is.
        Columns = 22 "columns",
        /// Rows without a value in a column.
        ColumnNulls = 23 "column.nulls",
        /// Where the words of a column's dictionary end.
        ColumnEnds = 24 "column.ends",
        /// The words of a column's dictionary.
        ColumnText = 25 "column.text",
    }
}

impl Kind {
    /// The kind of a directory entry, `None` for one that this version does not know.
    pub fn known(kind: u16) -> Option<Self> {
        Self::try_from(kind).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::table_name;

    #[test]
    fn every_word_leads_back_to_its_value_and_every_kind_has_its_name_in_errors() {
        assert!(Metric::ALL.iter().all(|m| m.as_str().parse() == Ok(*m) && Metric::try_from(*m as u8) == Ok(*m)));
        assert!(Element::ALL.iter().all(|e| e.as_str().parse() == Ok(*e) && Element::try_from(*e as u8) == Ok(*e)));
        assert!(Plan::ALL.iter().all(|p| p.as_str().parse() == Ok(*p) && Plan::try_from(*p as u8) == Ok(*p)));
        assert!(Refine::ALL.iter().all(|r| r.as_str().parse() == Ok(*r) && Refine::try_from(*r as u8) == Ok(*r)));
        assert!(Kind::ALL.iter().all(|k| Kind::known(*k as u16) == Some(*k) && table_name(*k as u16) == k.as_str()));
        assert_eq!(Kind::known(0), None);
        assert_eq!(Kind::known(26), None);
    }

    #[test]
    fn an_unknown_word_says_what_would_be_right() {
        let error = "euclid".parse::<Metric>().unwrap_err();
        assert_eq!(alloc::string::ToString::to_string(&error), "must be l2, ip or cosine");
    }
}
