//! A file's description of itself.

#[cfg(feature = "codes")]
use super::Builder;
use super::{BuildParams, Codes, Input, Layers, Tier, link};
use crate::format::PAGE_BYTES;
#[cfg(feature = "codes")]
use crate::search::Layout;
use crate::words::say;
use alloc::string::String;

/// How the tables of a file for a disk are laid out: 1 had codes and edges in large blocks.
const PAGES_VERSION: u32 = 2;

/// What decided the bytes, for people: JSON with sorted keys. `nodes` are those of the base layer: rows without exact duplicates. `parts` is 0
/// where all were linked at once.
pub(super) fn describe(input: &Input<'_>, params: &BuildParams, nodes: usize, parts: u32) -> String {
    let builder = match params.builder {
        #[cfg(feature = "codes")]
        Builder::Vamana if link::goes_by_leaves(params) => "vamana 1",
        _ if link::goes_by_leaves(params) && parts == 0 && link::is_led(params, nodes) => "leaves 2",
        _ if link::goes_by_leaves(params) => "leaves 1",
        _ => "hnsw-batch 1",
    };
    let layers = match params.layers {
        Layers::Many => "many",
        Layers::One => "one",
    };
    let mut json = String::new();
    let out = &mut json;
    say!(out, "{");
    #[cfg(feature = "codes")]
    if params.builder == Builder::Vamana {
        // In thousandths, which need no printing of fractions.
        say!(out, "\"alpha_sq_thousandths\":", (link::slack(params) * 1000.0 + 0.5) as u32, ",");
    }
    say!(out, "\"builder\":\"", builder, "\",");
    if cfg!(feature = "codes") && params.codes != Codes::None {
        say!(out, "\"codes\":\"", params.codes.as_str(), "\",");
    }
    say!(out, "\"dimensions\":", input.vectors.dimensions());
    say!(out, ",\"ef_construction\":", params.ef_construction, ",\"element\":\"", input.vectors.element().as_str());
    say!(out, "\",\"extend_candidates\":", params.extend_candidates, ",\"heuristic\":", params.heuristic);
    say!(out, ",\"keep_pruned\":", params.keep_pruned, ",\"layers\":\"", layers, "\"");
    #[cfg(feature = "codes")]
    if params.layout == Layout::Fast {
        say!(out, ",\"layout\":\"fast\"");
    }
    say!(out, ",\"m\":", params.m);
    say!(out, ",\"metric\":\"", params.metric.as_str(), "\",\"originals\":", params.originals);
    let disk = cfg!(feature = "codes") && params.tier == Tier::Disk;
    if disk {
        if params.page_bytes != PAGE_BYTES {
            say!(out, ",\"page_bytes\":", params.page_bytes);
        }
        say!(out, ",\"pages\":", PAGES_VERSION);
    }
    if cfg!(feature = "codes") && parts > 0 {
        say!(out, ",\"partitions\":", parts);
    }
    say!(out, ",\"rows\":", input.vectors.rows(), ",\"seed\":", params.seed);
    if disk {
        say!(out, ",\"tier\":\"disk\"");
    }
    say!(out, "}");
    json
}
