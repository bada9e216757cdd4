//! Where the records of a file are read: as told, or by how much memory there is.

use std::fmt;
use std::str::FromStr;

use clap::Args;
use nearshore::build::Tier;
use nearshore::dataset::Dataset;
use nearshore::io::available_memory;

use super::args::{BuildArgs, Common, words};
use super::fail::Fail;
use super::output::bytes;
use super::size::Bytes;

/// A tier, or whichever suits this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Auto,
    Told(Tier),
}

impl FromStr for Choice {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        if word == "auto" { Ok(Self::Auto) } else { word.parse().map(Self::Told) }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TierArgs {
    /// Where records are read: in memory or a map (memory); from a disk, a page each, while codes (u4 unless --codes says otherwise) and graph
    /// stay in memory (disk): search and bench it with --driver uring or pread; or what this machine's memory allows (auto), which then is said.
    /// The same choice gives the same bytes everywhere; auto may choose otherwise elsewhere
    #[arg(long, default_value = "memory", value_parser = words::<Choice>(&["auto", "memory", "disk"]))]
    pub(crate) tier: Choice,
    /// With --tier disk: bytes of a page, 4KiB to 64KiB [default: 4KiB]
    #[arg(long, value_name = "BYTES", value_parser = page)]
    pub(crate) page: Option<u32>,
}

/// The bytes of a page.
pub(super) fn page(text: &str) -> Result<u32, String> {
    let Bytes(bytes) = text.parse::<Bytes>().map_err(|_| "must be a number of bytes, such as 16KiB")?;
    let page = u32::try_from(bytes).ok().filter(|bytes| (4096..=65_536).contains(bytes) && bytes.is_multiple_of(4096));
    page.ok_or_else(|| "must be 4KiB to 64KiB, a multiple of 4KiB".to_owned())
}

impl TierArgs {
    /// The tier for these rows.
    pub(super) fn of(&self, data: &Dataset, args: &BuildArgs, common: &Common) -> Result<Tier, Fail> {
        let Choice::Told(tier) = self.tier else {
            let chosen = Chosen::of(resident_bytes(data, usize::from(args.m)), available_memory());
            if !common.quiet {
                eprintln!("{chosen}");
            }
            return self.check(chosen.tier);
        };
        self.check(tier)
    }

    /// The tier where no memory is looked at.
    pub(super) fn told(&self) -> Result<Tier, Fail> {
        match self.tier {
            Choice::Told(tier) => self.check(tier),
            Choice::Auto => Err(Fail::usage(
                "--tier auto goes by this machine's memory, and --memory says how much there is: --tier memory or --tier disk would be right",
            )),
        }
    }

    fn check(&self, tier: Tier) -> Result<Tier, Fail> {
        // What auto chose is no mistake of the caller's.
        if self.page.is_some() && self.tier == Choice::Told(Tier::Memory) {
            return Err(Fail::usage("--page is for files for a disk: --tier disk would be right"));
        }
        Ok(tier)
    }
}

/// What was chosen, and why.
struct Chosen {
    tier: Tier,
    needs: u64,
    available: Option<u64>,
}

impl Chosen {
    fn of(needs: u64, available: Option<u64>) -> Self {
        let tier = if available.is_some_and(|available| needs > available) { Tier::Disk } else { Tier::Memory };
        Self { tier, needs, available }
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tier {}: searches read {} of records and graph", self.tier.as_str(), bytes(self.needs))?;
        match self.available {
            Some(available) => write!(f, ", and {} of memory are to be had", bytes(available)),
            None => f.write_str(", and how much memory there is is not told here"),
        }
    }
}

/// Bytes that walks by records read of a file: a byte a dimension and a record's factors, and the edges of the base.
fn resident_bytes(data: &Dataset, m: usize) -> u64 {
    let record = data.dimensions().next_multiple_of(16) + 40;
    (data.rows() as u64).saturating_mul((record + 8 * m) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_chosen_where_memory_does_not_hold_what_walks_read() {
        let said = |needs, available| Chosen::of(needs, available).to_string();
        assert_eq!(
            said(1 << 30, Some(2 << 30)),
            "tier memory: searches read 1.00 GiB of records and graph, and 2.00 GiB of memory are to be had"
        );
        assert_eq!(
            said(3 << 30, Some(2 << 30)),
            "tier disk: searches read 3.00 GiB of records and graph, and 2.00 GiB of memory are to be had"
        );
        assert_eq!(Chosen::of(u64::MAX, None).tier, Tier::Memory);
    }

    #[test]
    fn pages_are_multiples_of_four_kibibytes() {
        assert_eq!((page("4KiB"), page("65536"), page("12 KiB")), (Ok(4096), Ok(65_536), Ok(12_288)));
        for wrong in ["0", "2KiB", "6KiB", "128KiB", "x", "5000000000"] {
            assert!(page(wrong).is_err(), "{wrong}");
        }
    }
}
