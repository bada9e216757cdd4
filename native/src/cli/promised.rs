//! What files say of a recall that is asked for: where they never measured as much, or nothing at all, a search does what it can, and says so.

use std::path::Path;

use nearshore::Index;
use nearshore::format::Plan;
use nearshore::search::quality::{Setting, TileSetting};
use nearshore::search::{Effort, SearchParams};

use super::args::Common;
use super::fail::Fail;

/// Refuses a recall that there is not, before anything is opened.
pub(super) fn check_recall<'a>(mut asked: impl Iterator<Item = &'a f32>) -> Result<(), Fail> {
    match asked.find(|&&recall| !(recall > 0.0 && recall <= 1.0)) {
        Some(recall) => Err(Fail::usage(format!("--recall must be above 0 and at most 1, not {recall}"))),
        None => Ok(()),
    }
}

/// Notes the first of `files`, which are one or those of a set, that has not measured the highest recall of `settings`.
pub(super) fn note_recall<'a>(files: impl ExactSizeIterator<Item = (&'a Path, &'a Index)>, settings: &[SearchParams], common: &Common) {
    let asked = settings.iter().filter_map(|params| match params.effort {
        Effort::Recall(recall) => Some((recall, params)),
        Effort::Ef(_) | Effort::Auto => None,
    });
    let Some((asked, params)) = asked.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|_| !common.quiet) else { return };
    let among = if files.len() > 1 { " (one of the set, and the first of which this is so)" } else { "" };
    for (path, file) in files {
        if let Some(note) = note(file, params, asked) {
            return eprintln!("note: {}{among}: --recall {asked}: {note}", path.display());
        }
    }
}

fn note(file: &Index, params: &SearchParams, asked: f32) -> Option<String> {
    let table = file.quality().unwrap_or_default();
    let (most, by) = match params.plan.unwrap_or(file.plan()) {
        Plan::Scan => return None,
        Plan::Tiles => (TileSetting::most(table), "tiles".to_owned()),
        Plan::Walk => {
            let refine = params.refine.unwrap_or(file.refine());
            let by = format!("{} walks, ranked by {}", params.layout.as_str(), refine.as_str());
            (Setting::most(params, params.layout, refine, table), by)
        }
    };
    let Some(most) = most else {
        return Some(format!(
            "searches ({by}) were not measured, so how far they go is a guess; nearshore tune measures them, file by file"
        ));
    };
    // Rounded down, so that less than what is asked for never looks like as much.
    let said = (f64::from(most) * 1e4).floor() / 1e4;
    (most < asked).then(|| format!("searches ({by}) were measured up to {said:.4}, so these go as far as the ones that found that"))
}
