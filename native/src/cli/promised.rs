//! What files say of a recall that is asked for: where they never measured as much, or nothing at all, a search does what it can, and says so.

use std::path::Path;

use nearshore::Index;
use nearshore::format::Plan;
use nearshore::search::quality::{Setting, TileSetting};
use nearshore::search::{Effort, SearchParams};

use super::args::Common;

/// Notes the first of `files` that has not measured what `params` ask for.
pub(super) fn note_recall<'a>(mut files: impl Iterator<Item = (&'a Path, &'a Index)>, params: &SearchParams, common: &Common) {
    if common.quiet {
        return;
    }
    if let Some(note) = files.find_map(|(path, file)| note(file, params).map(|note| format!("{}: {note}", path.display()))) {
        eprintln!("note: {note}");
    }
}

fn note(file: &Index, params: &SearchParams) -> Option<String> {
    let Effort::Recall(asked) = params.effort else { return None };
    let table = file.quality().unwrap_or_default();
    let (most, by) = match params.plan.unwrap_or(file.plan()) {
        Plan::Scan => return None,
        Plan::Tiles => (TileSetting::most(table), "tiles".to_owned()),
        Plan::Walk => {
            let refine = params.refine.unwrap_or(file.refine());
            (
                Setting::most(params, params.layout, refine, table),
                format!("{} walks, ranked by {}", params.layout.as_str(), refine.as_str()),
            )
        }
    };
    let tune = "nearshore tune measures them";
    match most {
        None => Some(format!("--recall {asked}: searches ({by}) were not measured, so how far they go is a guess; {tune}")),
        Some(most) if most < asked => {
            Some(format!("--recall {asked}: searches ({by}) were measured up to {most:.3}, so these go as far as the ones that found that"))
        }
        Some(_) => None,
    }
}
